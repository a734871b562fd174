import assert from 'node:assert/strict';
import { test } from 'node:test';
import { interpret } from '../src/config.ts';
import { luminance } from '../src/ui/branding.ts';

const page = new URL('https://meet.example/');

test('without a look of its own the client has ours', () => {
  const config = interpret({}, page);
  assert.deepEqual([config.logo, config.accent, config.links, config.tagline], [null, null, [], null]);
});

test('the look of the settings is taken over', () => {
  const links = [{ text: 'Imprint', url: 'https://example.org/' }];
  const config = interpret({ sluice: { appName: 'Meet', logo: '/branding/logo', accent: '#ff8800', links } }, page);
  assert.deepEqual([config.appName, config.logo, config.accent, config.links], ['Meet', '/branding/logo', '#ff8800', links]);
});

test('text on the accent is black on bright colours and white on dark ones', () => {
  for (const [colour, bright] of [['#ffffff', true], ['#000000', false], ['#2dd4bf', true], ['#003366', false], ['#ff8800', true]] as const) {
    assert.equal(luminance(colour) > 0.18, bright, colour);
  }
});
