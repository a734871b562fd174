// Pictures of what an operator looks at, taken of a server under load B2: `sluice top` in a terminal, and both dashboards from a real Prometheus.
//
//   node tests/e2e/pictures.mjs FOLDER        (about a minute; SLUICE_BINARY as in the other tests)
//
// Writes top.png, overview.png and workers.png there, to be looked at. Ends with 1 if a panel has no data, or `top` does not show the load.
// Needs the Debian package prometheus, and chromium.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launch, pause } from './browser.mjs';
import { page, read } from './dashboard.mjs';
import { load } from './generator.mjs';
import { BINARY, Server, freePort } from './server.mjs';

// Half of B2 unless told: test machines are small.
const ROOMS = Number(process.env.SLUICE_B2_ROOMS ?? 6);
// It is ended as soon as all is drawn.
const SECONDS = 60;
const [ROWS, COLUMNS] = [34, 118];

/** Prometheus with our configuration, but for a scrape each second of this server. */
async function prometheus(server) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-prometheus-'));
  const ours = readFileSync(new URL('../../control-plane/monitoring/prometheus.yml', import.meta.url), 'utf8');
  const config = ours.replace(/^rule_files:\n.*\n/m, '').replace('15s', '1s').replace('127.0.0.1:8888', `127.0.0.1:${server.ports.private}`);
  writeFileSync(join(folder, 'prometheus.yml'), config);
  const port = await freePort();
  const options = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=127.0.0.1:${port}`, '--log.level=error'];
  const child = spawn('prometheus', options, { stdio: 'inherit' });
  await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; ; tries++) {
    const answer = await fetch(`${url}/api/v1/query?query=sluice_up_seconds`).then((answer) => answer.json()).catch(() => null);
    if (answer?.data?.result.length) return { child, url };
    if (tries === 100) throw new Error('Prometheus has nothing of the server after ten seconds');
    await pause(100);
  }
}

/** What a terminal shows after some seconds of `sluice top`. */
async function top(server) {
  const command = `stty rows ${ROWS} cols ${COLUMNS}; exec timeout 4 ${BINARY} top --private 127.0.0.1:${server.ports.private}`;
  const child = spawn('script', ['--quiet', '--command', command, '/dev/null'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (bytes) => (output += bytes));
  await new Promise((resolve) => child.once('close', resolve));
  // It goes home, clears the end of each line, and then all below.
  const screen = output.split('\x1b[H').at(-1).replaceAll('\x1b[K', '').replaceAll('\r', '').split('\x1b[J')[0];
  if (screen.includes('\x1b')) throw new Error(`an escape that this does not draw: ${JSON.stringify(screen)}`);
  return screen;
}

/** What is wrong with the picture of `top` under B2. */
function problems(screen) {
  const rows = screen.split('\n').filter((line) => /\budp [46]\b/.test(line));
  const found = [];
  if (!screen.includes(`${ROOMS} rooms   ${5 * ROOMS} people`)) found.push('rooms and people are not shown');
  if (!/^media-0 +\d+\.\d%/m.test(screen)) found.push('no load of a media thread');
  if (rows.length < 10) found.push(`${rows.length} people are shown`);
  if (!rows.every((row) => /\d \wb\/s.* [1-4]x\d+/.test(row))) found.push('somebody is shown without rates and layers');
  return found.map((text) => `top: ${text}`);
}

async function main(folder) {
  mkdirSync(folder, { recursive: true });
  const server = await Server.start();
  const watcher = await prometheus(server);
  const browser = await launch();
  const found = [];
  const draw = async (name, html, viewport) => {
    const tab = await browser.newPage({ viewport });
    await tab.setContent(html);
    await tab.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
    await tab.close();
  };
  try {
    const from = Date.now() / 1000;
    const run = await load('--url', server.url, '--profile', 'B2', '--rooms', String(ROOMS), '--seconds', String(SECONDS), '--join-rate', '20');
    await pause(15_000);
    const screen = await top(server);
    found.push(...problems(screen));
    const escaped = screen.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
    await draw('top', `<body style="margin:0;background:#111"><pre style="margin:12px;color:#ddd;font:14px/1.25 monospace">${escaped}</pre>`, { width: 1024, height: 200 });
    const to = Date.now() / 1000;
    for (const name of ['overview', 'workers']) {
      const dashboard = JSON.parse(readFileSync(new URL(`../../control-plane/monitoring/${name}.json`, import.meta.url), 'utf8'));
      const panels = await read(dashboard, watcher.url, from, to);
      const empty = panels.filter(({ series }) => !series.some(({ points }) => points.length > 5));
      found.push(...empty.map(({ panel }) => `${name}: "${panel.title}" has no data`));
      console.log(`${name}: ${panels.length - empty.length} of ${panels.length} panels have data`);
      await draw(name, page(dashboard, panels, from, to), { width: 1500, height: 900 });
    }
    run.child.kill('SIGINT');
    await run.ended;
  } finally {
    await browser.close();
    watcher.child.kill();
    await server.stop();
  }
  found.forEach((problem) => console.log(problem));
  console.log(`pictures are in ${folder}`);
  return found.length === 0 ? 0 : 1;
}

if (process.argv.length !== 3) {
  console.error('usage: node pictures.mjs FOLDER');
  process.exit(2);
}
process.exit(await main(process.argv[2]));
