/** The page at /graphiql. */

import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import './page.css';
import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';
import { Account } from './account';
import { refresh, refreshCookies } from './api';
import { CookieSession } from './app/api/session';
import { TABS } from './examples';
import { createFetcher, createSocket } from './fetcher';
import { inviteIn, Session, tokensIn } from './session';

const session = new Session(window.sessionStorage, refresh);
const shared = new CookieSession(window.localStorage, refreshCookies);

/** Take what a link brings in its fragment; neither the address bar nor the history keeps it. */
function takeFromAddress(): string | null {
  const { hash, pathname, search } = window.location;
  const tokens = tokensIn(hash);
  const invite = inviteIn(hash);
  if (tokens || invite) window.history.replaceState(null, '', pathname + search);
  if (tokens) session.set(tokens);
  return invite;
}

const invite = takeFromAddress();
window.addEventListener('hashchange', takeFromAddress);

const socket = createSocket(session, shared, window.location.origin);
let opened = session.snapshot();
session.subscribe(() => {
  if (session.snapshot() === opened) return;
  opened = session.snapshot();
  // What is signed in is said once per socket: the next subscription opens a new one.
  socket.terminate();
});

const root = document.getElementById('root');
if (!root) throw new Error('The page has no root element.');
createRoot(root).render(
  <GraphiQL fetcher={createFetcher(session, shared, socket)} defaultTabs={TABS} showPersistHeadersSettings={false}>
    <GraphiQL.Logo>
      <span className="brand">Anabranch</span>
      <Account session={session} shared={shared} invite={invite} />
    </GraphiQL.Logo>
  </GraphiQL>,
);
