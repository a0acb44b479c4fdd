/** What follows from the edges: who comes before whom, and what may be connected. */

import { type Draft, type DraftEdge, type DraftNode, hasEdge, nodeOf } from './model';

/** Return the keys of all nodes that come before a node, nearest first. */
export function ancestorsOf(draft: Draft, key: string): readonly string[] {
  const found: string[] = [];
  let layer: readonly string[] = [key];
  while (layer.length > 0) {
    const next = draft.edges.filter((edge) => layer.includes(edge.target)).map((edge) => edge.source);
    layer = [...new Set(next)].filter((one) => one !== key && !found.includes(one));
    found.push(...layer);
  }
  return found;
}

/** Tell whether an edge may be added: both ends are there, it is new, and it closes no circle. */
export function mayConnect(draft: Draft, edge: DraftEdge): boolean {
  if (edge.source === edge.target || !nodeOf(draft, edge.source) || !nodeOf(draft, edge.target)) return false;
  return !hasEdge(draft, edge) && !ancestorsOf(draft, edge.source).includes(edge.target);
}

/** Return the nodes that a port may lead to. */
export function targetsOf(draft: Draft, source: string, sourcePort: string): readonly DraftNode[] {
  return draft.nodes.filter((node) => mayConnect(draft, { source, sourcePort, target: node.key }));
}
