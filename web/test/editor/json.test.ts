import { expect, test } from 'vitest';
import { isEqual, merge, partAt, withPart } from '../../src/app/editor/json';

test('the order of names does not count, that of items does', () => {
  expect(isEqual({ a: 1, b: [1, 2] }, { b: [1, 2], a: 1 })).toBe(true);
  expect(isEqual([1, 2], [2, 1])).toBe(false);
  expect(isEqual({ a: null }, {})).toBe(false);
});

test('a part is found, replaced and taken away by its path', () => {
  const value = { a: { b: [1, { c: 2 }] } };
  expect(partAt(value, ['a', 'b', '1', 'c'])).toBe(2);
  expect(partAt(value, ['a', 'x', 'y'])).toBeUndefined();
  expect(withPart(value, ['a', 'b', '1', 'c'], 3)).toEqual({ a: { b: [1, { c: 3 }] } });
  expect(withPart(value, ['a', 'b', '0'], undefined)).toEqual({ a: { b: [{ c: 2 }] } });
  expect(withPart(null, ['x', 'y'], 1)).toEqual({ x: { y: 1 } });
  expect(Object.keys(withPart({ a: 1, b: 2 }, ['a'], 3) as object)).toEqual(['a', 'b']);
});

test('changes of different names are merged', () => {
  const merged = merge({ a: 1, b: 1, c: 1 }, { a: 2, b: 1, d: 1 }, { a: 1, b: 2, c: 1 });
  expect(merged).toEqual({ value: { a: 2, b: 2, d: 1 }, clashes: [] });
});

test('changes of the same name clash, and theirs stays', () => {
  const merged = merge({ a: { b: 1 } }, { a: { b: 2 } }, { a: { b: 3 } });
  expect(merged).toEqual({ value: { a: { b: 3 } }, clashes: [{ path: ['a', 'b'], mine: 2, theirs: 3 }] });
});

test('the same change by both is none', () => {
  expect(merge([1], [1, 2], [1, 2])).toEqual({ value: [1, 2], clashes: [] });
});

test('a removal against a change clashes', () => {
  expect(merge({ a: 1 }, {}, { a: 2 })).toEqual({ value: { a: 2 }, clashes: [{ path: ['a'], mine: undefined, theirs: 2 }] });
});
