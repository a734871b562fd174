// `tests/stock/app/run WEB_ROOT`: see there.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { BINARY } from '../../e2e/server.mjs';
import { codecs } from './codecs.mjs';
import { connection } from './connection.mjs';
import { cuts } from './cuts.mjs';
import { Group, Report } from './group.mjs';
import { ice } from './ice.mjs';
import { login } from './login.mjs';
import { media } from './media.mjs';
import { moderation } from './moderation.mjs';
import { Namespace } from './namespace.mjs';
import { room } from './room.mjs';
import { Servers } from './servers.mjs';

/** What runs beside each other: mostly without video, and with. */
const LANES = [{ room, moderation, login, cuts }, { media, connection, codecs, ice }];
const NAMES = LANES.flatMap((lane) => Object.keys(lane));

const { webRoot, only, json, look } = words();
if (look) process.exit(0);
// Everything that the run, its servers and its browsers leave lies below.
const folder = mkdtempSync(join(tmpdir(), 'sluice-stock-'));
process.env.TMPDIR = folder;
const servers = new Servers(webRoot, folder);
let namespace = null;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => leave(130));
process.on('uncaughtException', (error) => {
  console.error(error);
  leave(1);
});

const report = new Report();
if (only.includes('ice')) {
  const missing = Namespace.missing();
  // Before the first browser: one that sees interfaces come up gives up what it is loading.
  if (missing === null) namespace = await Namespace.make();
  else report.skip('ice', missing);
}
await Promise.all(LANES.map(async (lane) => {
  for (const [name, checks] of Object.entries(lane)) {
    if (!only.includes(name) || (name === 'ice' && namespace === null)) continue;
    await new Group(name, report, servers, namespace).run(checks);
  }
}));
const version = execFileSync(BINARY, ['--version'], { encoding: 'utf8' }).trim();
const load = loadavg().map((value) => value.toFixed(1)).join(' ');
console.log(`${report.summary()}; load ${load}; ${version}`);
if (json) writeFileSync(json, `${JSON.stringify({ version, seconds: report.seconds(), checks: report.checks }, null, 1)}\n`);
leave(report.failed() === 0 ? 0 : 1);

/** What was asked for; ends the run where it cannot be done. `look`: that is all that was wanted, before a server is built. */
function words() {
  const wrong = (what) => {
    console.error(`${what}; tests/stock/app/run --help says more`);
    process.exit(2);
  };
  let told;
  try {
    told = parseArgs({ allowPositionals: true, options: { only: { type: 'string' }, json: { type: 'string' }, look: { type: 'boolean' } } });
  } catch (error) {
    wrong(error.message);
  }
  const { values, positionals } = told;
  if (positionals.length !== 1) wrong('one WEB_ROOT is needed: a folder with a built Jitsi Meet web app');
  const root = resolve(positionals[0]);
  for (const file of ['index.html', 'libs/app.bundle.min.js', 'libs/lib-jitsi-meet.min.js']) {
    if (!existsSync(join(root, file))) wrong(`${root} has no ${file}: not a built Jitsi Meet web app`);
  }
  if (!values.look && !existsSync(BINARY)) wrong(`there is no server ${BINARY}`);
  const wanted = values.only === undefined ? NAMES : values.only.split(',');
  const unknown = wanted.find((name) => !NAMES.includes(name));
  if (unknown !== undefined) wrong(`there is no group ${unknown}: ${NAMES.join(', ')}`);
  return { webRoot: root, only: wanted, json: values.json, look: values.look === true };
}

/** Ends the run on every way out. Browsers that still run are ended by what started them, which hears of the exit first. */
function leave(status) {
  process.on('exit', () => {
    servers.kill();
    namespace?.remove();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  process.exit(status);
}
