/** The items of a list that a node was given: how many are done, and each of them. */

import './items.css';
import { useState } from 'react';
import { useQuery } from 'urql';
import { type ItemRowFragment, NodeItemsDocument, type NodeRunStatus } from '../../../generated/graphql';
import { Loading } from '../../../parts/empty';
import { RequestError } from '../../../parts/errors';
import { Pager } from '../../../parts/pager';
import { StatusBadge } from '../../../parts/status';
import { Elapsed } from '../../../parts/time';
import { usePaced } from '../../../parts/use-paced';
import type { ItemView } from '../run-items';
import { isSettled, type NodeView, type OpenedRun } from '../run-view';
import { ItemPanel } from './item-panel';
import { ItemProgress } from './item-progress';

const PAGE = 25;
const PACE_MS = 1_000;

interface Filter {
  readonly title: string;
  /** Null = whichever. */
  readonly statuses: readonly NodeRunStatus[] | null;
}

const FILTERS: readonly Filter[] = [
  { title: 'All items', statuses: null },
  { title: 'At work', statuses: ['RUNNING', 'RETRYING', 'WAITING'] },
  { title: 'Failed', statuses: ['FAILED'] },
  { title: 'Succeeded', statuses: ['SUCCEEDED', 'REUSED'] },
];

interface ItemsProps {
  readonly run: OpenedRun;
  readonly node: NodeView;
}

export function Items({ run, node }: ItemsProps) {
  const [filter, setFilter] = useState(0);
  const [after, setAfter] = useState<readonly string[]>([]);
  const [index, setIndex] = useState<number | null>(null);
  if (index !== null) return <ItemPanel key={index} run={run} node={node} index={index} onClose={() => setIndex(null)} />;
  return (
    <div className="stack">
      <ItemProgress node={node} />
      <label className="field">
        <span className="visually-hidden">Which items</span>
        <select
          className="input"
          value={filter}
          onChange={(event) => {
            setFilter(Number(event.target.value));
            setAfter([]);
          }}
        >
          {FILTERS.map(({ title }, place) => (
            <option key={title} value={place}>
              {title}
            </option>
          ))}
        </select>
      </label>
      <List run={run} node={node} filter={FILTERS[filter] as Filter} after={after} onPage={setAfter} onChoose={setIndex} />
    </div>
  );
}

interface ListProps extends ItemsProps {
  readonly filter: Filter;
  /** The cursors of the pages up to this one. */
  readonly after: readonly string[];
  readonly onPage: (after: readonly string[]) => void;
  readonly onChoose: (index: number) => void;
}

function List({ run, node, filter, after, onPage, onChoose }: ListProps) {
  const variables = { id: run.id, key: node.key, statuses: filter.statuses, after: after.at(-1) ?? null };
  const [{ data, error }, ask] = useQuery({ query: NodeItemsDocument, variables, requestPolicy: 'cache-and-network' });
  const readAgain = () => ask({ requestPolicy: 'network-only' });
  usePaced(signOf(node), PACE_MS, readAgain);
  const page = data?.run?.nodeRuns;
  if (error) return <RequestError error={error} onRetry={readAgain} />;
  if (!page) return <Loading what="the items" />;
  if (page.totalCount === 0) return <p className="muted">{filter.statuses === null ? 'No item has started.' : 'There is none.'}</p>;
  const next = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
  return (
    <>
      <ol className="rows boxed" aria-label="Items">
        {page.nodes.map((item) => (
          <li key={item.id}>
            <Row item={item} live={node.items.get(item.itemIndex ?? -1)} onChoose={onChoose} />
          </li>
        ))}
      </ol>
      <Pager
        what="items"
        from={after.length * PAGE}
        shown={page.nodes.length}
        total={page.totalCount}
        onBack={after.length > 0 ? () => onPage(after.slice(0, -1)) : null}
        onOn={next === null || next === undefined ? null : () => onPage([...after, next])}
      />
    </>
  );
}

/** What changes whenever an item begins, is tried again or is settled. */
export function signOf(node: NodeView): string {
  const working = [...node.items.values()].map(({ index, status, attempt }) => `${index} ${status} ${attempt}`);
  return [node.status, node.itemsDone, ...working].join(',');
}

interface RowProps {
  readonly item: ItemRowFragment;
  /** What the log says of it, while it is at work. */
  readonly live: ItemView | undefined;
  readonly onChoose: (index: number) => void;
}

function Row({ item, live, onChoose }: RowProps) {
  const { itemIndex, startedAt, finishedAt } = item;
  const status = live?.status ?? item.status;
  const attempts = live?.attempt ?? item.attempts;
  const isOver = isSettled({ status });
  const index = itemIndex ?? 0;
  return (
    <button type="button" className="row item-row" onClick={() => onChoose(index)}>
      <span className="row-main">
        <span className="row-title">{`Item ${index}`}</span>
        <span className="muted small row-note">{noteOf(item, live, attempts)}</span>
      </span>
      <span className="muted small">{startedAt && (finishedAt || !isOver) && <Elapsed from={startedAt} until={isOver ? finishedAt : null} />}</span>
      <StatusBadge status={status} />
    </button>
  );
}

function noteOf({ error, status }: ItemRowFragment, live: ItemView | undefined, attempts: number): string {
  const tries = attempts > 1 ? `attempt ${attempts}` : '';
  const told = live?.text ? `…${live.text.slice(-60)}` : ((live?.error ?? (status === 'SUCCEEDED' ? null : error))?.code ?? '');
  return [tries, told].filter(Boolean).join(' · ');
}
