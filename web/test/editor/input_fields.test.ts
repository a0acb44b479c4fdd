import { expect, test } from 'vitest';
import { fieldsOf, schemaFrom } from '../../src/app/editor/input-fields';

test('a plain schema is a list of fields, and the list makes the schema again', () => {
  const schema = {
    type: 'object',
    required: ['question'],
    properties: {
      question: { type: 'string', description: 'What is asked.' },
      tone: { type: 'string', enum: ['calm', 'excited'], default: 'calm' },
      limit: { type: 'integer', default: 3 },
    },
  };
  const fields = fieldsOf(schema);
  expect(fields).toMatchObject([{ name: 'question', isRequired: true }, { name: 'tone', isRequired: false }, { name: 'limit', default: 3 }]);
  expect(schemaFrom(fields ?? [])).toEqual(schema);
});

test('no schema is no field, and no field is no schema', () => {
  expect(fieldsOf(null)).toEqual([]);
  expect(schemaFrom([])).toBeNull();
  expect(schemaFrom([{ name: '', type: 'string' }])).toBeNull();
});

test('a schema that says more than fields can is left to JSON', () => {
  for (const schema of [
    { type: 'array' },
    { type: 'object', properties: { a: { type: 'string', minLength: 3 } } },
    { type: 'object', additionalProperties: false, properties: {} },
    { type: 'object', properties: { a: { type: 'object', properties: {} } } },
    { type: 'object', properties: { a: { enum: [1, 2] } } },
    { type: 'object', properties: { a: {} } },
  ]) {
    expect(fieldsOf(schema), JSON.stringify(schema)).toBeNull();
  }
});
