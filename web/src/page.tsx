/** GraphiQL as its user has it: their tabs, their examples, and who they are. */

import type { Fetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import { useEffect, useReducer, useRef, useState, useSyncExternalStore } from 'react';
import { AccountButton, AccountDialog } from './account';
import type { CookieSession } from './app/api/session';
import { CopyButtons } from './copy';
import { examplesFor, forget } from './examples';
import { FreshExamples } from './fresh-examples';
import type { Session } from './session';
import { openTabs, refreshTabs, type Tabs, UserStorage } from './tabs';
import type { Known, Viewer, Who, Workspace } from './who';

/** The key of the pages' home (`CHOSEN_WORKSPACE` there), so that both show the same. */
const CHOSEN_WORKSPACE = 'anabranch.workspace';

interface PageProps {
  readonly session: Session;
  readonly shared: CookieSession;
  readonly who: Who;
  readonly fetcher: Fetcher;
  /** The token of an invitation, or of the server's set-up link: whoever comes with one makes an account. */
  readonly invite: string | null;
}

/** One GraphiQL with the storage of one user; another number is another GraphiQL. */
interface Opened {
  readonly number: number;
  readonly userId: string | null;
  readonly storage: UserStorage;
}

export function Page({ session, shared, who, fetcher, invite }: PageProps) {
  const known = useSyncExternalStore(who.subscribe, who.snapshot);
  const dialog = useRef<HTMLDialogElement>(null);
  const [opened, setOpened] = useState<Opened | null>(null);
  const [, showChosen] = useReducer((round: number) => round + 1, 0);
  const userId = known.viewer?.id ?? null;
  const workspace = chosenOf(known.viewer);

  useEffect(() => {
    if (known.isAsked) setOpened((last) => (last && last.userId === userId ? last : openedFor(last, known.viewer)));
  }, [known, userId]);
  useEffect(() => {
    if (invite !== null) dialog.current?.showModal();
  }, [invite]);

  const bringAnew = async (current: Tabs) => {
    opened?.storage.close();
    await who.ask();
    setOpened((last) => openedFor(last, who.snapshot().viewer, current));
  };
  const openDialog = () => dialog.current?.showModal();
  const choose = (workspaceId: string) => {
    window.localStorage.setItem(CHOSEN_WORKSPACE, workspaceId);
    showChosen();
  };

  return (
    <>
      <SignedOut known={known} onSignIn={openDialog} />
      {opened && (
        <GraphiQL
          key={opened.number}
          fetcher={fetcher}
          storage={opened.storage}
          defaultEditorToolsVisibility="variables"
          showPersistHeadersSettings={false}
        >
          <GraphiQL.Logo>
            <span className="brand">Anabranch</span>
            <FreshExamples onBring={bringAnew} />
            <AccountButton known={known} workspace={workspace} onOpen={openDialog} />
          </GraphiQL.Logo>
          <GraphiQL.Toolbar>
            {({ prettify, merge, copy }) => (
              <>
                {prettify}
                {merge}
                {copy}
                <CopyButtons />
              </>
            )}
          </GraphiQL.Toolbar>
        </GraphiQL>
      )}
      <AccountDialog
        ref={dialog}
        session={session}
        shared={shared}
        who={who}
        known={known}
        invite={invite}
        workspace={workspace}
        onChoose={choose}
      />
    </>
  );
}

function openedFor(last: Opened | null, viewer: Viewer | null, current?: Tabs): Opened {
  const userId = viewer?.id ?? null;
  const storage = new UserStorage(window.localStorage, userId);
  const examples = examplesFor(chosenOf(viewer));
  const isSame = last !== null && last.userId === userId;
  if (current && isSame) refreshTabs(storage, examples, current);
  else openTabs(storage, examples);
  if (last && !isSame) forget();
  return { number: (last?.number ?? 0) + 1, userId, storage };
}

function chosenOf(viewer: Viewer | null): Workspace | null {
  const chosen = window.localStorage.getItem(CHOSEN_WORKSPACE);
  return viewer?.workspaces.find(({ workspaceId }) => workspaceId === chosen) ?? viewer?.workspaces[0] ?? null;
}

function SignedOut({ known, onSignIn }: { readonly known: Known; readonly onSignIn: () => void }) {
  if (!known.isAsked || (known.viewer && !known.hasEnded && !known.problem)) return null;
  return (
    <section className="signed-out" aria-label="Not signed in">
      <p>{reasonOf(known)}</p>
      <button type="button" className="account" onClick={onSignIn}>
        Sign in
      </button>
    </section>
  );
}

function reasonOf({ hasEnded, isRefused, problem }: Known): string {
  if (problem) return `Who is signed in is not known: ${problem}`;
  if (hasEnded) return 'Your session has ended. Your tabs stay as they are; sign in to go on.';
  if (isRefused) return 'The token of this tab is not valid, or not any more.';
  return 'You are not signed in. These tabs need no account; sign in for examples with your own workflows and runs.';
}
