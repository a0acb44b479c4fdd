/** The browser's session: cookies that no script can read, renewed by one tab for all. */

const KEY = 'anabranch.session-until';
const LOCK = 'anabranch.renew';
const RENEW_BEFORE_MS = 30_000;

/** Trade the session for a new one; gives when that runs out, null if the server does not take it any more. */
export type Trade = (refreshToken: string | null) => Promise<string | null>;

type Kept = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;
type Exclusively = (work: () => Promise<boolean>) => Promise<boolean>;

/** Let one tab at a time work, where the browser can say so: over plain HTTP from another machine it cannot. */
const oneTabAtATime: Exclusively = (work) =>
  'locks' in navigator ? (navigator.locks.request(LOCK, work) as Promise<boolean>) : work();

export class CookieSession {
  #seen: string | null;
  #renewal: Promise<boolean> | null = null;

  constructor(
    private readonly storage: Kept,
    private readonly trade: Trade,
    private readonly exclusively: Exclusively = oneTabAtATime,
    private readonly now: () => number = Date.now,
  ) {
    this.#seen = storage.getItem(KEY);
  }

  /** Note that someone signed in. */
  begin(expiresAt: string): void {
    this.storage.setItem(KEY, expiresAt);
    this.#seen = expiresAt;
  }

  end(): void {
    this.storage.removeItem(KEY);
    this.#seen = null;
  }

  /** Whether someone signed in here, as far as can be known without asking the server. */
  isBegun(): boolean {
    return this.storage.getItem(KEY) !== null;
  }

  /** Call whenever another tab signs in or out, or renews. */
  onChangedElsewhere(page: Window, listener: () => void): void {
    page.addEventListener('storage', ({ key }) => key === KEY && listener());
  }

  /** Whether the session is about to run out: the server takes an expired one for nobody. */
  isDue(): boolean {
    const until = this.storage.getItem(KEY);
    return until !== null && Date.parse(until) - this.now() < RENEW_BEFORE_MS;
  }

  /** Renew before it is too late; a server that cannot be reached is somebody else's to report. */
  async makeReady(): Promise<void> {
    if (this.#renewal || this.isDue()) await this.renew().catch(() => false);
  }

  /** Renew what has expired, once for all who ask; false if nobody is signed in any more. */
  renew(): Promise<boolean> {
    // A refresh token that comes twice ends the session, so neither two requests nor two tabs may send the same.
    this.#renewal ??= this.exclusively(() => this.#renew()).finally(() => (this.#renewal = null));
    return this.#renewal;
  }

  /** Take over the session that a link brings. */
  async adopt(refreshToken: string): Promise<boolean> {
    return this.exclusively(() => this.#take(refreshToken));
  }

  async #renew(): Promise<boolean> {
    const now = this.storage.getItem(KEY);
    if (now !== null && now !== this.#seen) {
      // Another tab was first, and its cookies are ours.
      this.#seen = now;
      return true;
    }
    return this.#take(null);
  }

  async #take(refreshToken: string | null): Promise<boolean> {
    const expiresAt = await this.trade(refreshToken);
    if (expiresAt === null) this.end();
    else this.begin(expiresAt);
    return expiresAt !== null;
  }
}

/** What a link brings in its fragment, which no server and no log sees. */
export interface Brought {
  readonly refreshToken: string | null;
  readonly invite: string | null;
}

export function broughtBy(hash: string): Brought {
  const given = new URLSearchParams(hash.replace(/^#/, ''));
  return { refreshToken: given.get('refresh') || null, invite: given.get('invite') || null };
}
