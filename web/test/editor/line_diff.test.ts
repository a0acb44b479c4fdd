import { expect, test } from 'vitest';
import { lineDiff } from '../../src/app/editor/line-diff';

const shown = (before: string | null, after: string | null) => lineDiff(before, after).map(({ sign, text }) => sign + text);

test('lines that both have are kept, what is gone comes before what is new', () => {
  expect(shown('a\nb\nc', 'a\nx\nc\nd')).toEqual([' a', '-b', '+x', ' c', '+d']);
});

test('a text against none is all new, or all gone', () => {
  expect(shown(null, 'a\nb')).toEqual(['+a', '+b']);
  expect(shown('a', null)).toEqual(['-a']);
  expect(shown('', '')).toEqual([' ']);
});

test('both texts can be read off the difference', () => {
  const [before, after] = ['the\nriver\nsplits\nand\njoins', 'the\nwide\nriver\njoins\nagain'];
  const lines = lineDiff(before, after);
  const side = (gone: string) => lines.filter(({ sign }) => sign !== gone).map(({ text }) => text).join('\n');
  expect(side('+')).toBe(before);
  expect(side('-')).toBe(after);
});

test('very long texts are shown one after the other', () => {
  const long = Array.from({ length: 700 }, (_, index) => String(index)).join('\n');
  expect(lineDiff(long, 'x')).toHaveLength(701);
});
