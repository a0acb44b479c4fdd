/** The button at the top right, and the dialog in which one signs in and out. */

import { useGraphiQLActions } from '@graphiql/react';
import { type FormEvent, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { signIn, signOut, signUp, whoIs } from './api';
import type { CookieSession } from './app/api/session';
import { type Session, tokensFromText, tokensOf } from './session';

interface AccountProps {
  readonly session: Session;
  /** The session of the pages, which counts where this tab has no token of its own. */
  readonly shared: CookieSession;
  /** The token of an invitation, or of the server's set-up link: whoever comes with one makes an account. */
  readonly invite: string | null;
}

export function Account({ session, shared, invite }: AccountProps) {
  const token = useSyncExternalStore(session.subscribe, session.snapshot);
  const [name, askAgain] = useName(token, shared);
  const dialog = useRef<HTMLDialogElement>(null);
  const label = name ?? (token === null ? 'Sign in' : name === null ? 'Token not valid' : 'Signed in');
  const close = () => dialog.current?.close();
  useEffect(() => {
    if (invite !== null) dialog.current?.showModal();
  }, [invite]);
  return (
    <>
      <button type="button" className="account" data-signed-in={Boolean(name)} onClick={() => dialog.current?.showModal()}>
        {label}
      </button>
      <dialog ref={dialog} className="account-dialog" aria-label="Account">
        {name === null || (token === null && name === undefined) ? (
          <SignInForms session={session} invite={invite} isRefused={token !== null} onDone={close} />
        ) : (
          <SignedIn session={session} shared={shared} name={name ?? '…'} onDone={close} onShared={askAgain} />
        )}
        <button type="button" className="quiet" onClick={close}>
          Close
        </button>
      </dialog>
    </>
  );
}

/** The name behind a token, or behind the pages' session: undefined while it is asked for, null if there is none. */
function useName(token: string | null, shared: CookieSession): [string | null | undefined, () => void] {
  const [known, setKnown] = useState<{ token: string | null; name: string | null | undefined }>();
  const [round, setRound] = useState(0);
  const { introspect } = useGraphiQLActions();
  useEffect(() => {
    let isCurrent = true;
    askName(token, shared)
      // Whether the token is valid is not known while the server cannot be reached.
      .catch(() => undefined)
      .then((name) => {
        if (!isCurrent) return;
        setKnown({ token, name });
        void introspect();
      });
    return () => {
      isCurrent = false;
    };
  }, [token, shared, introspect, round]);
  return [known?.token === token ? known?.name : undefined, () => setRound(round + 1)];
}

async function askName(token: string | null, shared: CookieSession): Promise<string | null> {
  if (token === null) await shared.makeReady();
  return token !== null || shared.isBegun() ? whoIs(token) : null;
}

interface FormProps {
  readonly session: Session;
  readonly onDone: () => void;
}

interface SignInProps extends FormProps {
  readonly invite: string | null;
  readonly isRefused: boolean;
}

function SignInForms({ session, invite, isRefused, onDone }: SignInProps) {
  const [problem, setProblem] = useState<string | null>(null);
  const [isNew, setNew] = useState(invite !== null);
  const title = isNew ? 'Make an account' : 'Sign in';

  const byPassword = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    const [email, password] = [String(given.get('email')), String(given.get('password'))];
    try {
      session.set(tokensOf(isNew ? await signUp(email, password, invite) : await signIn(email, password)));
      onDone();
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  };

  const byToken = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const tokens = tokensFromText(String(new FormData(event.currentTarget).get('token')));
    if (!tokens) return;
    session.set(tokens);
    onDone();
  };

  return (
    <>
      {(problem ?? isRefused) && (
        <p role="alert">{problem ?? 'The server did not take the token: it is not valid, or not any more.'}</p>
      )}
      <form onSubmit={byPassword}>
        <h2>{title}</h2>
        <label>
          E-mail
          <input name="email" type="email" autoComplete="username" required />
        </label>
        <label>
          Password{isNew && ', at least 10 characters'}
          <input name="password" type="password" autoComplete={isNew ? 'new-password' : 'current-password'} required />
        </label>
        <button type="submit">{title}</button>
        <button type="button" className="quiet" onClick={() => setNew(!isNew)}>
          {isNew ? 'I have an account' : 'I have no account'}
        </button>
      </form>
      {!isNew && (
        <form onSubmit={byToken}>
          <h2>Or paste an access token</h2>
          <label>
            Token
            <input name="token" type="password" autoComplete="off" spellCheck={false} required />
          </label>
          <button type="submit">Use it</button>
        </form>
      )}
    </>
  );
}

interface SignedInProps extends FormProps {
  readonly shared: CookieSession;
  readonly name: string;
  readonly onShared: () => void;
}

function SignedIn({ session, shared, name, onDone, onShared }: SignedInProps) {
  const isShared = session.snapshot() === null;
  const leave = async () => {
    const token = await session.accessToken().catch(() => null);
    // The tokens are forgotten here even where the server cannot be reached.
    if (token || isShared) await signOut(token).catch(() => undefined);
    if (isShared) shared.end();
    session.set(null);
    onShared();
    onDone();
  };
  return (
    <>
      <h2>{name}</h2>
      <p>{isShared ? 'Signed in on the pages of this server, in this browser.' : 'Signed in for this tab only.'}</p>
      <button type="button" onClick={leave}>
        Sign out
      </button>
    </>
  );
}
