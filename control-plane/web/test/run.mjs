// Bundles test/*.test.ts for Node and runs them with its own test runner.
import { build } from 'esbuild';
import { spawnSync } from 'node:child_process';
import { readdir, rm } from 'node:fs/promises';

const outdir = 'node_modules/.cache/sluice-test';
const names = (await readdir('test')).filter((name) => name.endsWith('.test.ts')).sort();
await rm(outdir, { recursive: true, force: true });
await build({
  entryPoints: names.map((name) => `test/${name}`),
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node18',
  // Node 18, which Debian 12 has, does not put what browsers call `crypto` into the global scope.
  banner: { js: "import { webcrypto } from 'node:crypto'; globalThis.crypto ??= webcrypto;" },
  sourcemap: 'inline',
  outdir,
  outExtension: { '.js': '.mjs' },
  packages: 'external',
  logLevel: 'warning',
});
const files = names.map((name) => `${outdir}/${name.replace(/\.ts$/, '.mjs')}`);
const run = spawnSync(process.execPath, ['--enable-source-maps', '--test', ...files], { stdio: 'inherit' });
process.exit(run.status ?? 1);
