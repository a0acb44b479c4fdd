/** What a person does on the canvas, as edits: each gesture is one step of undo. */

import { CARD_WIDTH } from '../graph/layout';
import type { Edit, Positions } from './edits';
import { type Draft, type DraftEdge, type DraftNode, edgesOf, freeKey, nodeOf, type Position } from './model';
import { keyFor, type KindInfo, starterOf } from './starters';
import { mayConnect } from './wiring';

export interface Gesture {
  readonly label: string;
  readonly edits: readonly Edit[];
  /** The node to look at afterwards. */
  readonly key?: string;
}

/** Where the canvas shows every node, those without a stored position too. */
export type Places = ReadonlyMap<string, Position>;

const GAP_X = 80;
const STEP_Y = 150;

interface Addition {
  readonly at?: Position | undefined;
  /** The port that is to lead to the new node. */
  readonly after?: { readonly source: string; readonly sourcePort: string } | undefined;
}

export function adding(draft: Draft, places: Places, kind: KindInfo, { at, after }: Addition): Gesture {
  const key = freeKey(draft, keyFor(kind));
  const position = rounded(at ?? freePlace(places, after?.source));
  const node: DraftNode = {
    key, name: null, config: starterOf(kind), when: null, join: 'ALL', forEach: null, onError: { mode: 'STOP', defaultOutput: null },
    retry: null, timeouts: null, ports: kind.ports.length > 0 ? kind.ports : ['out'], position,
  }; // prettier-ignore
  const edge = after && { ...after, target: key };
  return {
    label: `Add “${key}”`,
    edits: [...pinned(draft, places), { type: 'add', node }, ...(edge ? [{ type: 'connect', edge } as const] : [])],
    key,
  };
}

/** Add a copy of a node beside it; its edges are not copied. */
export function copying(draft: Draft, places: Places, node: DraftNode): Gesture {
  const key = freeKey(draft, node.key);
  const from = places.get(node.key) ?? node.position ?? { x: 0, y: 0 };
  const position = rounded({ x: from.x + 40, y: from.y + STEP_Y });
  return { label: `Copy “${node.key}”`, edits: [...pinned(draft, places), { type: 'add', node: { ...node, key, position } }], key };
}

export function removing(draft: Draft, key: string): Gesture | null {
  const seen = nodeOf(draft, key);
  return seen ? { label: `Remove “${key}”`, edits: [{ type: 'remove', key, seen }] } : null;
}

export function connecting(draft: Draft, edge: DraftEdge): Gesture | null {
  if (!mayConnect(draft, edge)) return null;
  return { label: `Connect “${edge.source}” to “${edge.target}”`, edits: [{ type: 'connect', edge }] };
}

export function disconnecting(edge: DraftEdge): Gesture {
  return { label: `Disconnect “${edge.source}” from “${edge.target}”`, edits: [{ type: 'disconnect', edge }] };
}

export function renaming(key: string, newKey: string): Gesture {
  return { label: `Rename “${key}” to “${newKey}”`, edits: [{ type: 'rename', key, newKey }], key: newKey };
}

/** Move nodes, and store where the others are: a graph that is half laid out by hand would shift around them. */
export function moving(draft: Draft, places: Places, to: Places): Gesture | null {
  const moved = [...to].filter(([key]) => nodeOf(draft, key));
  if (moved.length === 0) return null;
  const pins = pinned(draft, places)[0];
  const positions: Record<string, Position> = pins?.type === 'move' ? { ...pins.positions } : {};
  const from: Record<string, Position> = pins?.type === 'move' ? { ...pins.from } : {};
  for (const [key, position] of moved) {
    positions[key] = rounded(position);
    from[key] = places.get(key) ?? rounded(position);
  }
  return { label: moved.length === 1 ? `Move “${moved[0]?.[0]}”` : 'Move nodes', edits: [{ type: 'move', positions, from }] };
}

/** Lay everything out anew, as the canvas would without stored positions. */
export function arranging(draft: Draft, places: Places, arranged: Places): Gesture | null {
  const gesture = moving(draft, places, arranged);
  return gesture && { ...gesture, label: 'Arrange' };
}

function pinned(draft: Draft, places: Places): readonly Edit[] {
  const loose = draft.nodes.filter((node) => node.position === null);
  const positions: Positions = Object.fromEntries(loose.flatMap(({ key }) => {
    const place = places.get(key);
    return place ? [[key, rounded(place)]] : [];
  }));
  return Object.keys(positions).length > 0 ? [{ type: 'move', positions, from: positions }] : [];
}

/** To the right of a node, or of all of them, where nothing stands yet. */
function freePlace(places: Places, after: string | undefined): Position {
  const from = after === undefined ? undefined : places.get(after);
  const all = [...places.values()];
  const rightmost = all.reduce<Position | undefined>((most, one) => (most && most.x >= one.x ? most : one), undefined);
  const start = from ?? rightmost;
  if (!start) return { x: 0, y: 0 };
  const place = { x: start.x + CARD_WIDTH + GAP_X, y: start.y };
  const isTaken = () => all.some((one) => Math.abs(one.x - place.x) < CARD_WIDTH + 10 && Math.abs(one.y - place.y) < STEP_Y - 20);
  while (isTaken()) place.y += STEP_Y;
  return place;
}

function rounded({ x, y }: Position): Position {
  return { x: Math.round(x), y: Math.round(y) };
}

/** Return the edges of a node with the other end of each. */
export function connectionsOf(draft: Draft, key: string): readonly { readonly edge: DraftEdge; readonly isIncoming: boolean }[] {
  return edgesOf(draft, key).map((edge) => ({ edge, isIncoming: edge.target === key }));
}
