// Bundles mock.mjs, which shares the client's XML code, and loads it.
import { build } from 'esbuild';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const here = dirname(fileURLToPath(import.meta.url));
export const dist = join(here, '../../dist');

export async function loadMock() {
  const outfile = join(here, 'node_modules/.cache/mock.mjs');
  await build({ entryPoints: [join(here, 'mock.mjs')], bundle: true, platform: 'node', format: 'esm', packages: 'external', outfile, logLevel: 'warning' });
  return import(pathToFileURL(outfile).href);
}
