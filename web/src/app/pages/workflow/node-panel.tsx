/** Everything about one node: what it is called, how it works, what it is connected to, and how it fails. */

import { useMemo } from 'react';
import { namesFor } from '../../editor/completion';
import { copying, removing } from '../../editor/gestures';
import type { Json, JsonObject } from '../../editor/json';
import { isObject } from '../../editor/json';
import { type DraftNode, kindNameOf, type NodeField } from '../../editor/model';
import type { FieldError } from '../../forms/context';
import { SchemaForm } from '../../forms/schema-form';
import { KindSign } from '../../graph/kinds';
import { Notice } from '../../parts/errors';
import { Connections } from './connections';
import { KeyField } from './key-field';
import { POLICIES, policiesOf } from './policies';
import { TemplateScopeContext, TemplateText } from './template-text';
import { TryNode } from './try-node';
import { useBuffered } from './use-buffered';
import { useWorkbench } from './workbench';

export function NodePanel({ node }: { readonly node: DraftNode }) {
  const { workflowId, mayEdit, state, kinds, outputs, secrets, select, perform, places } = useWorkbench();
  const kind = kinds.find((one) => one.name === kindNameOf(node));
  const scope = useMemo(
    () => ({ workflowId, nodeKey: node.key, names: namesFor(state.shown, node.key, outputs, secrets) }),
    [workflowId, node.key, state.shown, outputs, secrets],
  );
  return (
    <TemplateScopeContext.Provider value={scope}>
      <div className="side-head">
        <KindSign kind={kind?.kind ?? 'UNKNOWN'} size={20} />
        <div className="side-title">
          <h2>{node.name ?? node.key}</h2>
          <p className="muted small" title={kind?.description}>
            {kind?.title ?? 'A kind that is not installed here'}
          </p>
        </div>
        <button type="button" className="button quiet icon" aria-label="Close the panel" onClick={() => select(null)}>
          ✕
        </button>
      </div>
      <fieldset className="side-body" disabled={!mayEdit}>
        <KeyField node={node} />
        {kind ? (
          <ConfigForm node={node} schema={kind.configSchema} />
        ) : (
          <Notice title="This kind is not installed" tone="waiting">
            <p>Its configuration is kept as it is.</p>
          </Notice>
        )}
        <Connections node={node} />
        <PolicyForm node={node} />
        <TryNode node={node} />
        <div className="actions">
          <button type="button" className="button compact" onClick={() => perform(copying(state.shown, places, node))}>
            Duplicate
          </button>
          <button type="button" className="button danger compact" onClick={() => perform(removing(state.shown, node.key))}>
            Remove the node
          </button>
        </div>
      </fieldset>
    </TemplateScopeContext.Provider>
  );
}

interface FormProps {
  readonly node: DraftNode;
  readonly schema: JsonObject;
}

function ConfigForm({ node, schema }: FormProps) {
  const { sync, namesOf } = useWorkbench();
  const name = kindNameOf(node);
  const refused = useRefused(node.key, ['config']);
  const shown = refused && isObject(refused['config']) ? refused['config'] : node.config;
  const { value, set, flush } = useBuffered<JsonObject>(node.config, shown, (before, after) =>
    sync.dispatch({ type: 'edited', label: `Change “${node.key}”`, edits: [{ type: 'update', key: node.key, changes: { config: { before, after } } }] }),
  );
  const errors = useErrors(node.key, (path) => (path[0] === 'config' ? path.slice(2) : null));
  return (
    <section aria-label="Configuration" className="form-section" onBlur={flush}>
      <SchemaForm
        schema={schema}
        value={value[name]}
        onChange={(part) => set({ [name]: part ?? {} })}
        errors={errors}
        Text={TemplateText}
        namesOf={namesOf}
      />
    </section>
  );
}

const POLICY_FIELDS: readonly NodeField[] = ['name', 'when', 'join', 'forEach', 'onError', 'retry', 'timeouts'];

function PolicyForm({ node }: { readonly node: DraftNode }) {
  const { sync } = useWorkbench();
  const stored = useMemo(() => policiesOf(node), [node]);
  const refused = useRefused(node.key, POLICY_FIELDS);
  const { value, set, flush } = useBuffered<JsonObject>(stored, refused ? { ...stored, ...refused } : stored, (before, after) => {
    const changed = POLICY_FIELDS.filter((field) => JSON.stringify(before[field]) !== JSON.stringify(after[field]));
    const changes = Object.fromEntries(changed.map((field) => [field, { before: before[field] ?? null, after: after[field] ?? null }]));
    if (changed.length === 0) return;
    sync.dispatch({ type: 'edited', label: `Change “${node.key}”`, edits: [{ type: 'update', key: node.key, changes }] });
  });
  const errors = useErrors(node.key, (path) => (path[0] === 'config' || path.length === 0 ? null : path));
  return (
    <details className="form-more" onBlur={flush} open={errors.length > 0 ? true : undefined}>
      <summary>When it runs, and what happens when it fails</summary>
      <SchemaForm schema={POLICIES} value={value} onChange={(next) => set(isObject(next) ? next : {})} errors={errors} Text={TemplateText} />
    </details>
  );
}

/** What the person wanted and the server refused: it stays in the form, to be corrected. */
function useRefused(key: string, fields: readonly NodeField[]): { readonly [field: string]: Json } | null {
  const { refusal } = useWorkbench().state;
  if (refusal?.edit.type !== 'update' || refusal.edit.key !== key) return null;
  const changes = refusal.edit.changes;
  const refused = fields.flatMap((field) => {
    const change = changes[field];
    return change ? [[field, change.after] as const] : [];
  });
  return refused.length > 0 ? Object.fromEntries(refused) : null;
}

/** The problems of a node and what the server refused of it, at the paths that `place` makes of theirs. */
function useErrors(key: string, place: (path: readonly string[]) => readonly string[] | null): readonly FieldError[] {
  const { shown, refusal } = useWorkbench().state;
  return useMemo(() => {
    const isRefused = refusal !== null && 'key' in refusal.edit && refusal.edit.key === key && refusal.edit.type === 'update';
    const refused = isRefused ? refusal.errors : [];
    const problems = shown.problems.filter((problem) => problem.nodeKey === key);
    return [
      ...refused.map((error) => ({ ...error, isWarning: false })),
      ...problems.map((problem) => ({ ...problem, isWarning: problem.severity !== 'ERROR' })),
    ].flatMap(({ path, message, hint, isWarning }) => {
      const there = place(path.length === 0 && isRefused ? ['config', ''] : path);
      return there === null ? [] : [{ path: there, message, hint, isWarning }];
    });
    // `place` is a constant of each form.
  }, [key, shown.problems, refusal]);
}
