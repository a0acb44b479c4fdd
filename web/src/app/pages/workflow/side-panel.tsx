/** Beside the canvas: the selected node or edge, else the workflow's problems, runs and versions. */

import { useState } from 'react';
import { disconnecting } from '../../editor/gestures';
import type { DraftEdge } from '../../editor/model';
import { nodeOf } from '../../editor/model';
import { Tabs } from '../../parts/tabs';
import { NodePanel } from './node-panel';
import { Problems } from './problems';
import { Runs } from './runs';
import { Versions } from './versions';
import { useWorkbench } from './workbench';

export function SidePanel({ publications }: { readonly publications: number }) {
  const { selection, state } = useWorkbench();
  const [tab, setTab] = useState<Tab>(state.shown.problems.length > 0 ? 'problems' : 'runs');
  const node = selection?.type === 'node' ? nodeOf(state.shown, selection.key) : undefined;
  const label = node ? `Node ${node.key}` : selection?.type === 'edge' ? 'Edge' : 'Workflow';
  return (
    <aside className="editor-side" aria-label={label}>
      {node && <NodePanel key={node.key} node={node} />}
      {selection?.type === 'edge' && <EdgePanel edge={selection.edge} />}
      {!selection && <WorkflowPanel publications={publications} tab={tab} onTab={setTab} />}
    </aside>
  );
}

type Tab = 'problems' | 'runs' | 'versions';

interface WorkflowPanelProps {
  readonly publications: number;
  readonly tab: Tab;
  readonly onTab: (tab: Tab) => void;
}

function WorkflowPanel({ publications, tab, onTab }: WorkflowPanelProps) {
  const { state } = useWorkbench();
  const { problems } = state.shown;
  const tabs = [
    { name: 'problems', title: problems.length > 0 ? `Problems (${problems.length})` : 'Problems' },
    { name: 'runs', title: 'Runs' },
    { name: 'versions', title: 'Versions' },
  ] as const;
  return (
    <Tabs label="Workflow" tabs={tabs} selected={tab} onSelect={onTab}>
      {tab === 'problems' && <Problems />}
      {tab === 'runs' && <Runs />}
      {tab === 'versions' && <Versions publications={publications} />}
    </Tabs>
  );
}

function EdgePanel({ edge }: { readonly edge: DraftEdge }) {
  const { mayEdit, perform, select } = useWorkbench();
  return (
    <div className="side-body">
      <h2>An edge</h2>
      <p>
        From <code>{edge.source}</code>, port <code>{edge.sourcePort}</code>, to <code>{edge.target}</code>.
      </p>
      <div className="actions">
        <button type="button" className="button danger compact" disabled={!mayEdit} onClick={() => perform(disconnecting(edge))}>
          Remove the edge
        </button>
        <button type="button" className="button compact" onClick={() => select(null)}>
          Close
        </button>
      </div>
    </div>
  );
}
