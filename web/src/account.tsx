/** The button at the top that says who is signed in, and the dialog in which one signs in and out. */

import { type FormEvent, type RefObject, useState } from 'react';
import { signIn, signOut, signUp } from './api';
import type { CookieSession } from './app/api/session';
import { type Session, tokensFromText, tokensOf } from './session';
import type { Known, Viewer, Who, Workspace } from './who';

interface ButtonProps {
  readonly known: Known;
  readonly workspace: Workspace | null;
  readonly onOpen: () => void;
}

export function AccountButton({ known: { viewer, isRefused, hasEnded }, workspace, onOpen }: ButtonProps) {
  const isIn = viewer !== null && !hasEnded;
  const label = isIn ? `${viewer.label}${workspace ? ` · ${workspace.name}` : ''}` : isRefused ? 'Token not valid' : 'Sign in';
  return (
    <button type="button" className="account" data-signed-in={isIn} aria-haspopup="dialog" title={label} onClick={onOpen}>
      {label}
    </button>
  );
}

interface DialogProps {
  readonly ref: RefObject<HTMLDialogElement | null>;
  readonly session: Session;
  /** The session of the pages, which counts where this tab has no token of its own. */
  readonly shared: CookieSession;
  readonly who: Who;
  readonly known: Known;
  readonly invite: string | null;
  readonly workspace: Workspace | null;
  readonly onChoose: (workspaceId: string) => void;
}

export function AccountDialog({ ref, session, shared, who, known, invite, workspace, onChoose }: DialogProps) {
  const { viewer, isRefused, hasEnded } = known;
  const [isSwitching, setSwitching] = useState(false);
  const isIn = viewer !== null && !hasEnded;
  const close = () => ref.current?.close();
  return (
    <dialog ref={ref} className="account-dialog" aria-label="Account" onClose={() => setSwitching(false)}>
      {isIn && !isSwitching ? (
        <SignedIn
          session={session}
          shared={shared}
          who={who}
          viewer={viewer}
          workspace={workspace}
          onChoose={onChoose}
          onSwitch={() => setSwitching(true)}
          onDone={close}
        />
      ) : (
        <SignInForms session={session} invite={invite} isRefused={isRefused} onDone={close} />
      )}
      <button type="button" className="quiet" onClick={close}>
        Close
      </button>
    </dialog>
  );
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
  readonly who: Who;
  readonly viewer: Viewer;
  readonly workspace: Workspace | null;
  readonly onChoose: (workspaceId: string) => void;
  readonly onSwitch: () => void;
}

function SignedIn({ session, shared, who, viewer, workspace, onChoose, onSwitch, onDone }: SignedInProps) {
  const isShared = session.snapshot() === null;
  const leave = async () => {
    const token = await session.accessToken().catch(() => null);
    // The tokens are forgotten here even where the server cannot be reached.
    if (token || isShared) await signOut(token).catch(() => undefined);
    if (isShared) shared.end();
    session.set(null);
    await who.ask();
    onDone();
  };
  const goBack = () => {
    session.set(null);
    onDone();
  };
  return (
    <>
      <h2>{viewer.label}</h2>
      <p>{isShared ? 'Signed in on the pages of this server, in this browser.' : 'Signed in for this tab only.'}</p>
      {workspace && <WorkspaceChoice viewer={viewer} workspace={workspace} onChoose={onChoose} />}
      <div className="account-actions">
        <button type="button" onClick={leave}>
          Sign out
        </button>
        <button type="button" className="quiet" onClick={onSwitch}>
          Use another account in this tab
        </button>
        {!isShared && shared.isBegun() && (
          <button type="button" className="quiet" onClick={goBack}>
            Be who is signed in on the pages
          </button>
        )}
      </div>
    </>
  );
}

type ChoiceProps = Pick<SignedInProps, 'viewer' | 'onChoose'> & { readonly workspace: Workspace };

function WorkspaceChoice({ viewer, workspace, onChoose }: ChoiceProps) {
  if (viewer.workspaces.length === 1) return <p>Workspace: {workspace.name}</p>;
  return (
    <label>
      Workspace of “Fresh examples”
      <select value={workspace.workspaceId} onChange={(event) => onChoose(event.target.value)}>
        {viewer.workspaces.map(({ workspaceId, name }) => (
          <option key={workspaceId} value={workspaceId}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
