/** What all parts of an open editor share. */

import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from 'react';
import { useQuery } from 'urql';
import { type Gesture, type Places } from '../../editor/gestures';
import type { JsonObject } from '../../editor/json';
import { type DraftEdge, kindNameOf, nodeOf } from '../../editor/model';
import type { KindInfo } from '../../editor/starters';
import type { EditorState } from '../../editor/state';
import type { EditorSync } from '../../editor/sync';
import { NamesDocument, type PaletteQuery } from '../../generated/graphql';
import { place, type Point } from '../../graph/layout';
import { useAnnouncer } from '../../parts/announce';

export type Selection = { readonly type: 'node'; readonly key: string } | { readonly type: 'edge'; readonly edge: DraftEdge } | null;

/** What is open over the page. `menu` may know where the node that is chosen goes. */
export type Opened =
  | null
  | { readonly type: 'run' | 'publish' | 'export' | 'import' | 'settings' | 'shortcuts' }
  | { readonly type: 'menu'; readonly at?: Point | undefined; readonly after?: { readonly source: string; readonly sourcePort: string } | undefined }
  | { readonly type: 'connect'; readonly source: string };

export interface Workbench {
  readonly workflowId: string;
  readonly workspaceId: string;
  readonly slug: string;
  /** Whether the person may change anything here; who may not, reads. */
  readonly mayEdit: boolean;
  readonly sync: EditorSync;
  readonly state: EditorState;
  readonly kinds: readonly KindInfo[];
  readonly outputs: ReadonlyMap<string, JsonObject>;
  readonly places: Places;
  readonly selection: Selection;
  readonly select: (selection: Selection) => void;
  readonly opened: Opened;
  readonly open: (opened: Opened) => void;
  readonly perform: (gesture: Gesture | null) => void;
  /** The kind of a node as the server writes it, such as `LLM_CALL`. */
  readonly kindOf: (node: { readonly config: JsonObject }) => string;
  readonly namesOf: (reference: string) => readonly string[];
  readonly secrets: readonly string[];
}

const Context = createContext<Workbench | null>(null);

export function useWorkbench(): Workbench {
  const workbench = useContext(Context);
  if (!workbench) throw new Error('Used outside of an editor.');
  return workbench;
}

interface WorkbenchProps {
  readonly workflowId: string;
  readonly workspaceId: string;
  readonly slug: string;
  readonly mayEdit: boolean;
  readonly sync: EditorSync;
  readonly state: EditorState;
  readonly palette: PaletteQuery;
  readonly children: ReactNode;
}

export function WorkbenchProvider({ workflowId, workspaceId, slug, mayEdit, sync, state, palette, children }: WorkbenchProps) {
  const { say } = useAnnouncer();
  const [selection, select] = useState<Selection>(null);
  const [opened, open] = useState<Opened>(null);
  const kinds = useKinds(palette);
  const places = usePlaces(state, kinds.kindOf);
  const names = useNames(workspaceId);
  const perform = useCallback(
    (gesture: Gesture | null) => {
      if (!gesture || !mayEdit) return;
      sync.dispatch({ type: 'edited', label: gesture.label, edits: gesture.edits });
      say(gesture.label);
      if (gesture.key !== undefined) select({ type: 'node', key: gesture.key });
    },
    [sync, say, mayEdit],
  );
  const chosen = existing(selection, state);
  useEffect(() => {
    // What is gone is not chosen again by coming back.
    if (selection && !chosen) select(null);
  }, [selection, chosen]);
  const workbench = useMemo<Workbench>(
    () => ({
      workflowId, workspaceId, slug, mayEdit, sync, state, ...kinds, places, selection: chosen, select, opened, open, perform, ...names,
    }), // prettier-ignore
    [workflowId, workspaceId, slug, mayEdit, sync, state, kinds, places, chosen, opened, perform, names],
  );
  return <Context.Provider value={workbench}>{children}</Context.Provider>;
}

/** What was selected may be gone by another's hand. */
function existing(selection: Selection, { shown }: EditorState): Selection {
  if (selection?.type === 'node') return nodeOf(shown, selection.key) ? selection : null;
  if (selection?.type !== 'edge') return null;
  const { source, sourcePort, target } = selection.edge;
  return shown.edges.some((edge) => edge.source === source && edge.sourcePort === sourcePort && edge.target === target) ? selection : null;
}

function useKinds({ nodeKinds }: PaletteQuery) {
  return useMemo(() => {
    const kinds = nodeKinds as unknown as readonly KindInfo[];
    const byName = new Map(kinds.map((kind) => [kind.name, kind]));
    return {
      kinds,
      outputs: new Map(kinds.map((kind) => [kind.name, kind.outputSchema])) as ReadonlyMap<string, JsonObject>,
      kindOf: (node: { readonly config: JsonObject }) => byName.get(kindNameOf(node))?.kind ?? 'UNKNOWN',
    };
  }, [nodeKinds]);
}

function usePlaces({ shown }: EditorState, kindOf: Workbench['kindOf']): Places {
  const { nodes, edges } = shown;
  return useMemo(() => {
    const steps = nodes.map((node) => ({ key: node.key, kind: kindOf(node), position: node.position }));
    return place(steps, edges);
  }, [nodes, edges, kindOf]);
}

function useNames(workspaceId: string) {
  const [{ data }] = useQuery({ query: NamesDocument, variables: { workspaceId } });
  return useMemo(() => {
    const of = (connection: { readonly nodes: readonly { readonly name: string }[] } | undefined) => connection?.nodes.map(({ name }) => name) ?? [];
    const workspace = data?.workspace ?? undefined;
    const names: Readonly<Record<string, readonly string[]>> = {
      connection: of(workspace?.connections),
      collection: of(workspace?.collections),
      dataTable: of(workspace?.dataTables),
    };
    return { namesOf: (reference: string) => names[reference] ?? [], secrets: of(workspace?.secrets) };
  }, [data]);
}
