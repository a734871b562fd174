// Certificates that tests put into place, and what a connection is shown of them.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';

/** The pair of files that the server is told of. */
export class CertificateFiles {
  constructor() {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-e2e-'));
    [this.certificate, this.key] = ['cert.pem', 'key.pem'].map((name) => join(folder, name));
  }

  /** A new pair with this common name in place of the old, each file by renaming. */
  renew(name) {
    const ecdsa = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    const files = ['-keyout', `${this.key}.new`, '-out', `${this.certificate}.new`];
    execFileSync('openssl', ['req', '-x509', ...ecdsa, '-days', '30', '-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost', ...files], { stdio: 'ignore' });
    for (const path of [this.certificate, this.key]) renameSync(`${path}.new`, path);
  }
}

/** A new TLS connection to the port here. */
export function secure(port) {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: 'localhost', port, rejectUnauthorized: false, servername: 'localhost' }, () => resolve(socket)).on('error', reject);
  });
}

/** The common name that the next connection to this port is shown. */
export async function shown(port) {
  const socket = await secure(port);
  const name = socket.getPeerCertificate().subject.CN;
  socket.destroy();
  return name;
}

/** The head of the answer to a request for the page on an open connection that stays open. */
export async function head(socket) {
  socket.write('HEAD /config.js HTTP/1.1\r\nHost: localhost\r\n\r\n');
  let text = '';
  while (!text.includes('\r\n\r\n')) {
    const [bytes] = await once(socket, 'data', { signal: AbortSignal.timeout(5_000) });
    text += bytes.toString('latin1');
  }
  return text.toLowerCase();
}
