/** The pages: `/`, `/workflows/<id>`, `/runs/<id>`. */

import './design/tokens.css';
import './design/base.css';
import './design/controls.css';
import './design/parts.css';
import './design/shell.css';
import { createRoot } from 'react-dom/client';
import { Router } from 'wouter';
import { session } from './api/client';
import { type Brought, broughtBy } from './api/session';
import { App } from './app';
import { guardHistory, leaving } from './parts/leaving';
import { applyTheme } from './parts/theme';

/** Take what a link brings; neither the address bar nor the history keeps it. */
function takeFromAddress(): Brought {
  const { hash, pathname, search } = window.location;
  const brought = broughtBy(hash);
  if (brought.refreshToken || brought.invite) window.history.replaceState(null, '', pathname + search);
  return brought;
}

applyTheme();
guardHistory();
const { refreshToken, invite } = takeFromAddress();
// A link that is opened where a page is shown already changes nothing but the fragment.
window.addEventListener('hashchange', () => {
  const brought = broughtBy(window.location.hash);
  if (brought.refreshToken || brought.invite) window.location.reload();
});
const root = document.getElementById('root');
if (!root) throw new Error('The page has no root element.');
// The token of a link becomes this browser's session before anything is asked.
if (refreshToken) await session.adopt(refreshToken).catch(() => false);
createRoot(root).render(
  <Router aroundNav={leaving.around}>
    <App invite={invite} />
  </Router>,
);
