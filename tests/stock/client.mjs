// One scripted client on a real listener: WebSocket (RFC 7395) or BOSH (XEP-0124, XEP-0206).
import { once } from 'node:events';
import WebSocket from 'ws';
import { parse, written } from './match.mjs';

const FRAMING = 'urn:ietf:params:xml:ns:xmpp-framing';

export class Client {
  constructor(name, transport) {
    this.name = name;
    this.transport = transport;
    this.inbox = [];
    this.wake = [];
    this.received = 0;
    this.closed = false;
    transport.onFrame = (text) => this.frame(text);
    transport.onClose = () => { this.closed = true; this.wake.splice(0).forEach((wake) => wake()); };
  }

  frame(text) {
    const element = parse(text);
    const wrong = written(element);
    if (wrong.length > 0) throw new Error(`${this.name} got what stock clients misread: ${wrong.join('; ')} in ${text}`);
    if (['iq', 'message', 'presence'].includes(element.localName)) this.received += 1;
    // Requests for a count are answered by the stream, not by the script.
    if (element.localName === 'r') this.send(`<a xmlns='urn:xmpp:sm:3' h='${this.received - this.before}'/>`);
    else if (element.localName !== 'a') this.inbox.push({ text, element });
    this.wake.splice(0).forEach((wake) => wake());
  }

  send(text) { this.transport.send(text); }

  /** The next frame for which `test` gives something, and that; frames before it are passed over. */
  async next(what, test, within = 5_000) {
    const deadline = Date.now() + within;
    const passed = [];
    for (;;) {
      while (this.inbox.length > 0) {
        const frame = this.inbox.shift();
        const result = test(frame.element, frame.text);
        if (result) return result;
        passed.push(frame.text);
      }
      const left = deadline - Date.now();
      if (left <= 0 || this.closed) throw new Error(`${this.name} did not get ${what}${this.closed ? ' before the end' : ''}; got\n  ${passed.join('\n  ') || 'nothing'}`);
      await new Promise((wake) => { this.wake.push(wake); setTimeout(wake, left); });
    }
  }

  /** From the first frame to the bound stream, as stock clients do it. */
  async open(domain, { resume = null } = {}) {
    this.before = 0;
    await this.transport.open(domain);
    await this.next('mechanisms', (element, text) => /<mechanism>ANONYMOUS</.test(text));
    this.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>");
    await this.next('success', (element) => element.localName === 'success');
    this.transport.restart(domain);
    await this.next('bind', (element, text) => /<bind /.test(text));
    if (resume !== null) {
      this.send(`<resume xmlns='urn:xmpp:sm:3' previd='${resume.id}' h='${resume.h}'/>`);
      this.received = resume.h;
      return this.next('resumed or failed', (element) => (['resumed', 'failed'].includes(element.localName) ? element.localName : null));
    }
    this.send("<iq xmlns='jabber:client' type='set' id='_bind_auth_2'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    this.jid = await this.next('an address', (element, text) => /<jid>([^<]+)<\/jid>/.exec(text)?.[1]);
    this.nick = this.jid.slice(0, 8);
    this.resumption = null;
    if (!this.transport.manages) return this.jid;
    this.before = this.received;
    this.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    this.resumption = await this.next('enabled', (element) => element.localName === 'enabled' && element.getAttribute('id'));
    return this.jid;
  }

  /** What the client would say at resumption. */
  count() { return this.received - this.before; }
}

export class WebSocketTransport {
  manages = true;

  constructor(base, query) { this.url = `${base.replace(/^http/, 'ws')}/xmpp-websocket?${query}`; }

  async open(domain) {
    this.socket = new WebSocket(this.url, 'xmpp');
    this.socket.on('message', (data) => this.onFrame(data.toString()));
    this.socket.on('close', () => this.onClose());
    await once(this.socket, 'open');
    if (this.socket.protocol !== 'xmpp') throw new Error('the subprotocol was not echoed');
    this.restart(domain);
  }

  restart(domain) { this.send(`<open xmlns='${FRAMING}' to='${domain}' version='1.0'/>`); }
  send(text) { this.socket.send(text); }
  drop() { this.socket.terminate(); }
}

async function ask(url, body) {
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'text/xml; charset=utf-8' }, body });
  return { status: response.status, text: await response.text() };
}

export class BoshTransport {
  manages = false;

  constructor(base, query) {
    this.url = `${base}/http-bind?${query}`;
    this.rid = Math.floor(Math.random() * 1e9) + 1;
    this.sid = null;
    this.queue = [];
    this.open_ = 0;
    this.ended = false;
    this.read = Promise.resolve();
  }

  async open(domain) {
    this.stopped = false;
    this.domain = domain;
    await this.post(`to='${domain}' xml:lang='en' wait='10' hold='1' content='text/xml; charset=utf-8' ver='1.6' xmpp:version='1.0' xmlns:xmpp='urn:xmpp:xbosh'`, '');
  }

  restart(domain) { void this.post(`to='${domain}' xml:lang='en' xmpp:restart='true' xmlns:xmpp='urn:xmpp:xbosh'`, ''); }

  send(text) {
    this.queue.push(text);
    if (this.queue.length === 1) setImmediate(() => { if (!this.ended) void this.post('', this.queue.splice(0).join('')); });
  }

  drop() { this.ended = true; }

  async post(attributes, inner) {
    const sid = this.sid === null ? '' : ` sid='${this.sid}'`;
    const body = `<body rid='${this.rid++}' xmlns='http://jabber.org/protocol/httpbind'${sid} ${attributes}>${inner}</body>`;
    this.open_ += 1;
    const before = this.read;
    let read;
    this.read = new Promise((resolve) => { read = resolve; });
    // A server may close a connection just as it is used again: the same request is made once more (XEP-0124 §14.3).
    const answer = await ask(this.url, body).catch(() => ask(this.url, body)).catch(() => null);
    // Answers come on several connections: they are read in the order of the requests (XEP-0124 §14.2).
    await before;
    this.open_ -= 1;
    this.hear(answer);
    read();
    // One request is always there for the server to answer by.
    if (this.open_ === 0 && !this.ended) void this.post('', this.queue.splice(0).join(''));
  }

  hear(answer) {
    if (this.ended) return;
    if (answer === null || answer.status !== 200) { this.ended = true; this.onClose(); return; }
    const element = parse(answer.text);
    this.sid ??= element.getAttribute('sid');
    for (const child of [...element.childNodes].filter((node) => node.nodeType === 1)) this.onFrame(child.toString());
    if (element.getAttribute('type') === 'terminate') { this.ended = true; this.onClose(); }
  }
}

export const TRANSPORTS = { WebSocket: WebSocketTransport, BOSH: BoshTransport };
