/** The few operations that the page itself sends. */

import type { OpeningQuery } from './app/generated/graphiql/graphql';
import opening from './opening.graphql?raw';
import type { SignedIn } from './session';

interface Problem {
  readonly message: string;
  readonly extensions?: { readonly code?: string };
}

interface Payload {
  readonly userErrors: readonly Problem[];
}

export interface Answer<Data> {
  readonly data?: Data | null;
  readonly errors?: readonly Problem[];
}

export const ENDPOINT = '/graphql';

/**
 * Post an operation to the API: with this token, else as the pages' session. The browser's cookies are left alone where
 * tokens are handed out: two owners of one refresh token would end its session.
 */
export async function post(
  body: object,
  accessToken: string | null,
  headers: HeadersInit = {},
  credentials: RequestCredentials = accessToken === null ? 'same-origin' : 'omit',
): Promise<unknown> {
  const sent = new Headers(headers);
  sent.set('content-type', 'application/json');
  sent.set('accept', 'application/graphql-response+json, application/json;q=0.9');
  if (accessToken && !sent.has('authorization')) sent.set('authorization', `Bearer ${accessToken}`);
  const response = await fetch(ENDPOINT, { method: 'POST', headers: sent, body: JSON.stringify(body), credentials });
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`The server answered ${response.status} ${response.statusText}: ${text.slice(0, 200)}`);
  }
}

async function ask<Data>(
  query: string,
  variables: object,
  accessToken: string | null,
  credentials: RequestCredentials = 'omit',
): Promise<Data> {
  const answer = (await post({ query, variables }, accessToken, {}, credentials)) as Answer<Data>;
  const problem = answer.errors?.[0];
  if (problem) throw new Error(problem.message);
  if (!answer.data) throw new Error('The server answered without data.');
  return answer.data;
}

export const SIGN_IN = `mutation SignIn($email: String!, $password: String!) {
  signIn(input: { email: $email, password: $password }) {
    accessToken refreshToken expiresAt userErrors { message }
  }
}`;

export const SIGN_UP = `mutation SignUp($email: String!, $password: String!, $inviteToken: String) {
  signUp(input: { email: $email, password: $password, inviteToken: $inviteToken }) {
    accessToken refreshToken expiresAt userErrors { message }
  }
}`;

export const REFRESH = `mutation Refresh($refreshToken: String!) {
  refreshSession(input: { refreshToken: $refreshToken }) {
    accessToken refreshToken expiresAt userErrors { message }
  }
}`;

export const REFRESH_COOKIES = `mutation RefreshCookies {
  refreshSession(input: {}) { expiresAt userErrors { message } }
}`;

export const SIGN_OUT = `mutation SignOut {
  signOut(input: { isEverywhere: false }) { endedSessionCount userErrors { message } }
}`;

export const OPENING = opening;

/** Who is signed in, and the newest of what they have; a key that may not read its workspace gives its owner only. */
export type Opening = Pick<NonNullable<OpeningQuery['viewer']>, 'user'> & Partial<NonNullable<OpeningQuery['viewer']>>;

export const WHO = `query Who {
  viewer { user { id name email } }
}`;

/** Sign in; throws what the server says against it. */
export async function signIn(email: string, password: string): Promise<SignedIn> {
  const { signIn } = await ask<{ signIn: SignedIn & Payload }>(SIGN_IN, { email, password }, null);
  const problem = signIn.userErrors[0];
  if (problem) throw new Error(problem.message);
  return signIn;
}

/** Make an account and sign in; throws what the server says against it. */
export async function signUp(email: string, password: string, inviteToken: string | null): Promise<SignedIn> {
  const { signUp } = await ask<{ signUp: SignedIn & Payload }>(SIGN_UP, { email, password, inviteToken }, null);
  const problem = signUp.userErrors[0];
  if (problem) throw new Error(problem.message);
  return signUp;
}

/** Trade a refresh token for new tokens; null if the server does not take it any more. */
export async function refresh(refreshToken: string): Promise<SignedIn | null> {
  const { refreshSession } = await ask<{ refreshSession: SignedIn & Payload }>(REFRESH, { refreshToken }, null);
  return refreshSession.userErrors.length > 0 ? null : refreshSession;
}

/** Renew the pages' session; gives when it runs out, null if nobody is signed in any more. */
export async function refreshCookies(): Promise<string | null> {
  const { refreshSession } = await ask<{ refreshSession: SignedIn & Payload }>(REFRESH_COOKIES, {}, null, 'same-origin');
  return refreshSession.userErrors.length > 0 ? null : refreshSession.expiresAt;
}

/** End the session of a token, or that of the pages. */
export async function signOut(accessToken: string | null): Promise<void> {
  await ask(SIGN_OUT, {}, accessToken, accessToken === null ? 'same-origin' : 'omit');
}

/** Who the token belongs to, or who is signed in on the pages, and what they have; null if nobody is (any more). */
export async function askOpening(accessToken: string | null): Promise<Opening | null> {
  const found = await viewerBy(OPENING, accessToken);
  if (found.viewer || !found.isPartial) return found.viewer;
  // A key that may not read its workspace has a name nevertheless.
  const { viewer } = await viewerBy(WHO, accessToken);
  return viewer;
}

async function viewerBy(query: string, accessToken: string | null) {
  const { data, errors } = (await post({ query }, accessToken)) as Answer<{ viewer: Opening | null }>;
  return { viewer: data?.viewer ?? null, isPartial: errors?.some((error) => !isUnauthenticated(error)) ?? false };
}

/** Tell whether an answer says that nobody is signed in who asks. */
export function isRefusal(answer: unknown): boolean {
  return (answer as Answer<unknown> | null)?.errors?.some(isUnauthenticated) ?? false;
}

function isUnauthenticated({ extensions }: Problem): boolean {
  return extensions?.code === 'UNAUTHENTICATED';
}
