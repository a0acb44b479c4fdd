/** `/runs/<id>`: a run as it happens, and afterwards. */

import './run.css';
import { useEffect, useMemo, useRef, useState } from 'react';
import { useAnnouncer } from '../../parts/announce';
import { Loading } from '../../parts/empty';
import { RequestError } from '../../parts/errors';
import { lookOf } from '../../parts/status';
import { useTitle } from '../../parts/title';
import { NotFound } from '../not-found';
import { NodePanel } from './node-panel';
import { RerunDialog, type RerunWish } from './rerun-dialog';
import { RunContext, useStore } from './run-context';
import { RunGraph } from './run-graph';
import { RunHead } from './run-head';
import { RunPanel } from './run-panel';
import { useOfRun } from './run-store';
import { isFinished, type OpenedRun } from './run-view';
import { Timeline } from './timeline';
import { useChosen } from './use-chosen';
import { type FollowedRun, useRun } from './use-run';

export function RunPage({ id }: { readonly id: string }) {
  const followed = useRun(id);
  const { opened, reopen } = followed;
  const facts = useMemo(() => (opened.state === 'open' ? factsOf(opened) : null), [opened]);
  useTitle('Run');
  if (opened.state === 'loading') return <Loading what="the run" lines={5} />;
  if (opened.state === 'missing') return <NotFound what="run" />;
  if (opened.state === 'unreachable') {
    return (
      <div className="narrow">
        <RequestError error={opened.error} onRetry={reopen} />
      </div>
    );
  }
  return (
    <RunContext.Provider value={facts}>
      <Opened run={opened.run} followed={followed} />
    </RunContext.Provider>
  );
}

/** Above so many nodes that write, their texts are left to the panel. */
const MOST_TEXTS = 24;

function factsOf({ run, store }: Extract<FollowedRun['opened'], { readonly state: 'open' }>) {
  const writing = run.graph.nodes.filter(({ kind }) => kind === 'LLM_CALL').length;
  return { runId: run.id, store, isRecallingTexts: writing <= MOST_TEXTS };
}

function Opened({ run, followed }: { readonly run: OpenedRun; readonly followed: FollowedRun }) {
  const keys = useMemo(() => run.graph.nodes.map(({ key }) => key), [run]);
  const [selected, setSelected] = useChosen(keys);
  const [wish, setWish] = useState<RerunWish | null>(null);
  const names = useMemo(() => new Map(run.graph.nodes.map(({ key, name }) => [key, name])), [run]);
  useSaidAloud(run, names);
  return (
    <div className="run-page">
      <RunHead
        run={run}
        followed={followed}
        onRerun={(hasFailed) => setWish({ from: hasFailed ? 'FAILED' : selected ? 'NODES' : 'START', nodeKey: selected })}
      />
      <div className="run-graph">
        <RunGraph run={run} selected={selected} onSelect={setSelected} />
      </div>
      <section className="run-timeline" aria-label="Timeline">
        <Timeline names={names} createdAt={run.createdAt} selected={selected} onSelect={setSelected} />
      </section>
      <aside className="run-panel" aria-label="Details">
        {selected === null ? (
          <RunPanel run={run} names={names} onSelect={setSelected} />
        ) : (
          <NodePanel
            key={selected}
            run={run}
            nodeKey={selected}
            onClose={() => setSelected(null)}
            actions={<RerunFromHere onPress={() => setWish({ from: 'NODES', nodeKey: selected })} />}
          />
        )}
      </aside>
      <RerunDialog
        runId={run.id}
        names={names}
        published={run.workflow.publishedVersion?.number ?? null}
        wish={wish}
        onClose={() => setWish(null)}
      />
    </div>
  );
}

function RerunFromHere({ onPress }: { readonly onPress: () => void }) {
  const isOver = useOfRun(useStore(), isFinished);
  if (!isOver) return null;
  return (
    <div className="actions">
      <button type="button" className="button compact" onClick={onPress}>
        Run again from here
      </button>
    </div>
  );
}

/** Say to who cannot see it how the run goes on: that nodes fail, and how it ends. */
function useSaidAloud(run: OpenedRun, names: ReadonlyMap<string, string>): void {
  const store = useStore();
  const { say } = useAnnouncer();
  const status = useOfRun(store, (view) => view.status);
  const failed = useOfRun(store, (view) => [...view.nodes.values()].filter((node) => node.status === 'FAILED').at(-1)?.key ?? null);
  const opened = useRef({ status, failed });
  useEffect(() => {
    if (failed !== null && failed !== opened.current.failed) say(`Node ${names.get(failed) ?? failed} failed.`);
  }, [failed, names, say]);
  useEffect(() => {
    if (status !== opened.current.status) say(`${run.workflow.name}: ${lookOf(status).word}.`);
  }, [status, run, say]);
}
