/** The key of a node: expressions name it, so a new one rewrites them. */

import { type FormEvent, useState } from 'react';
import { renaming } from '../../editor/gestures';
import { type DraftNode, nodeOf } from '../../editor/model';
import { useWorkbench } from './workbench';

const KEY = /^[A-Za-z][A-Za-z0-9_]{0,63}$/;

export function KeyField({ node }: { readonly node: DraftNode }) {
  const { state, perform } = useWorkbench();
  const [typed, setTyped] = useState(node.key);
  const refused = state.refusal?.edit.type === 'rename' && state.refusal.edit.key === node.key ? state.refusal.errors[0]?.message : undefined;
  const fault = faultOf(typed, node.key, nodeOf(state.shown, typed) !== undefined) ?? refused;
  const rename = (event?: FormEvent) => {
    event?.preventDefault();
    if (typed !== node.key && !fault) perform(renaming(node.key, typed));
  };
  return (
    <form className="form-field" onSubmit={rename}>
      <label htmlFor="node-key">Key</label>
      <input
        id="node-key"
        className="input mono"
        value={typed}
        spellCheck={false}
        autoComplete="off"
        aria-invalid={fault !== undefined}
        aria-describedby="node-key-help"
        onChange={(event) => setTyped(event.target.value)}
        onBlur={() => rename()}
      />
      <p id="node-key-help" className={fault ? 'small tone-failed preview-error' : 'form-help'}>
        {fault ?? (
          <>
            Expressions read <code>nodes.{node.key}.output</code>; a new key rewrites them.
          </>
        )}
      </p>
    </form>
  );
}

function faultOf(typed: string, key: string, isTaken: boolean): string | undefined {
  if (typed === key) return undefined;
  if (!KEY.test(typed)) return 'A letter, then letters, digits and underscores, 64 at most.';
  return isTaken ? `Another node is called “${typed}”.` : undefined;
}
