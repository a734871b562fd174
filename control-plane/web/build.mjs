// Bundles the client into dist/: index.html, app.js and app.css, nothing fetched from elsewhere.
import { build, context } from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';

const options = {
  entryPoints: { app: 'src/main.ts' },
  bundle: true,
  format: 'esm',
  target: ['es2022', 'chrome109', 'firefox115', 'safari16'],
  minify: !process.argv.includes('--watch'),
  sourcemap: process.argv.includes('--watch') ? 'inline' : false,
  legalComments: 'eof',
  outdir: 'dist',
  logLevel: 'info',
};

/** The page names its files with a content tag, so a cache never mixes two builds. */
async function writePage() {
  const tag = async (file) => createHash('sha256').update(await readFile(`dist/${file}`)).digest('hex').slice(0, 10);
  let page = await readFile('src/index.html', 'utf8');
  for (const file of ['app.js', 'app.css']) page = page.replace(`/${file}"`, `/${file}?v=${await tag(file)}"`);
  await writeFile('dist/index.html', page);
}

await rm('dist', { recursive: true, force: true });
await mkdir('dist', { recursive: true });
if (process.argv.includes('--watch')) {
  const watching = await context({
    ...options,
    plugins: [{ name: 'page', setup: (b) => b.onEnd((result) => (result.errors.length ? undefined : writePage())) }],
  });
  await watching.watch();
} else {
  await build(options);
  await writePage();
}
