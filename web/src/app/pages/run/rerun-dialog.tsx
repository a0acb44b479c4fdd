/** Running again: from where, with which graph; and before one decides, what would be reused. */

import { type FormEvent, useEffect, useState } from 'react';
import { useMutation } from 'urql';
import { useLocation } from 'wouter';
import { type RerunFrom, type RerunGraph, RerunRunDocument, type RerunRunInput, type RerunRunMutation } from '../../generated/graphql';
import { Dialog } from '../../parts/dialog';
import { Loading } from '../../parts/empty';
import { RequestError, UserErrors } from '../../parts/errors';

export interface RerunWish {
  readonly from: RerunFrom;
  /** The node to run again from; null = none was chosen. */
  readonly nodeKey: string | null;
}

interface RerunDialogProps {
  readonly runId: string;
  readonly names: ReadonlyMap<string, string>;
  /** The number of the version that is published now; null = none. */
  readonly published: number | null;
  readonly wish: RerunWish | null;
  readonly onClose: () => void;
}

export function RerunDialog({ wish, onClose, ...rest }: RerunDialogProps) {
  return (
    <Dialog title="Run again" isOpen={wish !== null} onClose={onClose}>
      {wish && <Form {...rest} wish={wish} />}
    </Dialog>
  );
}

function Form({ runId, names, published, wish }: Omit<RerunDialogProps, 'onClose' | 'wish'> & { readonly wish: RerunWish }) {
  const [from, setFrom] = useState(wish.from);
  const [graph, setGraph] = useState<RerunGraph>('SAME');
  const [{ data, error, fetching }, rerun] = useMutation(RerunRunDocument);
  const [, go] = useLocation();
  const nodeKeys = from === 'NODES' && wish.nodeKey !== null ? [wish.nodeKey] : null;
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const made = await rerun({ input: { runId, from, graph, nodeKeys, isDryRun: false } });
    const id = made.data?.rerunRun.run?.id;
    if (id) go(`/runs/${id}`);
  };
  const nodeName = wish.nodeKey === null ? null : (names.get(wish.nodeKey) ?? wish.nodeKey);
  return (
    <form className="stack" onSubmit={submit}>
      <fieldset className="choices">
        <legend>From where</legend>
        <Choice name="FAILED" title="What failed" description="Every node without a recorded success, and what lies behind it." from={from} onChoose={setFrom} />
        {nodeName && <Choice name="NODES" title={`Node “${nodeName}”`} description="This node, and what lies behind it." from={from} onChoose={setFrom} />}
        <Choice name="START" title="The start" description="Everything; nothing is reused." from={from} onChoose={setFrom} />
      </fieldset>
      <label className="field">
        <span>With</span>
        <select className="input" value={graph} onChange={(event) => setGraph(event.target.value as RerunGraph)}>
          <option value="SAME">the graph that this run had</option>
          <option value="DRAFT">the draft as it is now</option>
          {published !== null && <option value="PUBLISHED">{`version ${published}, which is published now`}</option>}
        </select>
      </label>
      <Preview input={{ runId, from, graph, nodeKeys, isDryRun: true }} names={names} />
      {error && <RequestError error={error} />}
      <UserErrors errors={data?.rerunRun.userErrors ?? []} />
      <div className="actions end">
        <button type="submit" className="button primary" disabled={fetching}>
          Run again
        </button>
      </div>
    </form>
  );
}

interface ChoiceProps {
  readonly name: RerunFrom;
  readonly title: string;
  readonly description: string;
  readonly from: RerunFrom;
  readonly onChoose: (from: RerunFrom) => void;
}

function Choice({ name, title, description, from, onChoose }: ChoiceProps) {
  return (
    <label className="choice">
      <input type="radio" name="from" checked={from === name} onChange={() => onChoose(name)} />
      <span>
        <strong>{title}</strong>
        <span className="muted small">{description}</span>
      </span>
    </label>
  );
}

type Told = RerunRunMutation['rerunRun'];

/** What the server says it would do; it is asked again with every change. */
function Preview({ input, names }: { readonly input: RerunRunInput; readonly names: ReadonlyMap<string, string> }) {
  const [{ error }, ask] = useMutation(RerunRunDocument);
  const [told, setTold] = useState<Told | null>(null);
  const asked = JSON.stringify(input);
  useEffect(() => {
    let isCurrent = true;
    setTold(null);
    void ask({ input: JSON.parse(asked) as RerunRunInput }).then(({ data }) => {
      if (isCurrent && data) setTold(data.rerunRun);
    });
    return () => {
      isCurrent = false;
    };
  }, [ask, asked]);
  if (error) return <RequestError error={error} />;
  if (!told) return <Loading what="what would be done" lines={2} />;
  if (told.userErrors.length > 0) return <UserErrors errors={told.userErrors} />;
  return (
    <section className="preview" aria-label="What would be done" aria-live="polite">
      <Keys title="Runs again" keys={told.executedNodeKeys ?? []} names={names} none="Nothing." />
      <Keys title="Is reused" keys={told.reusedNodeKeys ?? []} names={names} none="Nothing." />
      {(told.executedNodeKeys?.length ?? 0) > 0 && <p className="muted small">What runs again has its effects again: requests are sent and rows are written anew.</p>}
    </section>
  );
}

interface KeysProps {
  readonly title: string;
  readonly keys: readonly string[];
  readonly names: ReadonlyMap<string, string>;
  readonly none: string;
}

const MOST_NAMED = 12;

function Keys({ title, keys, names, none }: KeysProps) {
  return (
    <p>
      <strong>{`${title} (${keys.length}): `}</strong>
      {keys.length === 0 && none}
      {keys
        .slice(0, MOST_NAMED)
        .map((key) => names.get(key) ?? key)
        .join(', ')}
      {keys.length > MOST_NAMED && `, and ${keys.length - MOST_NAMED} more`}
    </p>
  );
}
