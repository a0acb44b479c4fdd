/** What differs between two states of the workflow, to be read: node by node, field by field. */

import { useMemo } from 'react';
import { useQuery } from 'urql';
import { wordsOf } from '../../forms/shape';
import { type ChangeFieldsFragment, DiffVersionsDocument, type DiffVersionsQuery } from '../../generated/graphql';
import { KindSign } from '../../graph/kinds';
import { Loading } from '../../parts/empty';
import { RequestError } from '../../parts/errors';
import { TextDiff } from './text-diff';
import { useEpoch } from './use-epoch';
import { useWorkbench } from './workbench';

interface DiffViewProps {
  readonly from: number;
  /** Null for the draft. */
  readonly to: number | null;
}

type Diff = NonNullable<NonNullable<DiffVersionsQuery['workflow']>['diff']>;

export function DiffView({ from, to }: DiffViewProps) {
  const { workflowId, state } = useWorkbench();
  const variables = useMemo(
    () => ({ id: workflowId, from: { number: from }, to: to === null ? { track: 'DRAFT' as const } : { number: to } }),
    [workflowId, from, to],
  );
  const [{ data, error }] = useQuery({
    query: DiffVersionsDocument,
    variables,
    requestPolicy: 'cache-and-network',
    // The draft goes on changing, a version does not.
    context: useEpoch(to === null ? state.base.revision : 0),
  });
  if (error) return <RequestError error={error} />;
  if (!data) return <Loading what="what differs" />;
  const diff = data.workflow?.diff;
  if (!diff) return <p className="muted">One of the two does not exist any more.</p>;
  return <Changes diff={diff} />;
}

function Changes({ diff }: { readonly diff: Diff }) {
  const moved = diff.nodesMoved.length;
  if (diff.isEmpty) {
    return <p className="muted">Nothing differs{moved > 0 ? `, but for the places of ${moved === 1 ? 'one node' : `${moved} nodes`} on the canvas` : ''}.</p>;
  }
  return (
    <div className="diff">
      {diff.nodesAdded.map((node) => (
        <WholeNode key={`+${node.key}`} node={node} isAdded />
      ))}
      {diff.nodesRemoved.map((node) => (
        <WholeNode key={`-${node.key}`} node={node} isAdded={false} />
      ))}
      {diff.nodesChanged.map(({ nodeKey, changes }) => (
        <Part key={`~${nodeKey}`} title={nodeKey} changes={changes} />
      ))}
      <Edges added={diff.edgesAdded} removed={diff.edgesRemoved} />
      <Part title="Input" changes={diff.inputSchema} />
      <Part title="Output" changes={diff.output} />
      <Part title="Settings" changes={diff.settings} />
      {moved > 0 && <p className="muted small">{`On the canvas, ${moved === 1 ? 'one node' : `${moved} nodes`} moved.`}</p>}
    </div>
  );
}

function Mark({ isAdded }: { readonly isAdded: boolean }) {
  return <span className={`diff-mark ${isAdded ? 'tone-succeeded' : 'tone-failed'}`}>{isAdded ? '+ added' : '− removed'}</span>;
}

function WholeNode({ node, isAdded }: { readonly node: Diff['nodesAdded'][number]; readonly isAdded: boolean }) {
  return (
    <details className="diff-part">
      <summary>
        <KindSign kind={node.kind} /> <strong>{node.key}</strong> <Mark isAdded={isAdded} />
      </summary>
      <pre tabIndex={0}>{JSON.stringify(node.configInput, null, 2)}</pre>
    </details>
  );
}

function Edges({ added, removed }: { readonly added: Diff['edgesAdded']; readonly removed: Diff['edgesRemoved'] }) {
  const edges = [...added.map((edge) => ({ edge, isAdded: true })), ...removed.map((edge) => ({ edge, isAdded: false }))];
  if (edges.length === 0) return null;
  return (
    <section className="diff-part">
      <h4>Edges</h4>
      <ul>
        {edges.map(({ edge: { source, sourcePort, target }, isAdded }) => (
          <li key={`${isAdded}${source}:${sourcePort}>${target}`}>
            <code>
              {source}
              {sourcePort !== 'out' && `:${sourcePort}`} → {target}
            </code>{' '}
            <Mark isAdded={isAdded} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Part({ title, changes }: { readonly title: string; readonly changes: readonly ChangeFieldsFragment[] }) {
  if (changes.length === 0) return null;
  return (
    <section className="diff-part">
      <h4>{title}</h4>
      {changes.map((change) => (
        <div key={change.path.join('\u0000')}>
          <p className="small">{placeOf(change.path)}</p>
          <TextDiff before={textOf(change, change.before, 'ADDED')} after={textOf(change, change.after, 'REMOVED')} />
        </div>
      ))}
    </section>
  );
}

function placeOf(path: readonly string[]): string {
  const steps = path[0] === 'config' ? path.slice(2) : path;
  return steps.map((step) => (/^\d+$/.test(step) ? String(Number(step) + 1) : wordsOf(step))).join(' › ') || 'All of it';
}

/** What is absent on a side has no text there. */
function textOf({ kind }: ChangeFieldsFragment, value: unknown, absent: ChangeFieldsFragment['kind']): string | null {
  if (kind === absent) return null;
  return typeof value === 'string' ? value : JSON.stringify(value, null, 2);
}
