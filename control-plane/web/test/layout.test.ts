import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hueOf, initials } from '../src/ui/dom.ts';
import { automaticMode, gridArrangement, pairArrangement, speakerArrangement, type Arrangement, type Rect } from '../src/ui/layout.ts';

const SIZES = [[1412, 770], [374, 732], [1040, 770], [300, 300], [2540, 1300], [160, 120]] as const;

const overlap = (a: Rect, b: Rect): boolean => a.x + a.width > b.x + 0.01 && b.x + b.width > a.x + 0.01 && a.y + a.height > b.y + 0.01 && b.y + b.height > a.y + 0.01;

function holds(arrangement: Arrangement, width: number, height: number, what: string): void {
  const all = [...arrangement.tiles, ...(arrangement.stage ? [arrangement.stage] : [])];
  for (const [index, rect] of all.entries()) {
    assert.ok(rect.x >= -0.01 && rect.y >= -0.01 && rect.x + rect.width <= width + 0.01 && rect.y + rect.height <= height + 0.01, `${what}: tile ${index} inside`);
    for (const other of all.slice(index + 1)) assert.ok(!overlap(rect, other), `${what}: tiles apart`);
  }
}

test('tiles lie inside the area and never overlap, for every count and size', () => {
  for (const [width, height] of SIZES) {
    for (let count = 0; count <= 40; count++) {
      const grid = gridArrangement(count, width, height);
      holds(grid, width, height, `grid of ${count} in ${width}x${height}`);
      assert.equal(grid.tiles.length, Math.min(count, grid.capacity));
      const speaker = speakerArrangement(count, width, height);
      holds(speaker, width, height, `speaker and ${count} in ${width}x${height}`);
      assert.equal(speaker.tiles.length, Math.min(count, speaker.capacity));
    }
  }
});

test('grid tiles are equal and of a shape that suits faces', () => {
  for (const [width, height] of SIZES) {
    for (let count = 1; count <= 25; count++) {
      const { tiles } = gridArrangement(count, width, height);
      for (const tile of tiles) {
        assert.ok(Math.abs(tile.width - tiles[0]!.width) < 0.01);
        const shape = tile.width / tile.height;
        assert.ok(shape > 0.74 && shape < 1.79, `${count} in ${width}x${height}: ${shape}`);
      }
    }
  }
});

test('known arrangements', () => {
  const columns = (arrangement: Arrangement): number => new Set(arrangement.tiles.map((tile) => Math.round(tile.y))).size;
  assert.equal(columns(gridArrangement(2, 1412, 770)), 1);
  assert.equal(columns(gridArrangement(2, 374, 732)), 2);
  assert.equal(columns(gridArrangement(6, 1412, 770)), 2);
  assert.equal(columns(gridArrangement(9, 1412, 770)), 3);
});

test('the speaker takes most of the area', () => {
  for (const [width, height] of [[1412, 770], [374, 732]] as const) {
    const { stage } = speakerArrangement(5, width, height);
    assert.ok(stage!.width * stage!.height > width * height * 0.7);
  }
});

test('a pair leaves its small picture in the corner', () => {
  for (const [width, height] of [[1412, 770], [374, 732]] as const) {
    const { stage, tiles } = pairArrangement(width, height);
    assert.deepEqual(stage, { x: 0, y: 0, width, height });
    assert.equal(tiles.length, 1);
    assert.ok(tiles[0]!.x > width / 2 && tiles[0]!.y > height / 2 && tiles[0]!.x + tiles[0]!.width < width);
  }
});

test('a shared screen is shown large by itself', () => {
  assert.equal(automaticMode(0), 'grid');
  assert.equal(automaticMode(1), 'speaker');
});

test('initials and colours', () => {
  for (const [name, expected] of [['Ann Lindqvist', 'AL'], ['ann', 'A'], ['', '?'], ['Ana María de la Cruz', 'AC'], ['李 雷', '李雷']] as const) assert.equal(initials(name), expected);
  const hues = new Set(Array.from({ length: 12 }, (_, i) => Math.floor(hueOf(`00000a0${i.toString(16)}`) / 30)));
  assert.ok(hues.size >= 6, 'ids that differ in one digit look different');
});
