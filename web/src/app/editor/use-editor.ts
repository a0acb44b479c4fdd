/** An open editor: its state, kept in step with the server and with everyone else. */

import { useCallback, useEffect, useMemo, useSyncExternalStore } from 'react';
import { useClient, useSubscription } from 'urql';
import { useReconnected } from '../api/context';
import { type DraftFieldsFragment, WorkflowChangedDocument, type WorkflowChangedSubscription } from '../generated/graphql';
import { editorApi } from './api';
import { draftOf } from './convert';
import type { EditorState } from './state';
import { EditorSync } from './sync';

export interface Editor {
  readonly sync: EditorSync;
  readonly state: EditorState;
}

const SUBSCRIBED_MS = 1_500;

type ChangeKind = WorkflowChangedSubscription['workflowChanged']['kind'];

/** Open an editor on a workflow; `me` is whose own changes need no telling. */
export function useEditor(workflow: DraftFieldsFragment, me: string, onChange: (kind: ChangeKind) => void): Editor {
  const client = useClient();
  const { id } = workflow;
  // What was read first is where it begins; what changes later comes by itself.
  const sync = useMemo(() => new EditorSync(editorApi(client, id), draftOf(workflow)), [client, id]);
  const state = useSyncExternalStore(sync.subscribe, sync.snapshot);
  useEffect(() => {
    sync.open();
    // What others did between the reading and the beginning of the subscription, which nobody acknowledges.
    const timer = setTimeout(() => void sync.refresh().catch(() => undefined), SUBSCRIBED_MS);
    return () => {
      clearTimeout(timer);
      sync.close();
    };
  }, [sync]);
  useSubscription<WorkflowChangedSubscription>({ query: WorkflowChangedDocument, variables: { id } }, (_, data) => {
    const { kind, changedBy, nodeKeys, workflow: changed } = data.workflowChanged;
    if (changed) {
      const draft = draftOf(changed);
      sync.dispatch({
        type: 'remote',
        change: { draft, isLayout: kind === 'MOVED', by: changedBy?.name ?? null, isMine: changedBy?.id === me, nodeKeys },
      });
    }
    onChange(kind);
    return data;
  });
  useReconnected(
    useCallback(() => {
      sync.hurry();
      void sync.refresh().catch(() => undefined);
    }, [sync]),
  );
  return { sync, state };
}
