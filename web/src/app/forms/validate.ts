/** What is wrong with a value by its JSON Schema, told at once; the server has the last word. */

import { isEqual, isObject, type Json, type JsonObject, type Path } from '../editor/json';
import { resolved } from './shape';

export interface Fault {
  readonly path: Path;
  readonly message: string;
}

/** Return the faults of a value by the words that people use in forms; unknown words forbid nothing. */
export function faultsOf(value: Json, schema: Json | undefined, root: JsonObject, path: Path = []): readonly Fault[] {
  if (!isObject(schema)) return schema === false ? [{ path, message: 'Nothing is allowed here.' }] : [];
  const rule = resolved(schema, root);
  const branch = branchOf(value, rule, root, path);
  if (branch) return branch;
  const type = rule['type'];
  if (type !== undefined && !isOfType(value, type)) return [{ path, message: `This must be ${articled(type)}.` }];
  const options = rule['enum'];
  if (Array.isArray(options) && !options.some((one: Json) => isEqual(one, value))) {
    return [{ path, message: `Choose one of ${options.slice(0, 10).map(String).join(', ')}.` }];
  }
  if ('const' in rule && !isEqual(rule['const'], value)) return [{ path, message: `This must be ${JSON.stringify(rule['const'])}.` }];
  if (typeof value === 'string') return told(path, textFault(value, rule));
  if (typeof value === 'number') return told(path, numberFault(value, rule));
  if (Array.isArray(value)) return listFaults(value, rule, root, path);
  return isObject(value) ? objectFaults(value, rule, root, path) : [];
}

function branchOf(value: Json, rule: JsonObject, root: JsonObject, path: Path): readonly Fault[] | null {
  const all = rule['anyOf'] ?? rule['oneOf'];
  if (!Array.isArray(all)) return null;
  const each = all.map((one: Json) => faultsOf(value, one, root, path));
  if (each.some((faults) => faults.length === 0)) return [];
  const types = all.map((one: Json) => (isObject(one) ? (resolved(one, root)['type'] ?? 'unknown') : 'unknown'));
  const others = types.filter((type) => type !== 'null');
  // Of one thing or null the thing is meant.
  const likely = others.length === 1 ? types.findIndex((type) => type !== 'null') : types.findIndex((type) => isOfType(value, type));
  return each[likely] ?? [{ path, message: 'This fits none of the allowed forms.' }];
}

function told(path: Path, message: string | null): readonly Fault[] {
  return message === null ? [] : [{ path, message }];
}

function textFault(text: string, rule: JsonObject): string | null {
  const { minLength, maxLength, pattern } = rule;
  // JSON Schema counts characters, not the halves of emoji.
  const length = [...text].length;
  if (typeof minLength === 'number' && length < minLength) {
    return length === 0 ? 'This may not be empty.' : `At least ${minLength} characters; these are ${length}.`;
  }
  if (typeof maxLength === 'number' && length > maxLength) return `At most ${maxLength} characters; these are ${length}.`;
  return typeof pattern === 'string' && !isMatch(pattern, text) ? `This must match the pattern ${pattern}.` : null;
}

function isMatch(pattern: string, text: string): boolean {
  try {
    return new RegExp(pattern, 'u').test(text);
  } catch {
    return true;
  }
}

function numberFault(value: number, rule: JsonObject): string | null {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = rule;
  if (typeof minimum === 'number' && value < minimum) return `At least ${minimum}.`;
  if (typeof maximum === 'number' && value > maximum) return `At most ${maximum}.`;
  if (typeof exclusiveMinimum === 'number' && value <= exclusiveMinimum) return `More than ${exclusiveMinimum}.`;
  if (typeof exclusiveMaximum === 'number' && value >= exclusiveMaximum) return `Less than ${exclusiveMaximum}.`;
  if (typeof multipleOf === 'number' && Math.abs(value / multipleOf - Math.round(value / multipleOf)) > 1e-9) {
    return `A multiple of ${multipleOf}.`;
  }
  return null;
}

function listFaults(items: readonly Json[], rule: JsonObject, root: JsonObject, path: Path): readonly Fault[] {
  const { minItems, maxItems } = rule;
  const faults: Fault[] = [];
  if (typeof minItems === 'number' && items.length < minItems) faults.push({ path, message: `At least ${minItems} ${minItems === 1 ? 'item' : 'items'}.` });
  if (typeof maxItems === 'number' && items.length > maxItems) faults.push({ path, message: `At most ${maxItems} items.` });
  return [...faults, ...items.flatMap((item, index) => faultsOf(item, rule['items'], root, [...path, String(index)]))];
}

function objectFaults(value: JsonObject, rule: JsonObject, root: JsonObject, path: Path): readonly Fault[] {
  const properties = isObject(rule['properties']) ? rule['properties'] : {};
  const required = Array.isArray(rule['required']) ? (rule['required'] as readonly string[]) : [];
  const missing = required.filter((name) => !Object.hasOwn(value, name)).map((name): Fault => ({ path: [...path, name], message: 'This is required.' }));
  const inner = Object.entries(value).flatMap(([name, part]) => {
    const step = [...path, name];
    if (Object.hasOwn(properties, name)) return faultsOf(part, properties[name], root, step);
    const more = rule['additionalProperties'];
    return more === false ? [{ path: step, message: `“${name}” is not asked for.` }] : faultsOf(part, more, root, step);
  });
  return [...missing, ...inner];
}

function isOfType(value: Json, type: Json): boolean {
  if (Array.isArray(type)) return type.some((one: Json) => isOfType(value, one));
  switch (type) {
    case 'string':
    case 'boolean':
      return typeof value === type;
    case 'number':
      return typeof value === 'number';
    case 'integer':
      return Number.isInteger(value);
    case 'null':
      return value === null;
    case 'array':
      return Array.isArray(value);
    case 'object':
      return isObject(value);
    default:
      return false;
  }
}

const ARTICLED: Readonly<Record<string, string>> = {
  string: 'a text', number: 'a number', integer: 'a whole number', boolean: 'yes or no', null: 'empty', array: 'a list', object: 'an object',
}; // prettier-ignore

function articled(type: Json): string {
  const types = Array.isArray(type) ? (type as readonly Json[]) : [type];
  return types.map((one) => ARTICLED[String(one)] ?? String(one)).join(' or ');
}
