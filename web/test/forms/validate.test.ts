import { expect, test } from 'vitest';
import type { JsonObject } from '../../src/app/editor/json';
import { faultsOf } from '../../src/app/forms/validate';

const SCHEMA: JsonObject = {
  type: 'object',
  required: ['question', 'people'],
  additionalProperties: false,
  properties: {
    question: { type: 'string', minLength: 3, maxLength: 10, pattern: '^[a-z ]+$' },
    people: { type: 'array', minItems: 1, items: { $ref: '#/$defs/Person' } },
    mode: { enum: ['a', 'b'] },
    limit: { anyOf: [{ type: 'integer', minimum: 1, maximum: 9 }, { type: 'null' }] },
  },
  $defs: { Person: { type: 'object', required: ['name'], properties: { name: { type: 'string' }, age: { type: 'number', exclusiveMinimum: 0 } } } },
};

const pathsOf = (value: JsonObject) => faultsOf(value, SCHEMA, SCHEMA).map((fault) => fault.path.join('.'));

test('a good value has no fault', () => {
  expect(pathsOf({ question: 'who is it', people: [{ name: 'Ada', age: 1.5 }], mode: 'b', limit: null })).toEqual([]);
});

test('each fault names its place', () => {
  const value = { question: 'X', people: [{ name: 'Ada' }, { age: 0 }, 3], mode: 'c', limit: 12, more: 1 };
  expect(pathsOf(value)).toEqual(['question', 'people.1.name', 'people.1.age', 'people.2', 'mode', 'limit', 'more']);
});

test('what is missing is told where it should be', () => {
  expect(faultsOf({}, SCHEMA, SCHEMA)).toEqual([
    { path: ['question'], message: 'This is required.' },
    { path: ['people'], message: 'This is required.' },
  ]);
});

test('messages say what to do', () => {
  const messages = (value: JsonObject) => faultsOf({ question: 'abc', people: [{ name: 'x' }], ...value }, SCHEMA, SCHEMA).map((one) => one.message);
  expect(messages({ question: '' })).toEqual(['This may not be empty.']);
  expect(messages({ question: '😀😀😀😀😀😀😀😀😀😀😀' })).toEqual(['At most 10 characters; these are 11.']);
  expect(messages({ limit: 1.5 })).toEqual(['This must be a whole number.']);
  expect(messages({ people: [] })).toEqual(['At least 1 item.']);
  expect(messages({ mode: 'x' })).toEqual(['Choose one of a, b.']);
});

test('a pattern that is not one forbids nothing', () => {
  expect(faultsOf('x', { pattern: '(' }, {})).toEqual([]);
});
