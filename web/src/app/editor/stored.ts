/** How the server stores what one sends: configurations without defaults, policies with all of them. */

import type { Change, Edit } from './edits';
import { isEqual, isObject, type Json } from './json';
import { type DraftNode, NODE_FIELDS, type NodeFields } from './model';

/** What a person set of a node, and how it is stored. */
export interface Stored {
  readonly key: string;
  readonly was: Partial<NodeFields>;
  readonly now: NodeFields;
}

/** Tell whether a node of the server is one that was sent, as far as that can be told without the schema of its kind. */
export function isStored(there: DraftNode, sent: DraftNode): boolean {
  return NODE_FIELDS.every((field) => {
    switch (field) {
      case 'config':
        return isWithoutDefaults(there.config, sent.config);
      case 'retry':
      case 'timeouts':
        return sent[field] === null || isFilled(there[field], sent[field]);
      default:
        return isFilled(there[field], sent[field]);
    }
  });
}

/** Return what the server's answer to an edit tells about the values that it set; null where it sets none of a node. */
export function storedBy(edit: Edit, find: (key: string) => DraftNode | undefined): Stored | null {
  if (edit.type !== 'add' && edit.type !== 'update') return null;
  const key = edit.type === 'add' ? edit.node.key : edit.key;
  const now = find(key);
  if (!now) return null;
  return { key, was: edit.type === 'add' ? edit.node : afterOf(edit.changes), now };
}

/** Return an edit that was made on top of what was sent, as made on what the server stored: else one would clash with oneself. */
export function onStored(edit: Edit, { key, was, now }: Stored): Edit {
  const stored = <Value extends Json>(field: keyof NodeFields, value: Value): Value =>
    field in was && isEqual(value, was[field]) ? (now[field] as Value) : value;
  if (edit.type === 'remove' && edit.key === key) {
    const fields = NODE_FIELDS.map((field) => [field, stored(field, edit.seen[field])]);
    return { ...edit, seen: { ...edit.seen, ...(Object.fromEntries(fields) as Partial<NodeFields>) } };
  }
  if (edit.type !== 'update' || edit.key !== key) return edit;
  const changes = NODE_FIELDS.flatMap((field) => {
    const change = edit.changes[field];
    return change ? [[field, { before: stored(field, change.before), after: stored(field, change.after) }] as const] : [];
  });
  return { ...edit, changes: Object.fromEntries(changes) };
}

function afterOf(changes: { readonly [field: string]: Change | undefined }): Partial<NodeFields> {
  return Object.fromEntries(Object.entries(changes).flatMap(([field, change]) => (change ? [[field, change.after]] : [])));
}

/** The server leaves out what its kind presets, at any depth. */
function isWithoutDefaults(there: Json | undefined, sent: Json | undefined): boolean {
  if (Array.isArray(there) && Array.isArray(sent)) {
    return there.length === sent.length && there.every((one: Json, index) => isWithoutDefaults(one, sent[index] as Json));
  }
  if (!isObject(there) || !isObject(sent)) return isEqual(there, sent);
  return Object.keys(there).every((name) => isWithoutDefaults(there[name], sent[name]));
}

/** The server fills in what was not given. */
function isFilled(there: Json, sent: Json): boolean {
  if (!isObject(there) || !isObject(sent)) return isEqual(there, sent);
  return Object.keys(sent).every((name) => isEqual(there[name], sent[name]));
}
