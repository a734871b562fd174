// Passes TCP connections on. By itself: `node relay.mjs PORT HOST PORT` listens on this machine's, or this namespace's, localhost,
// as a page has a camera on localhost only, or by HTTPS.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { pathToFileURL } from 'node:url';

/** What comes in at `listen` goes to `to`; both are `{ host, port }`. */
export async function relay(listen, to) {
  const server = createServer((near) => tie(near, connect(to)));
  server.listen(listen);
  await once(server, 'listening');
  return server;
}

/** What one socket reads the other one writes, and they end together. */
export function tie(near, far) {
  for (const [from, into] of [[near, far], [far, near]]) {
    from.pipe(into);
    from.on('error', () => into.destroy());
    from.on('close', () => into.destroy());
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [port, host, target] = process.argv.slice(2);
  await relay({ host: '127.0.0.1', port: Number(port) }, { host, port: Number(target) });
  console.log('ready');
}
