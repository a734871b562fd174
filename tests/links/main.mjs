// `tests/links/run [PLAN…]`: see there.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { codecs } from './codecs.mjs';
import { loss, mixed, outages, steady, step } from './plans.mjs';

const PLANS = { step, steady, loss, mixed, outages, codecs };
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean' }, json: { type: 'string' }, only: { type: 'string' }, switches: { type: 'string' }, height: { type: 'string' }, all: { type: 'boolean' } },
});
const wanted = positionals.length > 0 ? positionals : Object.keys(PLANS);
const unknown = wanted.find((name) => !(name in PLANS));
if (unknown !== undefined) {
  console.error(`there is no plan ${unknown}: ${Object.keys(PLANS).join(', ')}`);
  process.exit(2);
}
const numbers = Object.fromEntries(['switches', 'height'].filter((name) => values[name]).map((name) => [name, Number(values[name])]));
const options = { quick: values.quick === true, all: values.all === true, ...(values.only ? { only: values.only } : {}), ...numbers };

const figures = {};
for (const name of wanted) {
  figures[name] = await PLANS[name](options);
  table(name, figures[name]);
}
if (values.json) writeFileSync(values.json, `${JSON.stringify(figures, null, 1)}\n`);
process.exit(0);

/** A line for each figure; rows of a list on one line each. */
function table(name, value) {
  if (Array.isArray(value)) {
    for (const row of value) console.log(`${name}: ${Object.entries(row).map(([key, cell]) => `${key} ${Array.isArray(cell) ? cell.join('; ') : cell}`).join(', ')}`);
  } else if (value !== null && typeof value === 'object') {
    for (const [key, inner] of Object.entries(value)) table(`${name}.${key}`, inner);
  } else {
    console.log(`${name.padEnd(52)} ${value}`);
  }
}
