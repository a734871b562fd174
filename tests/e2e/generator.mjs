// Runs the bundled load generator.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { BINARY } from './server.mjs';

const LOAD = process.env.SLUICE_LOAD_BINARY ?? join(dirname(BINARY), 'sluice-load');

/** A run of `sluice-load` with these options: the process, its exit status, what it said, and its figures. */
export async function load(...options) {
  const file = join(await mkdtemp(join(tmpdir(), 'sluice-load-')), 'run.json');
  const child = spawn(LOAD, [...options, '--cores', 'any', '--json', file, '--quiet'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
  const ended = once(child, 'exit').then(([status]) => status);
  return { child, ended, output: () => output, json: async () => JSON.parse(await readFile(file, 'utf8')) };
}
