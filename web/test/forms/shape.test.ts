import { expect, test } from 'vitest';
import type { JsonObject } from '../../src/app/editor/json';
import { shapeOf, wordsOf } from '../../src/app/forms/shape';
import { startingValue } from '../../src/app/forms/starting';

const ROOT: JsonObject = {
  $defs: {
    Mode: { enum: ['GET', 'POST'], description: 'Methods.', type: 'string' },
    Target: {
      description: 'The target; exactly one field is set.',
      type: 'object',
      properties: { dataTable: { anyOf: [{ type: 'string' }, { type: 'null' }], default: null }, other: { anyOf: [{ type: 'object' }, { type: 'null' }] } },
    },
    Loop: { $ref: '#/$defs/Loop' },
  },
};

test('a reference takes the description of its use', () => {
  const shape = shapeOf({ $ref: '#/$defs/Mode', description: 'The method.', default: 'GET' }, ROOT, 'method');
  expect(shape).toMatchObject({ type: 'enum', description: 'The method.', preset: 'GET', title: 'Method' });
});

test('a thing or null is that thing, nullable', () => {
  const shape = shapeOf({ anyOf: [{ type: 'integer', minimum: 1 }, { type: 'null' }], title: 'Maxtokens' }, ROOT, 'maxTokens');
  expect(shape).toMatchObject({ type: 'number', isInteger: true, minimum: 1, isNullable: true, title: 'Max tokens' });
  expect(shapeOf({ type: ['string', 'null'] }, ROOT)).toMatchObject({ type: 'text', isNullable: true });
});

test('marks tell templates, secrets and references', () => {
  expect(shapeOf({ type: 'string', 'x-template': true, 'x-secret': true }, ROOT)).toMatchObject({ isTemplate: true, isSecret: true, isLong: true });
  expect(shapeOf({ type: 'string', 'x-reference': 'collection' }, ROOT)).toMatchObject({ type: 'text', reference: 'collection' });
});

test('an object of which one field is set is a choice', () => {
  expect(shapeOf({ $ref: '#/$defs/Target' }, ROOT)).toMatchObject({ type: 'choice', members: [{ name: 'dataTable' }, { name: 'other' }] });
});

test('what no form can ask for is entered as JSON', () => {
  for (const schema of [{}, { type: 'object' }, { $ref: '#/$defs/Loop' }, { type: ['string', 'number'] }]) {
    expect(shapeOf(schema, ROOT).type).toBe('json');
  }
});

test('constants with titles are options', () => {
  const schema = { oneOf: [{ const: 1, title: 'One' }, { const: 2 }] };
  expect(shapeOf(schema, ROOT)).toMatchObject({ type: 'enum', options: [{ value: 1, title: 'One' }, { value: 2, title: '2' }] });
});

test('an own title is kept', () => {
  expect(shapeOf({ type: 'string', title: 'Your question' }, ROOT, 'question').title).toBe('Your question');
  expect(wordsOf('followRedirects')).toBe('Follow redirects');
});

test('a form begins with presets and what is required', () => {
  const schema: JsonObject = {
    type: 'object',
    required: ['question', 'mode', 'tags', 'target'],
    properties: {
      question: { type: 'string' },
      mode: { $ref: '#/$defs/Mode' },
      tags: { type: 'array', items: { type: 'string' }, minItems: 1 },
      limit: { type: 'integer', default: 5 },
      note: { anyOf: [{ type: 'string' }, { type: 'null' }], default: null },
      target: { $ref: '#/$defs/Target' },
    },
    $defs: ROOT['$defs'] ?? {},
  };
  expect(startingValue(schema)).toEqual({ question: '', mode: 'GET', tags: [''], limit: 5, target: { dataTable: '' } });
});
