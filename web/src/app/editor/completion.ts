/** What an expression can name, and what is offered while one is written. */

import { shapeOf } from '../forms/shape';
import { isObject, type Json, type JsonObject, partAt } from './json';
import { type Draft, kindNameOf, nodeOf } from './model';
import { ancestorsOf } from './wiring';

export interface Name {
  /** The whole dotted path, such as `nodes.find.output.matches`. */
  readonly path: string;
  readonly description: string | null;
}

export interface Completion {
  /** Where the text that is replaced begins; it ends at the caret. */
  readonly from: number;
  readonly options: readonly Name[];
}

const MOST_OPTIONS = 8;
const DEPTH = 3;

/** Return the names that expressions of a node can use; those of near nodes come first. */
export function namesFor(
  draft: Draft,
  nodeKey: string,
  outputs: ReadonlyMap<string, JsonObject>,
  secrets: readonly string[],
): readonly Name[] {
  const node = nodeOf(draft, nodeKey);
  const before = ancestorsOf(draft, nodeKey).flatMap((key) => {
    const name = nodeOf(draft, key);
    return name ? outputNames(`nodes.${key}.output`, name.config, outputs.get(kindNameOf(name)), name.forEach !== null) : [];
  });
  const { inputSchema } = draft.workflow;
  const input = isObject(inputSchema) ? schemaNames('input', inputSchema, inputSchema, DEPTH) : [];
  const item = node?.forEach ? [named('item', 'The item that is worked on.'), named('index', 'Its place in the list, from 0.')] : [];
  const error = draft.edges.some((edge) => edge.target === nodeKey && edge.sourcePort === 'error')
    ? ['error.code', 'error.message', 'error.attempt'].map((path) => named(path, 'Why the node before failed.'))
    : [];
  return [
    ...item, ...error, ...before, named('input', 'The input of the run.'), ...input,
    named('run.id', 'The id of the run.'), named('run.startedAt', 'When the run began.'),
    ...secrets.map((secret) => named(`secrets.${secret}`, 'A secret; its value never shows.')),
  ]; // prettier-ignore
}

function named(path: string, description: string | null): Name {
  return { path, description };
}

function outputNames(path: string, config: JsonObject, schema: JsonObject | undefined, isList: boolean): readonly Name[] {
  const whole = named(path, isList ? 'A list: one output for each item.' : (schema && text(schema['description'])) ?? null);
  if (isList) return [whole];
  // The fields of a transform are in its configuration, not in a schema.
  const fields = partAt(config, ['transform', 'fields']);
  const own = Array.isArray(fields)
    ? fields.flatMap((field: Json) => {
        const name = partAt(field, ['name']);
        return typeof name === 'string' && name !== '' ? [named(`${path}.${name}`, text(partAt(field, ['value'])) ?? null)] : [];
      })
    : [];
  return [whole, ...own, ...(schema ? schemaNames(path, schema, schema, DEPTH) : [])];
}

function schemaNames(path: string, schema: JsonObject, root: JsonObject, depth: number): readonly Name[] {
  const shape = shapeOf(schema, root);
  if (depth === 0 || (shape.type !== 'object' && shape.type !== 'choice')) return [];
  return shape.members.flatMap((member) => {
    const inner = isSimple(member.name) ? `${path}.${member.name}` : `${path}['${member.name}']`;
    return [named(inner, text(member.schema['description']) ?? null), ...schemaNames(inner, member.schema, root, depth - 1)];
  });
}

function isSimple(name: string): boolean {
  return /^[A-Za-z_]\w*$/.test(name);
}

function text(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/**
 * Return what to offer at the caret; null where nothing is to be named.
 *
 * In a template that is only between `{{` and `}}` (or `{%` and `%}`), in an expression everywhere.
 */
export function completionAt(value: string, caret: number, names: readonly Name[], isExpression: boolean): Completion | null {
  const before = value.slice(0, caret);
  if (!isExpression && !isInside(before)) return null;
  const word = /[A-Za-z_][\w.]*$/.exec(before)?.[0] ?? '';
  // A filter's or a literal's name is no path.
  if (/\|\s*$/.test(before.slice(0, before.length - word.length))) return null;
  if (isInString(before)) return null;
  const wanted = word.toLowerCase();
  const fitting = names.filter(({ path }) => path.toLowerCase().startsWith(wanted) && path !== word);
  const others = names.filter(({ path }) => wanted.length > 1 && !fitting.some((one) => one.path === path) && path !== word && path.toLowerCase().includes(wanted));
  const options = [...fitting, ...others].slice(0, MOST_OPTIONS);
  return options.length > 0 ? { from: caret - word.length, options } : null;
}

function isInside(before: string): boolean {
  const opened = Math.max(before.lastIndexOf('{{'), before.lastIndexOf('{%'));
  return opened >= 0 && opened > Math.max(before.lastIndexOf('}}'), before.lastIndexOf('%}'));
}

function isInString(before: string): boolean {
  const opened = Math.max(before.lastIndexOf('{{'), before.lastIndexOf('{%'), -1);
  const code = before.slice(opened + 1);
  return (code.match(/'/g)?.length ?? 0) % 2 === 1 || (code.match(/"/g)?.length ?? 0) % 2 === 1;
}

/** Put a chosen name in the place of what was typed; in a template, the braces are closed. */
export function completed(value: string, caret: number, completion: Completion, name: Name, isExpression: boolean): { readonly text: string; readonly caret: number } {
  const rest = value.slice(caret);
  const isClosed = isExpression || /^[^{]*(\}\}|%\})/.test(rest);
  const before = value.slice(0, completion.from);
  const spaced = !isExpression && /\{\{$/.test(before) ? `${before} ` : before;
  const inserted = spaced + name.path;
  return { text: inserted + (isClosed ? rest : ` }}${rest}`), caret: inserted.length };
}
