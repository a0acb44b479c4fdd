/** The frame around every page: where one is, who one is, and the theme. */

import { type ReactNode, useState } from 'react';
import { useClient } from 'urql';
import { Link } from 'wouter';
import { session } from '../api/client';
import { Notice } from '../parts/errors';
import { leaving } from '../parts/leaving';
import { type Theme, useTheme } from '../parts/theme';
import { Brand } from './brand';
import type { Me } from './gate';
import { signOut } from './sign-out';

const THEMES: Record<Theme, string> = { system: 'Theme: system', light: 'Theme: light', dark: 'Theme: dark' };

/** The server says so in the page where it does not serve it. */
const HAS_GRAPHIQL = document.documentElement.dataset.graphiql !== 'off';

interface ShellProps {
  readonly me: Me;
  readonly onSignedOut: () => void;
  readonly children: ReactNode;
}

export function Shell({ me, onSignedOut, children }: ShellProps) {
  const [theme, changeTheme] = useTheme();
  const client = useClient();
  const [refusal, setRefusal] = useState<string | null>(null);
  const leave = async () => {
    if (!leaving.isAllowed()) return;
    const why = await signOut(client, session);
    setRefusal(why);
    if (why === null) onSignedOut();
  };
  return (
    <div className="shell">
      <a className="skip-link" href="#content">
        Skip to content
      </a>
      <header className="shell-head">
        <Link href="/" className="brand-link" aria-label="Anabranch, home">
          <Brand />
        </Link>
        <nav aria-label="Pages" className="shell-nav">
          <Link href="/" className="button quiet compact">
            Workflows
          </Link>
          {HAS_GRAPHIQL && (
            <a href="/graphiql" className="button quiet compact">
              GraphiQL
            </a>
          )}
        </nav>
        <div className="actions">
          <button type="button" className="button quiet compact" onClick={changeTheme}>
            {THEMES[theme]}
          </button>
          <span className="muted small shell-who" title={me.user.email ?? me.user.name}>
            {me.user.email ?? me.user.name}
          </span>
          <button type="button" className="button quiet compact" onClick={leave}>
            Sign out
          </button>
        </div>
      </header>
      <main id="content" tabIndex={-1} className="shell-main">
        {refusal !== null && (
          <Notice title="You are still signed in" isAlert>
            <p>{refusal}</p>
          </Notice>
        )}
        {children}
      </main>
    </div>
  );
}
