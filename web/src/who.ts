/** Who is signed in and what they have, as found by one query whenever that may have changed. */

import { askOpening, type Opening } from './api';
import type { CookieSession } from './app/api/session';
import type { Json } from './app/editor/json';
import type { Role, Scope } from './app/generated/graphiql/graphql';
import type { Holdings } from './examples';
import type { Session } from './session';

export interface Workspace extends Holdings {
  readonly name: string;
}

export interface Viewer {
  readonly id: string;
  /** The e-mail address, else the name. */
  readonly label: string;
  readonly workspaces: readonly Workspace[];
}

export interface Known {
  /** Whether the server was asked. */
  readonly isAsked: boolean;
  readonly viewer: Viewer | null;
  /** Whether the tab has a token that the server does not take. */
  readonly isRefused: boolean;
  /** Whether the session of `viewer` has ended while the page was open. */
  readonly hasEnded: boolean;
  /** Why nothing could be asked; null if it could. */
  readonly problem: string | null;
}

type Ask = (accessToken: string | null) => Promise<Opening | null>;

export class Who {
  #known: Known = { isAsked: false, viewer: null, isRefused: false, hasEnded: false, problem: null };
  #asked = 0;
  readonly #listeners = new Set<() => void>();

  constructor(
    private readonly session: Session,
    private readonly shared: CookieSession,
    private readonly query: Ask = askOpening,
  ) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly snapshot = (): Known => this.#known;

  /** Ask who is signed in now; what was asked last has the last word. */
  async ask(): Promise<void> {
    const turn = ++this.#asked;
    const found = await this.#find();
    if (turn === this.#asked) this.#tell(found);
  }

  /** Note that the server takes the one who was signed in for nobody: their tabs stay, until someone else signs in. */
  end(): void {
    if (this.#known.viewer && !this.#known.hasEnded) this.#tell({ ...this.#known, hasEnded: true });
  }

  async #find(): Promise<Known> {
    try {
      const token = await this.session.accessToken();
      if (token === null) await this.shared.makeReady();
      // Without either it is known already that nobody is.
      const opening = token !== null || this.shared.isBegun() ? await this.query(token) : null;
      const viewer = opening && viewerOf(opening);
      return { isAsked: true, viewer, isRefused: token !== null && !viewer, hasEnded: false, problem: null };
    } catch (error) {
      // Whether a session is valid is not known while the server cannot be reached.
      return { ...this.#known, isAsked: true, problem: error instanceof Error ? error.message : String(error) };
    }
  }

  #tell(known: Known): void {
    this.#known = known;
    for (const listener of this.#listeners) listener();
  }
}

/** What a role may do at most; a key or token may be kept to less. */
const MAY: Readonly<Record<Role, readonly Scope[]>> = {
  VIEWER: ['READ'],
  EDITOR: ['READ', 'WRITE', 'EXECUTE'],
  ADMIN: ['READ', 'WRITE', 'EXECUTE', 'ADMIN'],
  OWNER: ['READ', 'WRITE', 'EXECUTE', 'ADMIN'],
};

function viewerOf({ user, scopes, workspaces }: Opening): Viewer {
  return {
    id: user.id,
    label: user.email ?? user.name,
    workspaces: (workspaces?.nodes ?? []).map((workspace) => ({
      workspaceId: workspace.id,
      name: workspace.name,
      may: MAY[workspace.role].filter((scope) => scopes?.includes(scope)),
      workflow: workflowOf(first(workspace.workflows)),
      newestRunId: first(workspace.runs)?.id ?? null,
      unfinishedRunId: first(workspace.unfinished)?.id ?? null,
      collectionId: first(workspace.collections)?.id ?? null,
      tableId: first(workspace.dataTables)?.id ?? null,
    })),
  };
}

type Found = NonNullable<Opening['workspaces']>['nodes'][number]['workflows']['nodes'][number];

function workflowOf(found: Found | null): Holdings['workflow'] {
  return found && { id: found.id, inputSchema: found.inputSchema as Json, lastInput: (found.latestRun?.input ?? null) as Json };
}

function first<One>(list: { readonly nodes: readonly One[] }): One | null {
  return list?.nodes[0] ?? null;
}
