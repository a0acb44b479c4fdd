/** One item of a list: what it was given, what it writes, what came of it. */

import { useQuery } from 'urql';
import { OneItemDocument, type OneItemQuery } from '../../../generated/graphql';
import { Loading } from '../../../parts/empty';
import { RequestError } from '../../../parts/errors';
import { StatusBadge } from '../../../parts/status';
import { Instant } from '../../../parts/time';
import { usePaced } from '../../../parts/use-paced';
import { Written } from '../node-result';
import { Facts, Failure, Payload, textIn } from '../panel';
import { type ItemView, textOfItem } from '../run-items';
import { isSettled, type NodeView, type OpenedRun } from '../run-view';
import { tellUsage } from '../usage';
import { RunLink, WaitNote } from '../waits';

const PACE_MS = 500;

interface ItemPanelProps {
  readonly run: OpenedRun;
  readonly node: NodeView;
  readonly index: number;
  readonly onClose: () => void;
}

export function ItemPanel({ run, node, index, onClose }: ItemPanelProps) {
  const live = node.items.get(index);
  const variables = { id: run.id, key: node.key, index };
  const [{ data, error }, ask] = useQuery({ query: OneItemDocument, variables, requestPolicy: 'cache-and-network' });
  const readAgain = () => ask({ requestPolicy: 'network-only' });
  usePaced(`${live?.status} ${live?.attempt} ${node.status}`, PACE_MS, readAgain);
  const item = data?.run?.nodeRun;
  return (
    <section className="stack" aria-label={`Item ${index}`}>
      <div className="actions">
        <button type="button" className="button compact" onClick={onClose}>
          All items
        </button>
        <h3 className="item-name">{`Item ${index}`}</h3>
        {(live || item) && <StatusBadge status={live?.status ?? item?.status ?? 'PENDING'} />}
      </div>
      {error && <RequestError error={error} onRetry={readAgain} />}
      {!error && !data && <Loading what="the item" />}
      {data && !item && !live && <p className="muted">It has not started.</p>}
      <Standing live={live} item={item ?? null} />
    </section>
  );
}

type Recorded = NonNullable<NonNullable<OneItemQuery['run']>['nodeRun']>;

function Standing({ live, item }: { readonly live: ItemView | undefined; readonly item: Recorded | null }) {
  const isOver = item !== null && !live && isSettled(item);
  const error = live ? live.error : item?.status === 'SUCCEEDED' ? null : item?.error;
  const text = (isOver && textIn(item.output)) || textOfItem(live, item && { text: item.partialText ?? '', attempt: item.attempts });
  return (
    <>
      {live?.waiting && <WaitNote waiting={live.waiting} />}
      {item?.subRun && <RunLink run={item.subRun} />}
      {error && <Failure error={error} />}
      {live?.nextAttemptAt && live.status === 'RETRYING' && (
        <p className="muted">
          The next attempt begins at <Instant at={live.nextAttemptAt} />.
        </p>
      )}
      {text !== '' && <Written text={text} isGrowing={!isOver} />}
      {isOver && item.status === 'SUCCEEDED' && <Payload label="Output" value={item.output} none="It returned nothing." />}
      {item && <Payload label="Input" value={item.input} none="No input is recorded yet." />}
      {item && (
        <Facts
          facts={[
            ['Attempts', live?.attempt ?? item.attempts],
            ['Tokens', item.usage.totalTokens > 0 && tellUsage(item.usage)],
          ]}
        />
      )}
    </>
  );
}
