/** The value that a form begins with. */

import type { Json, JsonObject } from '../editor/json';
import { shapeOf } from './shape';

/** Return the least value that a schema asks for: presets, and what is required; `filler` is for texts that may not be empty. */
export function startingValue(schema: JsonObject, root: JsonObject = schema, depth = 0, filler = ''): Json {
  const shape = shapeOf(schema, root);
  if (shape.preset !== undefined) return shape.preset;
  if (shape.isNullable || depth > 8) return null;
  switch (shape.type) {
    case 'text':
      return shape.isRequiredText ? filler : '';
    case 'number':
      return Math.max(shape.minimum ?? 0, Math.min(0, shape.maximum ?? 0));
    case 'boolean':
      return false;
    case 'enum':
      return shape.options[0]?.value ?? null;
    case 'list':
      return minItemsOf(schema) > 0 ? Array.from({ length: minItemsOf(schema) }, () => startingValue(shape.items, root, depth + 1, filler)) : [];
    case 'object':
      return Object.fromEntries(
        shape.members
          .filter((member) => member.isRequired || presetOf(member.schema, root) !== undefined)
          .map((member) => [member.name, startingValue(member.schema, root, depth + 1, filler)]),
      );
    case 'choice': {
      const [first] = shape.members;
      if (!first) return {};
      const inner = startingValue(first.schema, root, depth + 1, filler);
      return { [first.name]: inner ?? emptyOf(first.schema, root) };
    }
    case 'json':
      return null;
  }
}

/** Return what a form begins with that a person has to fill in: presets, and boxes that are not ticked. */
export function blankValue(schema: JsonObject): Json | undefined {
  const shape = shapeOf(schema, schema);
  if (shape.preset !== undefined || shape.type !== 'object') return shape.preset;
  const begun = shape.members.flatMap((member): [string, Json][] => {
    const preset = presetOf(member.schema, schema);
    const isBox = member.isRequired && shapeOf(member.schema, schema).type === 'boolean';
    return preset !== undefined || isBox ? [[member.name, preset ?? false]] : [];
  });
  return Object.fromEntries(begun);
}

/** Return the empty value of what a schema asks for, though null would do. */
export function emptyOf(schema: JsonObject, root: JsonObject): Json {
  const shape = shapeOf(schema, root);
  switch (shape.type) {
    case 'text':
      return '';
    case 'list':
      return [];
    case 'json':
      return shape.isTemplate ? '' : {};
    case 'object':
    case 'choice':
      return startingValue(withoutNull(schema, root), root);
    default:
      return startingValue(schema, root);
  }
}

function withoutNull(schema: JsonObject, root: JsonObject): JsonObject {
  const all = schema['anyOf'] ?? schema['oneOf'];
  const plain = Array.isArray(all) ? all.find((one: Json) => (one as JsonObject)['type'] !== 'null') : undefined;
  return (plain as JsonObject | undefined) ?? Object.fromEntries(Object.entries(schema).filter(([name]) => name !== 'default' || root === schema));
}

function minItemsOf(schema: JsonObject): number {
  const least = schema['minItems'];
  return typeof least === 'number' ? Math.min(least, 5) : 0;
}

/** A preset of null says no more than absence. */
function presetOf(schema: JsonObject, root: JsonObject): Json | undefined {
  return shapeOf(schema, root).preset ?? undefined;
}
