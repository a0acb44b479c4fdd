/** The page at /graphiql. */

import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import './page.css';
import { createRoot } from 'react-dom/client';
import { refresh, refreshCookies } from './api';
import { CookieSession } from './app/api/session';
import { createFetcher, createSocket } from './fetcher';
import { Page } from './page';
import { inviteIn, Session, tokensIn } from './session';
import { Who } from './who';

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

const who = new Who(session, shared);
const socket = createSocket(session, shared, window.location.origin);
const fetcher = createFetcher(session, shared, socket, () => who.end());

const idOf = () => who.snapshot().viewer?.id ?? null;
let opened = idOf();
who.subscribe(() => {
  if (idOf() === opened) return;
  opened = idOf();
  // Who is signed in is said once per socket: the next subscription opens a new one.
  socket.terminate();
});

let token = session.snapshot();
session.subscribe(() => {
  if (session.snapshot() === token) return;
  token = session.snapshot();
  void who.ask();
});
// Another tab signed in or out on the pages, or renewed their session.
shared.onChangedElsewhere(window, () => {
  if (session.snapshot() === null) void who.ask();
});
void who.ask();

const root = document.getElementById('root');
if (!root) throw new Error('The page has no root element.');
createRoot(root).render(<Page session={session} shared={shared} who={who} fetcher={fetcher} invite={invite} />);
