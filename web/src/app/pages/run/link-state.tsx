/** Whether what one sees is live. */

import { useEffect, useRef } from 'react';
import { useAnnouncer } from '../../parts/announce';
import { useNow } from '../../parts/time';
import type { Link } from './follow';

export function LinkState({ link, onReopen }: { readonly link: Link; readonly onReopen: () => void }) {
  useAnnounced(link.state);
  if (link.state === 'complete') return null;
  if (link.state === 'live') return <span className="link-state tone-succeeded">Live</span>;
  if (link.state === 'connecting') return <span className="link-state tone-pending">Connecting…</span>;
  if (link.state === 'reconnecting') return <Reconnecting tries={link.tries} nextTryAt={link.nextTryAt} />;
  return (
    <span className="link-state tone-failed" title={link.message}>
      Not live
      <button type="button" className="button compact" onClick={onReopen}>
        Try again
      </button>
    </span>
  );
}

function Reconnecting({ tries, nextTryAt }: { readonly tries: number; readonly nextTryAt: number }) {
  const seconds = Math.ceil(Math.max(0, nextTryAt - useNow(500)) / 1_000);
  return (
    <span className="link-state tone-waiting" title={`Try ${tries}`}>
      Reconnecting…{seconds > 1 && ` in ${seconds} s`}
    </span>
  );
}

/** Say what changes about the connection, but not that it is as it should be. */
function useAnnounced(state: Link['state']): void {
  const { say } = useAnnouncer();
  const before = useRef(state);
  useEffect(() => {
    if (state === 'reconnecting' && before.current !== 'reconnecting') say('The connection is lost; reconnecting.');
    if (state === 'live' && before.current === 'reconnecting') say('Connected again; nothing was missed.');
    before.current = state;
  }, [state, say]);
}
