/** The canvas: a graph to look at and to choose nodes in; an editor passes what else it wants to React Flow. */

import '@xyflow/react/dist/base.css';
import './graph.css';
import {
  Background,
  BaseEdge,
  Controls,
  type Edge,
  type EdgeProps,
  getBezierPath,
  type EdgeTypes,
  Handle,
  type Node,
  type NodeChange,
  type NodeProps,
  Position,
  ReactFlow,
  type ReactFlowProps,
} from '@xyflow/react';
import { type ComponentType, createContext, memo, type ReactNode, useContext, useMemo, useRef } from 'react';
import { titleOfKind } from './kinds';
import { CARD_WIDTH, heightOf, type Placeable, place } from './layout';

export interface StepData extends Placeable {
  readonly name: string;
  readonly ports: readonly string[];
}

export interface LinkData {
  readonly source: string;
  readonly sourcePort: string;
  readonly target: string;
  readonly isChosen?: boolean;
}

export type StepNode = Node<{ readonly step: StepData }, 'step'>;
export type StepEdge = Edge<{ readonly link: LinkData }, 'link'>;

export interface CardProps {
  readonly step: StepData;
  readonly isSelected: boolean;
}

/** What is drawn inside a node; it looks up by itself what changes often, so that the canvas need not know. */
const CardContext = createContext<ComponentType<CardProps>>(() => null);

export function edgeId({ source, sourcePort, target }: LinkData): string {
  return `${source}:${sourcePort}>${target}`;
}

/** Where a port's handle sits, as a share of the card's height. */
function heightOfPort(place: number, count: number): number {
  return (place + 1) / (count + 1);
}

/** Give React Flow what it would otherwise measure first: the graph is painted at once. */
export function toNode(step: StepData, at: { readonly x: number; readonly y: number }, isSelected: boolean): StepNode {
  const height = heightOf(step.kind);
  const handle = { width: 8, height: 8 };
  return {
    id: step.key,
    type: 'step',
    position: at,
    data: { step },
    width: CARD_WIDTH,
    height,
    measured: { width: CARD_WIDTH, height },
    selected: isSelected,
    ariaLabel: `${step.name}: ${titleOfKind(step.kind)}`,
    handles: [
      { ...handle, id: null, type: 'target', position: Position.Left, x: -4, y: height / 2 - 4 },
      ...step.ports.map((port, index) => ({
        ...handle,
        id: port,
        type: 'source' as const,
        position: Position.Right,
        x: CARD_WIDTH - 4,
        y: heightOfPort(index, step.ports.length) * height - 4,
      })),
    ],
  };
}

export function toEdge(link: LinkData): StepEdge {
  const { source, sourcePort, target } = link;
  return { id: edgeId(link), type: 'link', source, sourceHandle: sourcePort, target, selected: link.isChosen ?? false, data: { link } };
}

const Step = memo(({ data: { step }, selected, isConnectable }: NodeProps<StepNode>) => {
  const Card = useContext(CardContext);
  return (
    <>
      <Handle type="target" position={Position.Left} isConnectable={isConnectable} />
      <Card step={step} isSelected={selected} />
      {step.ports.map((port, index) => (
        <Handle
          key={port}
          id={port}
          type="source"
          position={Position.Right}
          isConnectable={isConnectable}
          style={{ top: `${heightOfPort(index, step.ports.length) * 100}%` }}
          title={port === 'out' ? undefined : port}
        >
          {step.ports.length > 1 && <span className="port-name">{port}</span>}
        </Handle>
      ))}
    </>
  );
});

/** An edge with the name of its port, where that says something. */
export function LinkPath({ className, ...props }: EdgeProps<StepEdge> & { readonly className?: string }) {
  const [path, labelX, labelY] = getBezierPath(props);
  const port = props.data?.link.sourcePort ?? 'out';
  return (
    <g className={className}>
      <BaseEdge
        id={props.id}
        path={path}
        labelX={labelX}
        labelY={labelY}
        label={port === 'out' ? undefined : port}
        {...(props.markerEnd ? { markerEnd: props.markerEnd } : {})}
      />
    </g>
  );
}

const NODE_TYPES = { step: Step };
const EDGE_TYPES: EdgeTypes = { link: memo(LinkPath) as never };

interface GraphViewProps extends Omit<ReactFlowProps<StepNode, StepEdge>, 'nodes' | 'edges' | 'onSelect'> {
  readonly steps: readonly StepData[];
  readonly links: readonly LinkData[];
  readonly card: ComponentType<CardProps>;
  readonly selected: string | null;
  readonly onSelect: (key: string | null) => void;
  /** What is known of the canvas by people who do not see it. */
  readonly label: string;
  readonly children?: ReactNode;
}

export function GraphView({ steps, links, card, selected, onSelect, label, children, ...rest }: GraphViewProps) {
  const places = useMemo(() => place(steps, links), [steps, links]);
  // A step that stays as it is stays the same node, so that moving one draws one.
  const made = useRef(new WeakMap<StepData, StepNode>());
  const plain = useMemo(
    () =>
      steps.map((step) => {
        const at = places.get(step.key) ?? { x: 0, y: 0 };
        const known = made.current.get(step);
        if (known && known.position.x === at.x && known.position.y === at.y) return known;
        const node = toNode(step, at, false);
        made.current.set(step, node);
        return node;
      }),
    [steps, places],
  );
  // Only what is chosen becomes another object: React Flow then draws only that anew.
  const nodes = useMemo(() => plain.map((node) => (node.id === selected ? { ...node, selected: true } : node)), [plain, selected]);
  const edges = useMemo(() => links.map(toEdge), [links]);
  const choose = (changes: NodeChange<StepNode>[]) => {
    const chosen = changes.find((change) => change.type === 'select' && change.selected);
    if (chosen?.type === 'select') onSelect(chosen.id);
  };
  return (
    <CardContext.Provider value={card}>
      <ReactFlow<StepNode, StepEdge>
        nodes={nodes}
        edges={edges}
        nodeTypes={NODE_TYPES}
        edgeTypes={EDGE_TYPES}
        onNodesChange={choose}
        onPaneClick={() => onSelect(null)}
        nodesDraggable={false}
        nodesConnectable={false}
        edgesFocusable={false}
        deleteKeyCode={null}
        minZoom={0.05}
        maxZoom={2}
        fitView
        fitViewOptions={{ padding: 0.12, maxZoom: 1 }}
        aria-label={label}
        {...rest}
      >
        <Background gap={20} size={1} />
        <Controls showInteractive={false} />
        {children}
      </ReactFlow>
    </CardContext.Provider>
  );
}
