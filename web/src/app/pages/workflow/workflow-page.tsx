/** `/workflows/<id>`: a workflow's graph, to be edited, run and published. */

import './workflow.css';
import './panel.css';
import './overlays.css';
import { useRef, useState } from 'react';
import { useQuery } from 'urql';
import { useEditor } from '../../editor/use-editor';
import { type OpenWorkflowQuery, OpenWorkflowDocument, PaletteDocument, type PaletteQuery } from '../../generated/graphql';
import { Empty, Loading } from '../../parts/empty';
import { RequestError } from '../../parts/errors';
import { useTitle } from '../../parts/title';
import type { Me } from '../../shell/gate';
import { NotFound } from '../not-found';
import { EditorView } from './editor-view';
import { WorkbenchProvider } from './workbench';

export function WorkflowPage({ id, me }: { readonly id: string; readonly me: Me }) {
  // What the server has now, not what a list showed before.
  const [{ data: latest, error }, ask] = useQuery({ query: OpenWorkflowDocument, variables: { id }, requestPolicy: 'cache-and-network' });
  // What was shown stays when asking again fails: there may be work in it that is not saved.
  const shown = useRef<OpenWorkflowQuery>(undefined);
  if (latest) shown.current = latest;
  const data = latest ?? (shown.current?.workflow?.id === id ? shown.current : undefined);
  const [palette, askPalette] = useQuery({ query: PaletteDocument });
  const failed = error ?? palette.error;
  const retry = () => {
    ask({ requestPolicy: 'network-only' });
    askPalette({ requestPolicy: 'network-only' });
  };
  if (failed && !(data?.workflow && palette.data)) return <RequestError error={failed} onRetry={retry} />;
  if (!data || !palette.data) return <Loading what="the workflow" />;
  if (!data.workflow) return <NotFound what="workflow" />;
  return <OpenEditor workflow={data.workflow} palette={palette.data} me={me} />;
}

interface OpenEditorProps {
  readonly workflow: NonNullable<OpenWorkflowQuery['workflow']>;
  readonly palette: PaletteQuery;
  readonly me: Me;
}

function OpenEditor({ workflow, palette, me }: OpenEditorProps) {
  const [publications, setPublications] = useState(0);
  const [isDeleted, setDeleted] = useState(false);
  const { sync, state } = useEditor(workflow, me.user.id, (kind) => {
    if (kind === 'PUBLISHED') setPublications((count) => count + 1);
    if (kind === 'DELETED') setDeleted(true);
  });
  const role = me.workspaces.nodes.find(({ id }) => id === workflow.workspace.id)?.role;
  useTitle(state.shown.workflow.name);
  if (isDeleted) {
    return (
      <Empty title="This workflow was deleted">
        <p>Someone deleted it while you had it open.</p>
      </Empty>
    );
  }
  return (
    <WorkbenchProvider
      workflowId={workflow.id}
      workspaceId={workflow.workspace.id}
      slug={workflow.slug}
      mayEdit={role !== 'VIEWER'}
      sync={sync}
      state={state}
      palette={palette}
    >
      <EditorView publications={publications} />
    </WorkbenchProvider>
  );
}
