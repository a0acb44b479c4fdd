/** Lets in who is signed in; shows everybody else how to. The address stays, so a shared link opens after signing in. */

import type { ReactNode } from 'react';
import { useQuery } from 'urql';
import { MeDocument, type MeQuery } from '../generated/graphql';
import { Loading } from '../parts/empty';
import { RequestError } from '../parts/errors';
import { Join } from './join';
import { SignIn } from './sign-in';

/** Where the browser keeps which workspace is shown. */
export const CHOSEN_WORKSPACE = 'anabranch.workspace';

export type Me = NonNullable<MeQuery['viewer']>;

interface GateProps {
  readonly invite: string | null;
  readonly onChange: () => void;
  /** The invitation is used, or not wanted: it is not asked about again. */
  readonly onInviteDone: () => void;
  readonly children: (me: Me) => ReactNode;
}

export function Gate({ invite, onChange, onInviteDone, children }: GateProps) {
  const [{ data, error, fetching }, ask] = useQuery({ query: MeDocument });
  if (data?.viewer && invite) {
    const joined = (workspaceId: string) => {
      window.localStorage.setItem(CHOSEN_WORKSPACE, workspaceId);
      onInviteDone();
      onChange();
    };
    return <Join me={data.viewer} invite={invite} onJoined={joined} onDeclined={onInviteDone} />;
  }
  if (data?.viewer) return children(data.viewer);
  if (data) return <SignIn server={data.server} invite={invite} onInviteDone={onInviteDone} onDone={onChange} />;
  return (
    <main className="narrow">
      {error && !fetching ? (
        <RequestError error={error} onRetry={() => ask({ requestPolicy: 'network-only' })} />
      ) : (
        <Loading what="your session" />
      )}
    </main>
  );
}
