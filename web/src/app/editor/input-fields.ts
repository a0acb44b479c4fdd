/** The input of a workflow as a list of fields, where its JSON Schema is no more than that. */

import { isObject, type Json, type JsonObject } from './json';

const TYPES = ['string', 'number', 'integer', 'boolean', 'array', 'object'] as const;
const KNOWN = new Set(['type', 'required', 'properties', 'additionalProperties', '$schema', 'title', 'description']);
const KNOWN_OF_FIELD = new Set(['type', 'description', 'default', 'enum']);

/** The schema of the list itself, for the same forms as everywhere. */
export const FIELD_LIST: JsonObject = {
  title: 'Input fields',
  description: 'What a run asks for; without any, the input may be anything.',
  type: 'array',
  items: {
    type: 'object',
    required: ['name', 'type'],
    properties: {
      name: { title: 'Name', type: 'string' },
      type: {
        title: 'What it is',
        default: 'string',
        oneOf: [
          { const: 'string', title: 'Text' },
          { const: 'number', title: 'Number' },
          { const: 'integer', title: 'Whole number' },
          { const: 'boolean', title: 'Yes or no' },
          { const: 'array', title: 'List' },
          { const: 'object', title: 'Object' },
        ],
      },
      isRequired: { title: 'Required', type: 'boolean', default: false },
      description: { title: 'What it means', type: 'string' },
      enum: { title: 'Only these', type: 'array', items: { type: 'string' } },
      default: { title: 'Preset', 'x-template': true },
    },
  },
};

/** Return the fields of a schema; null where it says more than a list of fields can. */
export function fieldsOf(schema: Json): readonly JsonObject[] | null {
  if (schema === null) return [];
  if (!isObject(schema) || schema['type'] !== 'object' || !Object.keys(schema).every((word) => KNOWN.has(word))) return null;
  const properties = schema['properties'] ?? {};
  const required = schema['required'] ?? [];
  if (!isObject(properties) || !Array.isArray(required)) return null;
  // What such words say would be lost.
  if (schema['additionalProperties'] !== undefined || schema['description'] !== undefined || schema['title'] !== undefined) return null;
  const fields = Object.entries(properties).map(([name, one]) => fieldOf(name, one, required.includes(name)));
  return fields.every((field) => field !== null) ? fields : null;
}

function fieldOf(name: string, schema: Json, isRequired: boolean): JsonObject | null {
  if (!isObject(schema) || !Object.keys(schema).every((word) => KNOWN_OF_FIELD.has(word))) return null;
  const options = schema['enum'];
  const isTexts = Array.isArray(options) && options.every((one: Json) => typeof one === 'string');
  if (options !== undefined && !isTexts) return null;
  const type = schema['type'] ?? (isTexts ? 'string' : undefined);
  if (!TYPES.some((one) => one === type)) return null;
  return { name, ...schema, type: type ?? 'string', isRequired };
}

/** Return the schema of fields; null where there are none. */
export function schemaFrom(fields: readonly Json[]): Json {
  const named = fields.flatMap((field) => (isObject(field) && typeof field['name'] === 'string' && field['name'] !== '' ? [field] : []));
  if (named.length === 0) return null;
  const properties = named.map(({ name, isRequired: _, ...schema }) => [name, cleaned(schema)]);
  const required = named.filter((field) => field['isRequired'] === true).map((field) => field['name'] as string);
  return { type: 'object', ...(required.length > 0 ? { required } : {}), properties: Object.fromEntries(properties) as JsonObject };
}

function cleaned(schema: JsonObject): JsonObject {
  const { enum: options, ...rest } = schema;
  const texts = Array.isArray(options) ? options.filter((one: Json) => one !== '') : [];
  return { type: 'string', ...rest, ...(texts.length > 0 ? { enum: texts } : {}) };
}
