/** What a JSON Schema asks for, as far as a form can ask for it; everything else is entered as JSON. */

import { isObject, type Json, type JsonObject } from '../editor/json';

interface Common {
  readonly title: string;
  readonly description: string | null;
  /** Whether null is a value. */
  readonly isNullable: boolean;
  /** Whether texts in it are templates (`x-template`). */
  readonly isTemplate: boolean;
  /** Whether a text is an expression that stands alone (`x-expression`). */
  readonly isExpression: boolean;
  /** Whether templates in it may use `secrets.NAME` (`x-secret`). */
  readonly isSecret: boolean;
  readonly preset: Json | undefined;
}

export interface Member {
  readonly name: string;
  readonly isRequired: boolean;
  readonly schema: JsonObject;
}

export type Shape = Common &
  (
    | {
        readonly type: 'text';
        /** What the text names: `connection`, `collection`, `dataTable`, `workflow` (`x-reference`). */
        readonly reference: string | null;
        readonly isLong: boolean;
        /** Whether it may not be empty. */
        readonly isRequiredText: boolean;
        readonly format: string | null;
      }
    | { readonly type: 'number'; readonly isInteger: boolean; readonly minimum: number | null; readonly maximum: number | null }
    | { readonly type: 'boolean' }
    | { readonly type: 'enum'; readonly options: readonly Option[] }
    | { readonly type: 'list'; readonly items: JsonObject; readonly maxItems: number | null }
    | { readonly type: 'object'; readonly members: readonly Member[] }
    /** An object of which exactly one member is set. */
    | { readonly type: 'choice'; readonly members: readonly Member[] }
    | { readonly type: 'json' }
  );

export interface Option {
  readonly value: Json;
  readonly title: string;
  readonly description: string | null;
}

/** Read a schema; `root` holds the `$defs` that it refers to, and `name` is what its parent calls it. */
export function shapeOf(schema: JsonObject, root: JsonObject, name = ''): Shape {
  const { schema: plain, isNullable } = withoutNull(resolved(schema, root), root);
  const common: Common = {
    title: titleOf(schema, name),
    description: textAt(plain, 'description'),
    isNullable,
    isTemplate: plain['x-template'] === true,
    isExpression: plain['x-expression'] === true,
    isSecret: plain['x-secret'] === true,
    preset: plain['default'],
  };
  return { ...common, ...kindOf(plain, root) } as Shape;
}

type Kind<One = Shape> = One extends Shape ? Omit<One, keyof Common> : never;

function kindOf(schema: JsonObject, root: JsonObject): Kind {
  const options = optionsOf(schema, root);
  if (options) return { type: 'enum', options };
  switch (typeOf(schema)) {
    case 'string': {
      const isLong = schema['x-template'] === true || (numberAt(schema, 'maxLength') ?? 0) > 300;
      const isRequiredText = (numberAt(schema, 'minLength') ?? 0) > 0;
      return { type: 'text', reference: textAt(schema, 'x-reference'), isLong, isRequiredText, format: textAt(schema, 'format') };
    }
    case 'integer':
    case 'number':
      return {
        type: 'number',
        isInteger: typeOf(schema) === 'integer',
        minimum: numberAt(schema, 'minimum'),
        maximum: numberAt(schema, 'maximum'),
      };
    case 'boolean':
      return { type: 'boolean' };
    case 'array':
      return { type: 'list', items: isObject(schema['items']) ? schema['items'] : {}, maxItems: numberAt(schema, 'maxItems') };
    case 'object': {
      const members = membersOf(schema);
      if (members.length === 0) return { type: 'json' };
      return { type: isChoice(schema) ? 'choice' : 'object', members };
    }
    default:
      return { type: 'json' };
  }
}

/** Follow `$ref`, whose neighbours have the last word (a description of this very use); a circle ends as anything. */
export function resolved(schema: JsonObject, root: JsonObject, depth = 0): JsonObject {
  const ref = schema['$ref'];
  if (typeof ref !== 'string' || depth > 20) return schema;
  let target: Json | undefined = root;
  for (const step of ref.replace(/^#\/?/, '').split('/').filter(Boolean)) {
    const name = decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~');
    target = isObject(target) ? target[name] : undefined;
  }
  const { $ref: _, ...beside } = schema;
  return isObject(target) ? { ...resolved(target, root, depth + 1), ...beside } : beside;
}

/** Take `null` out of a schema that allows it beside one other thing. */
function withoutNull(schema: JsonObject, root: JsonObject): { readonly schema: JsonObject; readonly isNullable: boolean } {
  const { type } = schema;
  if (Array.isArray(type)) {
    const others = type.filter((one: Json) => one !== 'null');
    if (others.length === 1) return { schema: { ...schema, type: others[0] as Json }, isNullable: others.length < type.length };
  }
  for (const word of ['anyOf', 'oneOf'] as const) {
    const all = schema[word];
    if (!Array.isArray(all)) continue;
    const others = all.filter((one: Json): one is JsonObject => isObject(one) && one['type'] !== 'null');
    const [only, ...more] = others;
    if (!only || more.length > 0) continue;
    const { [word]: _, ...beside } = schema;
    return { schema: { ...resolved(only, root), ...beside }, isNullable: others.length < all.length };
  }
  return { schema, isNullable: false };
}

function typeOf(schema: JsonObject): Json | undefined {
  if (schema['type'] !== undefined) return schema['type'];
  if (isObject(schema['properties'])) return 'object';
  return isObject(schema['items']) ? 'array' : undefined;
}

function membersOf(schema: JsonObject): readonly Member[] {
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  const required = Array.isArray(schema['required']) ? (schema['required'] as readonly Json[]) : [];
  return Object.entries(properties).flatMap(([name, one]) =>
    isObject(one) ? [{ name, isRequired: required.includes(name), schema: one }] : [],
  );
}

/** GraphQL's `@oneOf` has no word of its own in the schemas of pydantic: the description says it. */
function isChoice(schema: JsonObject): boolean {
  if (schema['x-one-of'] === true) return true;
  return schema['minProperties'] === 1 && schema['maxProperties'] === 1 || /exactly one field is set/.test(textAt(schema, 'description') ?? '');
}

function optionsOf(schema: JsonObject, root: JsonObject): readonly Option[] | null {
  const described = isObject(schema['x-enum-descriptions']) ? schema['x-enum-descriptions'] : {};
  if (Array.isArray(schema['enum'])) {
    return (schema['enum'] as readonly Json[]).map((value) => ({ value, title: String(value), description: textAt(described, String(value)) }));
  }
  const all = schema['oneOf'] ?? schema['anyOf'];
  if (!Array.isArray(all)) return null;
  const each = all.map((one: Json) => (isObject(one) ? resolved(one, root) : {}));
  if (each.length === 0 || !each.every((one) => 'const' in one)) return null;
  return each.map((one) => {
    const value = one['const'] ?? null;
    return { value, title: textAt(one, 'title') ?? String(value), description: textAt(one, 'description') };
  });
}

/** Take the title of this very use: that of what a `$ref` leads to is the name of a type. */
function titleOf(schema: JsonObject, name: string): string {
  const title = textAt(schema, 'title');
  const isSame = title === null || title.replaceAll(/\s/g, '').toLowerCase() === name.replaceAll('_', '').toLowerCase();
  return isSame ? wordsOf(name) : title;
}

/** Write a name as words: `maxTokens` becomes `Max tokens`. */
export function wordsOf(name: string): string {
  const words = name
    .replaceAll('_', ' ')
    .replaceAll(/([a-z\d])([A-Z])/g, '$1 $2')
    .toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function textAt(schema: JsonObject, name: string): string | null {
  const value = schema[name];
  return typeof value === 'string' ? value : null;
}

function numberAt(schema: JsonObject, name: string): number | null {
  const value = schema[name];
  return typeof value === 'number' ? value : null;
}
