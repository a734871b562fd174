// A call of two or three browsers on this machine through the server: each must see and hear all others.
//   node nspawn_call.mjs https://meet.test 10.61.0.2 three
import { chromium } from 'playwright-core';
import { ARGUMENTS, Participant } from './browser.mjs';

const [base, address, size] = process.argv.slice(2);
const names = size === 'three' ? ['Ann', 'Bob', 'Cem'] : ['Ann', 'Bob'];
const resolve = `--host-resolver-rules=MAP ${new URL(base).hostname} ${address}`;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args: [...ARGUMENTS, resolve] });
try {
  const room = `room${Date.now()}`;
  const people = [];
  const began = Date.now();
  for (const name of names) people.push(await Participant.join(browser, null, room, name, { base }));
  for (const person of people) await person.sees(names.length - 1, 30_000);
  for (const person of people) await person.hears(names.length - 1, 30_000);
  console.log(`${names.length} people see and hear each other after ${((Date.now() - began) / 1000).toFixed(1)} s`);
  if (size === 'three') {
    const page = await browser.newPage({ ignoreHTTPSErrors: true });
    await page.goto(`${base}/selftest`);
    await page.waitForSelector('body[data-outcome]', { timeout: 15_000 }).catch(() => {});
    console.log(`self-test page: ${await page.evaluate(() => document.body.dataset.outcome ?? 'absent')}`);
  }
} finally {
  await browser.close();
}
