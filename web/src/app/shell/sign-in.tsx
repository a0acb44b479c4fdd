/** Signing in, and making an account where that is open. */

import { type FormEvent, useId, useState } from 'react';
import { useMutation } from 'urql';
import { session } from '../api/client';
import { type MeQuery, type ProblemFragment, SignInDocument, SignUpDocument } from '../generated/graphql';
import { Notice, RequestError } from '../parts/errors';
import { Brand } from './brand';

interface SignInProps {
  readonly server: MeQuery['server'];
  readonly invite: string | null;
  /** The token of the link made the account. */
  readonly onInviteDone: () => void;
  readonly onDone: () => void;
}

export function SignIn({ server, invite, onInviteDone, onDone }: SignInProps) {
  const maySignUp = server.isSignUpOpen || invite !== null;
  const [isNew, setNew] = useState(maySignUp && (server.isSetupNeeded || invite !== null));
  return (
    <main className="sign-in">
      <div className="sign-in-card card">
        <Brand />
        <div>
          <h1>{isNew ? 'Make an account' : 'Sign in'}</h1>
          <p className="muted">{hintOf(server, invite, isNew)}</p>
        </div>
        <Form isNew={isNew} invite={invite} onInviteDone={onInviteDone} onDone={onDone} key={String(isNew)} />
        {maySignUp && (
          <button type="button" className="button quiet" onClick={() => setNew(!isNew)}>
            {isNew ? 'I have an account' : 'I have no account'}
          </button>
        )}
        {!maySignUp && server.isSetupNeeded && (
          <Notice title="This server has no account yet" tone="waiting">
            <p>
              Open the one-time link that <code>anabranch serve</code> printed when it started; it makes the first account.
            </p>
          </Notice>
        )}
      </div>
    </main>
  );
}

function hintOf(server: MeQuery['server'], invite: string | null, isNew: boolean): string {
  if (!isNew) return invite ? 'You are invited: sign in to join.' : 'Workflows as graphs, run durably, watched live.';
  if (server.isSetupNeeded) return 'The first account of this server; it owns the first workspace.';
  return invite ? 'You are invited: the account joins the workspace.' : 'You get a workspace of your own.';
}

interface FormProps {
  readonly isNew: boolean;
  readonly invite: string | null;
  readonly onInviteDone: () => void;
  readonly onDone: () => void;
}

function Form({ isNew, invite, onInviteDone, onDone }: FormProps) {
  const [signingIn, signIn] = useMutation(SignInDocument);
  const [signingUp, signUp] = useMutation(SignUpDocument);
  const [problems, setProblems] = useState<readonly ProblemFragment[]>([]);
  const said = useId();
  const { fetching, error } = isNew ? signingUp : signingIn;

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    const [email, password] = [String(given.get('email')), String(given.get('password'))];
    const payload = isNew
      ? (await signUp({ input: { email, password, inviteToken: invite } })).data?.signUp
      : (await signIn({ input: { email, password } })).data?.signIn;
    setProblems(payload?.userErrors ?? []);
    if (!payload?.expiresAt) return;
    session.begin(payload.expiresAt);
    if (isNew) onInviteDone();
    onDone();
  };

  const isFaulty = problems.length > 0;
  return (
    <form onSubmit={submit} className="stack" aria-describedby={isFaulty ? said : undefined}>
      {error && <RequestError error={error} />}
      {isFaulty && (
        <div id={said} role="alert" className="notice tone-failed">
          {problems.map(({ message }) => (
            <p key={message}>{message}</p>
          ))}
        </div>
      )}
      <label className="field">
        <span>E-mail</span>
        <input className="input" name="email" type="email" autoComplete="username" required aria-invalid={isFaulty} />
      </label>
      <label className="field">
        <span>Password{isNew && ', at least 10 characters'}</span>
        <input
          className="input"
          name="password"
          type="password"
          autoComplete={isNew ? 'new-password' : 'current-password'}
          required
          aria-invalid={isFaulty}
        />
      </label>
      <button type="submit" className="button primary" disabled={fetching}>
        {isNew ? 'Make the account' : 'Sign in'}
      </button>
    </form>
  );
}
