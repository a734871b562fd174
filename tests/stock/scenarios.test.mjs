// Every text in `scenarios/`, over each transport that the server has, unless its first line says otherwise.
import { readFileSync, readdirSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Server } from '../e2e/server.mjs';
import { TRANSPORTS } from './client.mjs';
import { Scenario } from './scenario.mjs';

const FOLDER = new URL('scenarios/', import.meta.url);
let server;

before(async () => { server = await Server.start({ media: { workers: 1, pin: false } }); });
after(async () => { await server.stop(); });

for (const file of readdirSync(FOLDER).filter((name) => name.endsWith('.txt')).sort()) {
  const text = readFileSync(new URL(file, FOLDER), 'utf8');
  describe(file.replace(/\.txt$/, '').replaceAll('_', ' '), () => {
    for (const [name, Transport] of Object.entries(TRANSPORTS)) {
      if (text.startsWith('# WebSocket only') && name !== 'WebSocket') continue;
      test(`over ${name}`, { timeout: 30_000 }, () => new Scenario(text, (query) => new Transport(server.url, query)).run());
    }
  });
}
