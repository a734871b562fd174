// An HTTP proxy in front of a server, which can be cut: connections end and new ones are refused.
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { connect } from 'node:net';
import { freePort } from '../../e2e/server.mjs';
import { tie } from './relay.mjs';

/** What a server of web pages alone does not answer. */
const XMPP = /xmpp-websocket|http-bind|conference-request/;

export class Proxy {
  /** In front of a port of this machine. `xmppOnly`: a cut leaves the page itself to be had. */
  static async start(target, { xmppOnly = false } = {}) {
    const proxy = new Proxy(target, xmppOnly, await freePort());
    await proxy.listen();
    return proxy;
  }

  constructor(target, xmppOnly, port) {
    Object.assign(this, { target, xmppOnly, port });
    this.base = `http://localhost:${port}`;
    this.isCut = false;
    this.sockets = new Set();
  }

  async listen() {
    this.server = createServer((asked, answer) => this.pass(asked, answer));
    this.server.on('upgrade', (asked, socket, head) => this.upgrade(asked, socket, head));
    this.server.on('clientError', (error, socket) => socket.destroy());
    this.server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
    this.server.listen(this.port, '127.0.0.1');
    await once(this.server, 'listening');
  }

  pass(asked, answer) {
    if (this.isCut && XMPP.test(asked.url)) {
      answer.writeHead(502).end();
      return;
    }
    const { method, url: path, headers } = asked;
    const onward = request({ host: '127.0.0.1', port: this.target, method, path, headers }, (told) => {
      answer.writeHead(told.statusCode, told.headers);
      told.pipe(answer);
    });
    onward.on('error', () => answer.destroy());
    answer.on('close', () => onward.destroy());
    asked.pipe(onward);
  }

  upgrade(asked, socket, head) {
    if (this.isCut) {
      socket.destroy();
      return;
    }
    const onward = connect(this.target, '127.0.0.1', () => {
      const headers = asked.rawHeaders.reduce((text, word, at) => `${text}${word}${at % 2 === 0 ? ': ' : '\r\n'}`, '');
      onward.write(`${asked.method} ${asked.url} HTTP/1.1\r\n${headers}\r\n`);
      if (head.length > 0) onward.write(head);
      tie(socket, onward);
    });
    onward.on('error', () => socket.destroy());
  }

  async cut() {
    this.isCut = true;
    if (this.xmppOnly) this.drop();
    else await this.stop();
  }

  async mend() {
    this.isCut = false;
    if (!this.xmppOnly) await this.listen();
  }

  drop() {
    for (const socket of this.sockets) socket.destroy();
  }

  /** Connections to its port are refused from then on. */
  async stop() {
    if (!this.server.listening) return;
    const closed = once(this.server, 'close');
    this.server.close();
    this.drop();
    await closed;
  }
}
