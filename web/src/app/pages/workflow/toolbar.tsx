/** What is done with the workflow as a whole. */

import { Link } from 'wouter';
import { useIsTyping } from './use-buffered';
import { useVersions } from './use-versions';
import { useWorkbench } from './workbench';

export function Toolbar({ publications }: { readonly publications: number }) {
  const { mayEdit, state, open } = useWorkbench();
  const { name } = state.shown.workflow;
  return (
    <div className="editor-bar">
      <div className="editor-name">
        <Link href="/" className="button quiet compact" aria-label="All workflows">
          ‹
        </Link>
        <h1 title={name}>{name}</h1>
        {mayEdit && (
          <button type="button" className="button quiet compact" onClick={() => open({ type: 'settings' })}>
            Settings
          </button>
        )}
        {mayEdit && <SaveState />}
      </div>
      {mayEdit ? <Actions publications={publications} /> : <span className="muted">You may read this, not change it.</span>}
    </div>
  );
}

function Actions({ publications }: { readonly publications: number }) {
  const { state, sync, open } = useWorkbench();
  const undo = state.undo.at(-1);
  const redo = state.redo.at(-1);
  return (
    <div className="actions">
      <button
        type="button"
        className="button quiet compact"
        disabled={!undo}
        title={undo ? `Undo: ${undo.label} (Ctrl+Z)` : 'Nothing to undo'}
        onClick={() => sync.dispatch({ type: 'undone' })}
      >
        ↶ Undo
      </button>
      <button
        type="button"
        className="button quiet compact"
        disabled={!redo}
        title={redo ? `Redo: ${redo.label} (Ctrl+Shift+Z)` : 'Nothing to redo'}
        onClick={() => sync.dispatch({ type: 'redone' })}
      >
        ↷ Redo
      </button>
      <button type="button" className="button compact" title="Add or do (A, or Ctrl+K)" onClick={() => open({ type: 'menu' })}>
        Add
      </button>
      <button type="button" className="button compact" onClick={() => open({ type: 'export' })}>
        Export
      </button>
      <PublishButton publications={publications} />
      <button type="button" className="button primary compact" onClick={() => open({ type: 'run' })}>
        ▶ Run
      </button>
    </div>
  );
}

/** Whether what one sees is what the server has. */
function SaveState() {
  const { state, sync } = useWorkbench();
  const isTyping = useIsTyping();
  const { fault, pending } = state;
  const isUnsaved = pending.length > 0 || isTyping;
  if (fault !== null && pending.length > 0) {
    return (
      <span className="save-state tone-failed" role="status">
        Not saved: {fault}{' '}
        <button type="button" className="button compact" onClick={sync.hurry}>
          Try now
        </button>
      </span>
    );
  }
  if (state.refusal && !isUnsaved) return <Refused />;
  return (
    <span className="save-state muted small" role="status" data-saved={!isUnsaved}>
      {isUnsaved ? 'Saving…' : 'Saved'}
    </span>
  );
}

function Refused() {
  const { state, sync, select } = useWorkbench();
  const { refusal } = state;
  const key = refusal && 'key' in refusal.edit ? refusal.edit.key : null;
  return (
    <span className="save-state tone-failed" role="status">
      Your last change{key !== null && ` of “${key}”`} is not saved: it has a fault.{' '}
      {key !== null && (
        <button type="button" className="button compact" onClick={() => select({ type: 'node', key })}>
          Show it
        </button>
      )}{' '}
      <button type="button" className="button compact" onClick={() => sync.dispatch({ type: 'dropped' })}>
        Discard it
      </button>
    </span>
  );
}

function PublishButton({ publications }: { readonly publications: number }) {
  const { workflowId, state, open } = useWorkbench();
  const [{ data }] = useVersions(workflowId, `${state.base.revision}.${publications}`);
  const workflow = data?.workflow;
  const number = workflow?.publishedVersion?.number;
  const hint = !workflow ? '' : number === undefined ? 'Never published' : workflow.hasUnpublishedChanges ? `Differs from version ${number}` : `As version ${number}`;
  return (
    <button type="button" className="button compact" title={hint} onClick={() => open({ type: 'publish' })}>
      Publish
      {workflow?.hasUnpublishedChanges && number !== undefined && <span className="dot" aria-hidden="true" />}
      <span className="visually-hidden">{hint}</span>
    </button>
  );
}
