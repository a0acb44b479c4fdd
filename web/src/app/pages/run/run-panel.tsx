/** Beside the graph while no node is chosen: the run as a whole. */

import { useEffect, useState } from 'react';
import { useQuery } from 'urql';
import { Link } from 'wouter';
import { RunPayloadsDocument, type UsageFieldsFragment } from '../../generated/graphql';
import { Loading } from '../../parts/empty';
import { RequestError } from '../../parts/errors';
import { StatusBadge } from '../../parts/status';
import { Tabs } from '../../parts/tabs';
import { Ago } from '../../parts/time';
import { Facts, Failure, Payload } from './panel';
import { OpenQuestions } from './questions/questions';
import { useStore } from './run-context';
import { useRunView } from './run-store';
import { isFinished, type OpenedRun } from './run-view';
import { isCalling, SubRuns } from './sub-runs';
import { tellUsageInFull } from './usage';
import { pathOf } from './use-chosen';

type RunTab = 'result' | 'input' | 'called' | 'about';
const RUN_TABS: readonly { readonly name: RunTab; readonly title: string }[] = [
  { name: 'result', title: 'Result' },
  { name: 'input', title: 'Input' },
  { name: 'called', title: 'Sub-runs' },
  { name: 'about', title: 'About' },
];

interface RunPanelProps {
  readonly run: OpenedRun;
  readonly names: ReadonlyMap<string, string>;
  readonly onSelect: (key: string) => void;
}

export function RunPanel({ run, names, onSelect }: RunPanelProps) {
  const view = useRunView(useStore());
  const [tab, setTab] = useState<RunTab>('result');
  const isOver = isFinished(view);
  const [{ data, error, fetching }, ask] = useQuery({ query: RunPayloadsDocument, variables: { id: run.id } });
  useEffect(() => {
    if (isOver) ask({ requestPolicy: 'network-only' });
  }, [isOver, ask]);
  const failedNode = view.error?.nodeKey;
  return (
    <section className="panel" aria-label="The run">
      <div className="panel-head">
        <h2>The run</h2>
        <StatusBadge status={view.status} />
      </div>
      <OpenQuestions run={run} onSelect={onSelect} />
      <Tabs label="The run" tabs={RUN_TABS.filter(({ name }) => name !== 'called' || isCalling(run))} selected={tab} onSelect={setTab}>
        {error && <RequestError error={error} />}
        {tab === 'called' && <SubRuns run={run} names={names} />}
        {tab === 'about' && <About run={run} usage={view.usage ?? data?.run?.usage ?? null} />}
        {tab === 'input' && (data?.run ? <Payload label="Input" value={data.run.input} none="It was given nothing." /> : <Loading what="the input" />)}
        {tab === 'result' && (
          <div className="stack">
            {view.error && (
              <Failure error={view.error}>
                {failedNode && (
                  <div className="actions">
                    <button type="button" className="button compact" onClick={() => onSelect(failedNode)}>
                      {`Show node “${failedNode}”`}
                    </button>
                  </div>
                )}
              </Failure>
            )}
            {!isOver && <p className="muted">The output comes when the run has ended. Choose a node to see what it does.</p>}
            {isOver && fetching && <Loading what="the output" />}
            {view.status === 'SUCCEEDED' && !fetching && <Payload label="Output" value={data?.run?.output} none="It returned nothing." />}
            {view.status === 'CANCELED' && <p className="muted">Someone stopped this run before it ended.</p>}
          </div>
        )}
      </Tabs>
    </section>
  );
}

const USUAL_PRIORITY = 3;

function About({ run, usage }: { readonly run: OpenedRun; readonly usage: UsageFieldsFragment | null }) {
  return (
    <Facts
      facts={[
        ['Id', <code key="id">{run.id}</code>],
        ['Workflow', `${run.workflow.name}, ${run.version ? `version ${run.version.number}` : 'a draft'}`],
        ['Started by', run.trigger.user ? `${run.trigger.user.name} (${run.trigger.kind})` : run.trigger.kind],
        [
          'Called by',
          run.parent && (
            <Link key="by" href={pathOf(run.parent.id, run.parentNodeKey)}>
              {run.parent.id}
            </Link>
          ),
        ],
        ['Made from', run.rerunOf && <Link key="of" href={`/runs/${run.rerunOf.id}`}>{run.rerunOf.id}</Link>],
        ['Asked for', <Ago key="at" at={run.createdAt} />],
        ['Priority', run.priority !== USUAL_PRIORITY && run.priority],
        ['Idempotency key', run.idempotencyKey && <code key="once">{run.idempotencyKey}</code>],
        ['Concurrency', run.concurrencyKey && <code key="group">{run.concurrencyKey}</code>],
        ['Labels', run.labels.length > 0 && run.labels.map(({ name, value }) => `${name}: ${value}`).join(', ')],
        ['Tokens', usage && usage.totalTokens > 0 && tellUsageInFull(usage)],
      ]}
    />
  );
}
