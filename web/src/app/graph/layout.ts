/** Where nodes are drawn: where their author put them, else in layers from left to right. */

import { Graph, layout } from '@dagrejs/dagre';

export const CARD_WIDTH = 216;
const CARD_HEIGHT = 68;
/** A node that writes text shows it. */
const WRITING_CARD_HEIGHT = 124;

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Placeable {
  readonly key: string;
  readonly kind: string;
  readonly position?: Point | null;
}

export interface Link {
  readonly source: string;
  readonly target: string;
}

export function heightOf(kind: string): number {
  return kind === 'LLM_CALL' ? WRITING_CARD_HEIGHT : CARD_HEIGHT;
}

/** Give every node its top left corner. */
export function place(nodes: readonly Placeable[], edges: readonly Link[]): ReadonlyMap<string, Point> {
  const placed = new Map<string, Point>();
  for (const { key, position } of nodes) if (position) placed.set(key, { x: position.x, y: position.y });
  if (placed.size === nodes.length) return placed;
  const layers = inLayers(nodes, edges);
  const shift = meanShift(layers, placed);
  for (const [key, { x, y }] of layers) if (!placed.has(key)) placed.set(key, { x: x + shift.x, y: y + shift.y });
  return placed;
}

function inLayers(nodes: readonly Placeable[], edges: readonly Link[]): Map<string, Point> {
  const graph = new Graph();
  graph.setGraph({ rankdir: 'LR', nodesep: 28, ranksep: 72, ranker: 'longest-path' });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { key, kind } of nodes) graph.setNode(key, { width: CARD_WIDTH, height: heightOf(kind) });
  for (const { source, target } of edges) if (graph.hasNode(source) && graph.hasNode(target)) graph.setEdge(source, target);
  layout(graph);
  return new Map(
    nodes.map(({ key, kind }) => {
      const { x = 0, y = 0 } = graph.node(key) as Partial<Point>;
      return [key, { x: x - CARD_WIDTH / 2, y: y - heightOf(kind) / 2 }];
    }),
  );
}

/** Nodes without a place go near those that have one. */
function meanShift(layers: ReadonlyMap<string, Point>, placed: ReadonlyMap<string, Point>): Point {
  let [x, y] = [0, 0];
  for (const [key, point] of placed) {
    const layered = layers.get(key);
    if (!layered) continue;
    x += (point.x - layered.x) / placed.size;
    y += (point.y - layered.y) / placed.size;
  }
  return { x: Math.round(x), y: Math.round(y) };
}
