/** JSON values: equality, parts by path, and the merge of two people's changes to one value. */

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: Json;
}
export type Path = readonly string[];

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Tell whether two values are the same; the order of an object's names does not count. */
export function isEqual(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((one, index) => isEqual(one, b[index]));
  if (!isObject(a) || !isObject(b)) return false;
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => name in b && isEqual(a[name], b[name]));
}

/** Return the part of a value at a path; undefined where there is none. */
export function partAt(value: Json | undefined, path: Path): Json | undefined {
  let part = value;
  for (const step of path) {
    if (Array.isArray(part)) part = (part as readonly Json[])[Number(step)];
    else if (isObject(part)) part = Object.hasOwn(part, step) ? part[step] : undefined;
    else return undefined;
  }
  return part;
}

/** Return a value with another part at a path; undefined takes the part away. Objects on the way are made. */
export function withPart(value: Json | undefined, path: Path, part: Json | undefined): Json | undefined {
  const [step, ...rest] = path;
  if (step === undefined) return part;
  if (Array.isArray(value)) {
    const items = [...(value as readonly Json[])];
    const item = withPart(items[Number(step)], rest, part);
    if (item === undefined) items.splice(Number(step), 1);
    else items[Number(step)] = item;
    return items;
  }
  const { [step]: old, ...others } = isObject(value) ? value : {};
  const inner = withPart(old, rest, part);
  // In the place where it was: forms and files show names in the order in which they came.
  return inner === undefined ? others : { ...(isObject(value) ? value : {}), [step]: inner };
}

/** A place that two people changed in different ways; undefined stands for an absent part. */
export interface Clash {
  readonly path: Path;
  readonly mine: Json | undefined;
  readonly theirs: Json | undefined;
}

export interface Merged {
  /** Both changes together; theirs where they clash. */
  readonly value: Json | undefined;
  readonly clashes: readonly Clash[];
}

/**
 * Merge my change of a value, from `before` to `mine`, with what it has become meanwhile.
 *
 * Objects merge name by name. Lists do not merge item by item: who inserts an item moves all others,
 * and a merge that guesses which is which would lose one of them silently.
 */
export function merge(
  before: Json | undefined,
  mine: Json | undefined,
  theirs: Json | undefined,
  path: Path = [],
): Merged {
  if (isEqual(before, theirs) || isEqual(mine, theirs)) return { value: mine, clashes: [] };
  if (isEqual(before, mine)) return { value: theirs, clashes: [] };
  if (!isObject(before) || !isObject(mine) || !isObject(theirs)) {
    return { value: theirs, clashes: [{ path, mine, theirs }] };
  }
  const value: Record<string, Json> = {};
  const clashes: Clash[] = [];
  for (const name of new Set([...Object.keys(theirs), ...Object.keys(mine)])) {
    const part = merge(before[name], mine[name], theirs[name], [...path, name]);
    if (part.value !== undefined) value[name] = part.value;
    clashes.push(...part.clashes);
  }
  return { value, clashes };
}
