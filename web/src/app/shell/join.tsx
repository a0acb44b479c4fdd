/** An invitation of somebody who is signed in: joining its workspace, or not. */

import { useMutation } from 'urql';
import { AcceptInviteDocument } from '../generated/graphql';
import { RequestError, UserErrors } from '../parts/errors';
import { Brand } from './brand';
import type { Me } from './gate';

interface JoinProps {
  readonly me: Me;
  readonly invite: string;
  readonly onJoined: (workspaceId: string) => void;
  readonly onDeclined: () => void;
}

export function Join({ me, invite, onJoined, onDeclined }: JoinProps) {
  const [{ data, error, fetching }, accept] = useMutation(AcceptInviteDocument);
  const join = async () => {
    const joined = (await accept({ token: invite })).data?.acceptInvite.workspace;
    if (joined) onJoined(joined.id);
  };
  return (
    <main className="sign-in">
      <div className="sign-in-card card">
        <Brand />
        <div>
          <h1>You are invited</h1>
          <p className="muted">Join the workspace as {me.user.email ?? me.user.name}?</p>
        </div>
        {error && <RequestError error={error} />}
        <UserErrors errors={data?.acceptInvite.userErrors ?? []} />
        <button type="button" className="button primary" disabled={fetching} onClick={join}>
          Join
        </button>
        <button type="button" className="button quiet" onClick={onDeclined}>
          Not now
        </button>
      </div>
    </main>
  );
}
