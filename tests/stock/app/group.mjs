// Checks that belong together, with the browser and the tabs that they opened, and the report of all.
import { setTimeout as pause } from 'node:timers/promises';
import { Tab, launch } from './tab.mjs';

/** What no check takes even on a busy machine. */
const LIMIT = 240_000;

export class Report {
  constructor() {
    /** `{ group, name, result, milliseconds, seen }`, as they ended. */
    this.checks = [];
    this.began = Date.now();
  }

  tell(group, name, result, milliseconds, seen) {
    this.checks.push({ group, name, result, milliseconds, seen });
    const what = seen === undefined ? '' : ` ${typeof seen === 'string' ? seen : JSON.stringify(seen)}`;
    console.log(`${result}  ${group}: ${name} (${milliseconds} ms)${what.replace(/\s+/g, ' ').slice(0, 1_500)}`);
  }

  skip(group, why) {
    this.checks.push({ group, name: group, result: 'SKIP', milliseconds: 0, seen: why });
    console.log(`SKIP  ${group}: ${why}`);
  }

  count(result) {
    return this.checks.filter((check) => check.result === result).length;
  }

  failed() {
    return this.count('FAIL');
  }

  seconds() {
    return Math.round((Date.now() - this.began) / 1000);
  }

  summary() {
    const skipped = this.count('SKIP');
    return `${this.count('PASS')} passed, ${this.failed()} failed${skipped > 0 ? `, ${skipped} left out` : ''}, in ${this.seconds()} s`;
  }
}

export class Group {
  constructor(name, report, servers, namespace) {
    Object.assign(this, { name, report, servers, namespace });
    this.browsers = [];
    this.tabs = [];
  }

  /** Runs what `checks` has; what fails outside of a check is a failure of the group. */
  async run(checks) {
    const began = Date.now();
    try {
      await checks(this);
    } catch (error) {
      this.report.tell(this.name, 'could not go on', 'FAIL', Date.now() - began, error.message);
    }
    for (const browser of this.browsers) await browser.close().catch(() => {});
  }

  /** Runs `body`; it passes unless that throws, and what it returns is what was seen. Closes the tabs that it opened and did not keep. */
  async check(name, body) {
    const before = this.tabs.length;
    const began = Date.now();
    const tell = (result, seen) => this.report.tell(this.name, name, result, Date.now() - began, seen);
    const limit = new AbortController();
    const late = pause(LIMIT, undefined, { signal: limit.signal }).then(() => {
      throw new Error(`not done after ${LIMIT / 1000} s`);
    });
    late.catch(() => {});
    try {
      tell('PASS', await Promise.race([body(), late]));
    } catch (error) {
      tell('FAIL', error.message);
    }
    limit.abort();
    for (const tab of this.tabs.slice(before)) if (!tab.kept) await tab.close();
  }

  /** A browser for this group; `executable` names another than the usual one. */
  async browser(executable) {
    const browser = await launch(executable);
    this.browsers.push(browser);
    return browser;
  }

  /** A tab in a room, and by default inside of it. `options`: those of `Tab.open`, `browser`, and whether it `joins`. */
  async join(base, room, name, { browser = null, joins = true, ...options } = {}) {
    const tab = await Tab.open(browser ?? this.browsers[0] ?? (await this.browser()), `${base}/${room}`, name, options);
    this.tabs.push(tab);
    if (joins) await tab.joined(60_000);
    return tab;
  }
}

/** A room that no other check has been in. */
export function freshRoom(name) {
  return `${name}${Date.now() % 1_000_000}`;
}

export function must(holds, seen) {
  if (!holds) throw new Error(typeof seen === 'string' ? seen : JSON.stringify(seen));
}

export { pause };
