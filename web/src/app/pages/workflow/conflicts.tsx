/** What someone else changed first: theirs beside mine, to choose from. */

import { type OpenConflict, theirsOf } from '../../editor/conflicts';
import type { Json } from '../../editor/json';
import { nodeOf } from '../../editor/model';
import { wordsOf } from '../../forms/shape';
import { CopyButton } from '../../parts/json-view';
import { useWorkbench } from './workbench';

export function Conflicts() {
  const { state } = useWorkbench();
  if (state.conflicts.length === 0) return null;
  return (
    <section className="conflicts" aria-label="Conflicts" role="alert">
      {state.conflicts.map((open) => (
        <ConflictCard key={open.id} open={open} />
      ))}
    </section>
  );
}

function ConflictCard({ open }: { readonly open: OpenConflict }) {
  const { state, sync, select } = useWorkbench();
  const { conflict, id } = open;
  const who = open.by ?? 'Someone else';
  const choose = (choice: 'mine' | 'theirs') => sync.dispatch({ type: 'chosen', id, choice });
  const isGone = conflict.type === 'field' && conflict.nodeKey !== null && !nodeOf(state.shown, conflict.nodeKey);
  const key = conflict.type === 'removed' ? conflict.node.key : conflict.nodeKey;
  return (
    <article className="conflict">
      <h2>
        {tell(open, who)}{' '}
        {key !== null && nodeOf(state.shown, key) && (
          <button type="button" className="button quiet compact" onClick={() => select({ type: 'node', key })}>
            Show it
          </button>
        )}
      </h2>
      {conflict.type === 'field' && (
        <div className="conflict-sides">
          <Side title={`Theirs (${who})`} value={isGone ? undefined : theirsOf(state.shown, conflict)} />
          <Side title="Yours" value={conflict.mine} />
        </div>
      )}
      {conflict.type === 'removed' && (
        <div className="conflict-sides">
          <Side title="Yours" value={conflict.node.config} />
        </div>
      )}
      <div className="actions">
        <button type="button" className="button compact" onClick={() => choose('theirs')}>
          {conflict.type === 'removed' ? 'Leave it removed' : conflict.type === 'changed' ? 'Keep the node' : 'Keep theirs'}
        </button>
        {!isGone && (
          <button type="button" className="button compact primary" onClick={() => choose('mine')}>
            {conflict.type === 'removed' ? 'Bring it back with my change' : conflict.type === 'changed' ? 'Remove it all the same' : 'Use mine'}
          </button>
        )}
      </div>
    </article>
  );
}

function tell({ conflict }: OpenConflict, who: string): string {
  switch (conflict.type) {
    case 'removed':
      return `${who} removed “${conflict.node.key}” while you changed it.`;
    case 'changed':
      return `${who} changed “${conflict.nodeKey}”, which you removed. It is still there.`;
    case 'field': {
      const place = conflict.path.slice(conflict.path[0] === 'config' ? 2 : 0).map(wordsOf).join(' › ');
      return `${who} changed ${conflict.nodeKey === null ? 'the workflow' : `“${conflict.nodeKey}”`} at the same place as you: ${place || 'the whole configuration'}.`;
    }
  }
}

function Side({ title, value }: { readonly title: string; readonly value: Json | undefined }) {
  const text = value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  return (
    <div className="conflict-side">
      <div className="conflict-title">
        <h3>{title}</h3>
        {value !== undefined && <CopyButton text={() => text} what={title} />}
      </div>
      {value === undefined ? <p className="muted">Nothing: it was removed.</p> : <pre tabIndex={0}>{text === '' ? '(empty)' : text}</pre>}
    </div>
  );
}
