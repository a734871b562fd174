// node compare.mjs THEIRS OURS [--bosh] [--domain NAME] [--frames]: one scripted client against two services, such as
// http://127.0.0.1:5280 http://127.0.0.1:8080, and what it was sent by each, stanza by stanza. The same URL twice shows what is chance.
//
// Exit status: 0 alike, 1 different, 2 a conversation broke off.
import { TRANSPORTS } from './client.mjs';
import { converse } from './compared/conversation.mjs';
import { differences } from './compared/difference.mjs';
import { Service } from './compared/service.mjs';

const flags = process.argv.slice(2);
const after = (flag, fallback) => (flags.includes(flag) ? flags.splice(flags.indexOf(flag), 2)[1] : fallback);
const is = (flag) => flags.includes(flag) && flags.splice(flags.indexOf(flag), 1).length === 1;
const domain = after('--domain', 'meet.sluice');
const bosh = is('--bosh');
const Transport = TRANSPORTS[bosh ? 'BOSH' : 'WebSocket'];
const frames = is('--frames');
const [theirs, ours] = flags.map((base) => new Service((query) => new Transport(base, query), domain));
if (ours === undefined) {
  console.error('usage: node compare.mjs THEIRS OURS [--bosh] [--domain NAME] [--frames]');
  process.exit(2);
}

const broken = [];
await Promise.all([theirs, ours].map((service) => converse(service).catch((error) => broken.push(`${service === ours ? 'ours' : 'theirs'}: ${error.message}`)).finally(() => service.close())));

let [alike, different] = [0, 0];
const used = new Map();
for (const [index, { title, got }] of theirs.steps.entries()) {
  const step = { title: bosh ? `${title}, over BOSH` : title, got };
  const other = ours.steps[index] ?? { title, got: [] };
  const result = differences({ step, known: theirs.known }, { step: other, known: ours.known }, used);
  alike += result.alike;
  if (result.out.length > 0) different += 1;
  console.log(`${result.out.length > 0 ? '≠' : '='} ${step.title} (${result.alike} alike)`);
  for (const line of result.out) console.log(`  ${line}`);
  if (frames) for (const frame of [...step.got, { client: 'ours', text: '' }, ...other.got]) console.log(`      ${frame.client} ${frame.text}`);
}
console.log(`${alike} stanzas alike; ${different} of ${theirs.steps.length} steps differ beside what docs/compared.md explains`);
for (const [reason, count] of used) console.log(`  ${reason}: ${count}`);
for (const line of broken) console.log(`broken off: ${line}`);
process.exit(broken.length > 0 ? 2 : Number(different > 0));
