/** The items of a list that a node is at work on, folded from the log; what is settled is read from the server. Pure. */

import type { FailureFragment, NodeRunStatus } from '../../generated/graphql';
import type { NodeEvent, NodeView, Waiting } from './run-view';
import { sumOf } from './usage';

export interface ItemView {
  readonly index: number;
  readonly status: NodeRunStatus;
  readonly attempt: number;
  /** What the attempt has written since `from`: a page that was opened in the middle has not seen the beginning. */
  readonly text: string;
  readonly from: number;
  readonly error: FailureFragment | null;
  readonly nextAttemptAt: string | null;
  readonly waiting: Waiting | null;
}

const ENDS: ReadonlySet<string> = new Set(['NodeSucceeded', 'NodeFailed', 'NodeSkipped', 'NodeCanceled', 'NodeReused']);

/** Fold an event of an item into its node: the node keeps how many are settled, and those that are not. */
export function foldItem(node: NodeView, index: number, event: NodeEvent): NodeView {
  const known = node.items.get(index);
  if (known && event.attempt < known.attempt) return node;
  const items = new Map(node.items);
  if (ENDS.has(event.__typename)) {
    items.delete(index);
    const usage = event.__typename === 'NodeSucceeded' ? sumOf([node.usage, event.usage]) : node.usage;
    return { ...node, items, usage, itemsDone: (node.itemsDone ?? 0) + 1 };
  }
  items.set(index, folded(known?.attempt === event.attempt ? known : newItem(index, event.attempt), event));
  return { ...node, items };
}

/** The items that wait when the page is opened; the log tells of them again when they go on. */
export function waitingItems(places: readonly number[]): ReadonlyMap<number, ItemView> {
  return new Map(places.map((index) => [index, { ...newItem(index, 0), status: 'WAITING' }]));
}

export function countWaiting(items: ReadonlyMap<number, ItemView>): number {
  return [...items.values()].filter(({ status }) => status === 'WAITING').length;
}

function newItem(index: number, attempt: number): ItemView {
  return { index, status: 'RUNNING', attempt, text: '', from: 0, error: null, nextAttemptAt: null, waiting: null };
}

function folded(item: ItemView, event: NodeEvent): ItemView {
  switch (event.__typename) {
    case 'NodeStarted':
      return { ...item, status: 'RUNNING', waiting: null };
    case 'NodeOutputDelta':
      return event.channel === 'TEXT' ? { ...item, ...spliced(item, event.text, event.offset) } : item;
    case 'NodeRetrying':
      return { ...item, status: 'RETRYING', error: event.error, nextAttemptAt: event.nextAttemptAt, text: '', from: 0 };
    case 'NodeWaiting':
      return { ...item, status: 'WAITING', waiting: { reason: event.reason, until: event.until } };
    default:
      return item;
  }
}

function spliced({ text, from }: ItemView, piece: string, offset: number): Pick<ItemView, 'text' | 'from'> {
  const isConnected = text !== '' && offset >= from && offset <= from + text.length;
  return isConnected ? { text: text.slice(0, offset - from) + piece, from } : { text: piece, from: offset };
}

/** Put together what was read of an item's text and what came since; `attempt` is the one that was read. */
export function textOfItem(item: ItemView | undefined, read: { readonly text: string; readonly attempt: number } | null): string {
  if (!item) return read?.text ?? '';
  if (item.from === 0 && item.text !== '') return item.text;
  const begin = read?.attempt === item.attempt ? read.text : '';
  if (item.text === '') return begin;
  return begin.length >= item.from ? begin.slice(0, item.from) + item.text : `…${item.text}`;
}
