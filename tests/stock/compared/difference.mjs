// What two services sent in the same step, paired and told apart.
import { canonical, kind } from './canonical.mjs';
import { explainedOrder, unexplained } from './explained.mjs';

/** Lines shown of a stanza that only one of them sent. */
const LINES = 12;

/** Lines that say how a step differs, and how many frames were alike. */
export function differences(theirs, ours, used) {
  const out = [];
  let alike = 0;
  const names = new Set([...theirs.step.got, ...ours.step.got].map((frame) => frame.client));
  for (const name of names) {
    const [left, right] = [theirs, ours].map((side) => side.step.got.filter((frame) => frame.client === name).map((frame) => ({ kind: kind(frame.text, side.known), lines: canonical(frame.text, side.known) })));
    const pairs = paired(left, right);
    for (const [a, b] of pairs.both) {
      const changes = unexplained(theirs.step.title, changed(a.lines, b.lines), used);
      if (changes.length === 0) alike += 1;
      else out.push(`${name}: ${a.kind}`, ...changes.map((line) => `    ${line}`));
    }
    for (const [sign, whose, frames] of [['-', 'theirs', pairs.left], ['+', 'ours', pairs.right]]) {
      for (const { lines } of frames) {
        // A stanza is meant if its first line is.
        if (unexplained(theirs.step.title, [`${sign} ${lines[0]}`], used).length === 0) continue;
        out.push(`${name}: only ${whose}`, ...beginning(lines).map((line) => `    ${sign} ${line}`));
      }
    }
    if (explainedOrder(theirs.step.title)) continue;
    const order = pairs.both.map(([, b]) => right.indexOf(b));
    if (order.some((at, index) => index > 0 && at < order[index - 1])) {
      out.push(`${name}: another order`, ...pairs.both.map(([a], index) => `    ${a.kind}: ${index + 1}, ours ${[...order].sort((x, y) => x - y).indexOf(order[index]) + 1}`));
    }
  }
  return { out, alike };
}

/** Enough to know a stanza by. */
const beginning = (lines) => (lines.length > LINES ? [...lines.slice(0, LINES), `… ${lines.length - LINES} more lines`] : lines);

/** Frames of the same kind in their order, equal ones before others. */
function paired(left, right) {
  const both = [];
  const free = new Set(right);
  const rest = new Set(left);
  for (const same of [(a, b) => a.kind === b.kind && a.lines.join() === b.lines.join(), (a, b) => a.kind === b.kind]) {
    for (const a of [...rest]) {
      const b = [...free].find((candidate) => same(a, candidate));
      if (b === undefined) continue;
      both.push([a, b]);
      free.delete(b);
      rest.delete(a);
    }
  }
  both.sort(([a], [b]) => left.indexOf(a) - left.indexOf(b));
  return { both, left: [...rest], right: [...free] };
}

/** The shortest list of lines to take away and to add. */
function changed(a, b) {
  const table = Array.from({ length: a.length + 1 }, () => new Array(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) table[i][j] = a[i] === b[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
  }
  const out = [];
  for (let i = 0, j = 0; i < a.length || j < b.length;) {
    if (i < a.length && j < b.length && a[i] === b[j]) { i += 1; j += 1; }
    else if (j >= b.length || (i < a.length && table[i + 1][j] >= table[i][j + 1])) { out.push(`- ${a[i]}`); i += 1; }
    else { out.push(`+ ${b[j]}`); j += 1; }
  }
  return out;
}
