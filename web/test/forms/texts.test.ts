import { expect, test } from 'vitest';
import type { Json } from '../../src/app/editor/json';
import { jsonOfText, textOfJson } from '../../src/app/forms/parsed-fields';

test('whatever a field of JSON and templates shows is read back as it was', () => {
  const values: readonly Json[] = ['', 'a', '{{ input }}', '5', '"5"', 'true', 'null', '{', 5, true, null, [], ['a'], { a: '{{ b }}' }, 'a\nb', ' 7 '];
  for (const value of values) expect(jsonOfText(textOfJson(value, true), true), JSON.stringify(value)).toEqual(value);
});

test('without templates only JSON is read', () => {
  expect(jsonOfText('{{ input }}', false)).toBeUndefined();
  expect(jsonOfText('{"a": 1}', false)).toEqual({ a: 1 });
  expect(textOfJson(undefined, false)).toBe('');
});
