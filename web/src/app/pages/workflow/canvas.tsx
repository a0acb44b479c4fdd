/** The graph to work on: nodes are moved, connected and chosen here. */

import type { ReactFlowInstance } from '@xyflow/react';
import { type NodeChange } from '@xyflow/react';
import { type DragEvent, useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { adding, connecting, moving } from '../../editor/gestures';
import { isSameEdge } from '../../editor/model';
import { mayConnect } from '../../editor/wiring';
import { GraphView, type LinkData, type StepData, type StepEdge, type StepNode } from '../../graph/graph-view';
import { CARD_WIDTH, type Point } from '../../graph/layout';
import { NodeCard } from './node-card';
import { useWorkbench, type Workbench } from './workbench';

export const KIND_TYPE = 'application/x-anabranch-kind';
/** Arrow keys move in small steps, which become one edit. */
const SETTLED_MS = 300;

export function Canvas() {
  const workbench = useWorkbench();
  const { mayEdit, state, kinds, places, selection, select, perform, open } = workbench;
  const flow = useRef<ReactFlowInstance<StepNode, StepEdge> | null>(null);
  const { dragged, onNodesChange } = useDragging(workbench);
  const steps = useSteps(workbench, dragged);
  useInView(flow, workbench);
  const chosenEdge = selection?.type === 'edge' ? selection.edge : null;
  const links = useMemo<readonly LinkData[]>(
    () => state.shown.edges.map((edge) => (chosenEdge && isSameEdge(edge, chosenEdge) ? { ...edge, isChosen: true } : edge)),
    [state.shown.edges, chosenEdge],
  );
  const choose = useCallback((key: string | null) => select(key === null ? null : { type: 'node', key }), [select]);
  const drop = (event: DragEvent) => {
    const kind = kinds.find((one) => one.name === event.dataTransfer.getData(KIND_TYPE));
    if (!kind || !flow.current) return;
    event.preventDefault();
    const { x, y } = flow.current.screenToFlowPosition({ x: event.clientX, y: event.clientY });
    perform(adding(state.shown, places, kind, { at: { x: x - CARD_WIDTH / 2, y: y - 34 } }));
  };
  return (
    <div className="editor-canvas" onDrop={drop} onDragOver={(event) => event.dataTransfer.types.includes(KIND_TYPE) && event.preventDefault()}>
      <GraphView
        steps={steps}
        links={links}
        card={NodeCard}
        selected={selection?.type === 'node' ? selection.key : null}
        onSelect={choose}
        label={`Graph of ${state.shown.workflow.name}`}
        onInit={(instance) => void (flow.current = instance)}
        onNodesChange={onNodesChange}
        nodesDraggable={mayEdit}
        nodesConnectable={mayEdit}
        connectionRadius={28}
        isValidConnection={({ source, sourceHandle, target }) => mayConnect(state.shown, { source, sourcePort: sourceHandle ?? 'out', target })}
        onConnect={({ source, sourceHandle, target }) => perform(connecting(state.shown, { source, sourcePort: sourceHandle ?? 'out', target }))}
        onConnectEnd={(event, { isValid, toNode, fromNode, fromHandle }) => {
          // Dropped where nothing is: a new node goes there.
          if (isValid || toNode || !fromNode || fromHandle?.type !== 'source' || !flow.current || !('clientX' in event)) return;
          const at = flow.current.screenToFlowPosition({ x: event.clientX, y: event.clientY });
          open({ type: 'menu', at: { x: at.x, y: at.y - 34 }, after: { source: fromNode.id, sourcePort: fromHandle.id ?? 'out' } });
        }}
        onEdgeClick={(_, { data }) => data && select({ type: 'edge', edge: plain(data.link) })}
      >
        {steps.length === 0 && mayEdit && <EmptyHint onAdd={() => open({ type: 'menu' })} />}
      </GraphView>
    </div>
  );
}

/** Bring a node into view that was chosen elsewhere: in a list, in a menu, or by being added. */
function useInView(flow: { readonly current: ReactFlowInstance<StepNode, StepEdge> | null }, { selection, places, state }: Workbench): void {
  const key = selection?.type === 'node' ? selection.key : null;
  const isFirst = state.shown.nodes.length === 1;
  useEffect(() => {
    const instance = flow.current;
    const place = key === null ? undefined : places.get(key);
    const canvas = document.querySelector('.editor-canvas')?.getBoundingClientRect();
    if (!instance || !place || !canvas) return;
    const { x, y } = instance.flowToScreenPosition(place);
    const width = CARD_WIDTH * instance.getZoom();
    const isSeen = x >= canvas.left && x + width <= canvas.right && y >= canvas.top && y + width / 2 <= canvas.bottom;
    if (isSeen && !isFirst) return;
    void instance.setCenter(place.x + CARD_WIDTH / 2, place.y + 40, { zoom: Math.min(1, instance.getZoom()), duration: 200 });
    // Only when another node is chosen: moving it is no reason to move the view.
  }, [key, flow, isFirst]);
}

function plain({ source, sourcePort, target }: LinkData) {
  return { source, sourcePort, target };
}

function EmptyHint({ onAdd }: { readonly onAdd: () => void }) {
  return (
    <div className="editor-hint">
      <h2>An empty graph</h2>
      <p>Drag a kind of node from the left, or press A to choose one.</p>
      <button type="button" className="button primary" onClick={onAdd}>
        Add the first node
      </button>
    </div>
  );
}

/** Nodes as the canvas draws them; only what changed becomes another object. */
function useSteps({ state, places, kindOf }: Workbench, dragged: ReadonlyMap<string, Point>): readonly StepData[] {
  const known = useRef(new Map<string, StepData>());
  return useMemo(() => {
    const last = known.current;
    const steps = state.shown.nodes.map((node): StepData => {
      const position = dragged.get(node.key) ?? places.get(node.key) ?? { x: 0, y: 0 };
      const step = { key: node.key, name: node.name ?? node.key, kind: kindOf(node), ports: node.ports, position };
      const before = last.get(node.key);
      return before && isSameStep(before, step) ? before : step;
    });
    known.current = new Map(steps.map((step) => [step.key, step]));
    return steps;
  }, [state.shown.nodes, places, kindOf, dragged]);
}

function isSameStep(a: StepData, b: StepData): boolean {
  return a.name === b.name && a.kind === b.kind && a.position?.x === b.position?.x && a.position?.y === b.position?.y && a.ports.join() === b.ports.join();
}

const NOWHERE: ReadonlyMap<string, Point> = new Map();

/** Where nodes are while they are moved; the edit is made when they come to rest. */
function useDragging({ state, places, perform, select }: Workbench) {
  const [dragged, setDragged] = useState(NOWHERE);
  const [isResting, setResting] = useState(false);
  useEffect(() => {
    if (!isResting || dragged.size === 0) return undefined;
    const timer = setTimeout(() => {
      perform(moving(state.shown, places, dragged));
      setDragged(NOWHERE);
      setResting(false);
    }, SETTLED_MS);
    return () => clearTimeout(timer);
  }, [isResting, dragged, state.shown, places, perform]);
  const onNodesChange = useCallback(
    (changes: NodeChange<StepNode>[]) => {
      const chosen = changes.find((change) => change.type === 'select' && change.selected);
      if (chosen?.type === 'select') select({ type: 'node', key: chosen.id });
      const moves = changes.flatMap((change) => (change.type === 'position' && change.position ? [change] : []));
      if (moves.length > 0) setDragged((now) => new Map([...now, ...moves.map(({ id, position }) => [id, position as Point] as const)]));
      const ended = changes.find((change) => change.type === 'position');
      if (ended?.type === 'position') setResting(ended.dragging !== true);
    },
    [select],
  );
  return { dragged, onNodesChange };
}
