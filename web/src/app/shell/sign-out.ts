/** Signing out: done only when the server says so, since the cookies stay until then. */

import type { Client } from '@urql/core';
import { isUnauthenticated } from '../api/refusals';
import type { CookieSession } from '../api/session';
import { SignOutDocument } from '../generated/graphql';
import { tellError } from '../parts/errors';

/** End the session; gives why it goes on, null if it has ended. */
export async function signOut(client: Client, session: Pick<CookieSession, 'end'>): Promise<string | null> {
  const { data, error } = await client.mutation(SignOutDocument, {}).toPromise();
  const problems = data?.signOut.userErrors ?? [];
  if (problems.length > 0) return problems.map(({ message }) => message).join(' ');
  // Who is not signed in any more has what was asked for.
  if (!data?.signOut && !(error && isUnauthenticated(error))) return error ? tellError(error) : 'The server gave no answer.';
  session.end();
  return null;
}
