/** Who is signed in: tokens in this tab's sessionStorage, renewed shortly before they expire. */

export interface Tokens {
  readonly accessToken: string;
  readonly refreshToken?: string;
  /** Milliseconds since 1970; absent = unknown, as with a pasted token. */
  readonly expiresAt?: number;
}

/** What `signIn` and `refreshSession` give. */
export interface SignedIn {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly expiresAt: string;
}

export type Refresh = (refreshToken: string) => Promise<SignedIn | null>;

const KEY = 'anabranch.session';
const RENEW_BEFORE_MS = 30_000;

/** Read `#token=…` (and `&refresh=…`) of an address; null where there is none. */
export function tokensIn(hash: string): Tokens | null {
  const given = new URLSearchParams(hash.replace(/^#/, ''));
  const accessToken = given.get('token');
  if (!accessToken) return null;
  const refreshToken = given.get('refresh');
  // With a refresh token the first use renews: how old the access token is cannot be seen from outside.
  return refreshToken ? { accessToken, refreshToken, expiresAt: expiryOf(accessToken) ?? 0 } : withExpiry(accessToken);
}

/** Read `#invite=…` of an address: the token of an invitation or of the server's set-up link. */
export function inviteIn(hash: string): string | null {
  return new URLSearchParams(hash.replace(/^#/, '')).get('invite') || null;
}

/** Make tokens of a pasted text, with or without `Bearer` in front; null if it is empty. */
export function tokensFromText(text: string): Tokens | null {
  const accessToken = text.trim().replace(/^bearer\s+/i, '');
  return accessToken ? withExpiry(accessToken) : null;
}

export function tokensOf(signedIn: SignedIn): Tokens {
  const { accessToken, refreshToken, expiresAt } = signedIn;
  return { accessToken, refreshToken, expiresAt: Date.parse(expiresAt) };
}

export class Session {
  #tokens: Tokens | null;
  #renewal: Promise<void> | null = null;
  readonly #listeners = new Set<() => void>();

  constructor(
    private readonly storage: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>,
    private readonly refresh: Refresh,
    private readonly now: () => number = Date.now,
  ) {
    this.#tokens = read(storage);
  }

  get tokens(): Tokens | null {
    return this.#tokens;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly snapshot = (): string | null => this.#tokens?.accessToken ?? null;

  set(tokens: Tokens | null): void {
    this.#tokens = tokens;
    if (tokens) this.storage.setItem(KEY, JSON.stringify(tokens));
    else this.storage.removeItem(KEY);
    for (const listener of this.#listeners) listener();
  }

  /** The access token to send now, renewed first where it is about to expire; null if nobody is signed in. */
  async accessToken(): Promise<string | null> {
    const tokens = this.#tokens;
    if (tokens?.refreshToken && (tokens.expiresAt ?? 0) - this.now() < RENEW_BEFORE_MS) {
      // One renewal for all who ask: a refresh token that comes twice ends the session.
      this.#renewal ??= this.#renew(tokens.refreshToken).finally(() => (this.#renewal = null));
      await this.#renewal;
    }
    return this.#tokens?.accessToken ?? null;
  }

  async #renew(refreshToken: string): Promise<void> {
    const signedIn = await this.refresh(refreshToken);
    // Whoever signed in or out meanwhile has the last word.
    if (this.#tokens?.refreshToken === refreshToken) this.set(signedIn && tokensOf(signedIn));
  }
}

function withExpiry(accessToken: string): Tokens {
  const expiresAt = expiryOf(accessToken);
  return expiresAt === null ? { accessToken } : { accessToken, expiresAt };
}

function expiryOf(accessToken: string): number | null {
  try {
    const claims: unknown = JSON.parse(atob((accessToken.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/')));
    const exp = claims && typeof claims === 'object' && 'exp' in claims ? claims.exp : null;
    return typeof exp === 'number' ? exp * 1000 : null;
  } catch {
    return null;
  }
}

function read(storage: Pick<Storage, 'getItem'>): Tokens | null {
  try {
    const stored = JSON.parse(storage.getItem(KEY) ?? 'null') as Tokens | null;
    return typeof stored?.accessToken === 'string' ? stored : null;
  } catch {
    return null;
  }
}
