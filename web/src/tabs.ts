/** GraphiQL's tabs as it keeps them in the browser: each user's apart, and examples brought without overwriting anything. */

import type { Storage as Kept } from '@graphiql/toolkit';
import type { Example } from './examples';
import { operationOf } from './operation';

const TABS = 'graphiql:tabState';
const QUERY = 'graphiql:query';
const VARIABLES = 'graphiql:variables';
/** The examples as they were brought last: a tab that is none of them was edited. */
const BROUGHT = 'examples';
/** What says nothing about anybody is the same for all. */
const SHARED: ReadonlySet<string> = new Set(['graphiql:theme']);

/** A tab as GraphiQL stores it. */
export interface Tab {
  readonly id: string;
  readonly title: string;
  readonly query: string | null;
  readonly variables: string | null;
  readonly headers: null;
  readonly operationName: string | null;
  readonly response: null;
}

export interface Tabs {
  readonly tabs: readonly Tab[];
  readonly activeTabIndex: number;
}

/** The part of the browser's storage that belongs to one user. */
export class UserStorage implements Kept {
  #isOpen = true;

  constructor(
    private readonly kept: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>,
    /** An id; null = nobody is signed in. */
    private readonly user: string | null,
  ) {}

  /** What GraphiQL counts to tell a full storage from one that is switched off. */
  readonly length = 1;

  getItem(key: string): string | null {
    return this.kept.getItem(this.#name(key));
  }

  setItem(key: string, value: string): void {
    if (this.#isOpen) this.kept.setItem(this.#name(key), value);
  }

  removeItem(key: string): void {
    if (this.#isOpen) this.kept.removeItem(this.#name(key));
  }

  /** GraphiQL's own button for it is not shown. */
  clear(): void {}

  /** Take nothing any more: GraphiQL writes up to half a second late. */
  close(): void {
    this.#isOpen = false;
  }

  #name(key: string): string {
    return SHARED.has(key) ? key : `anabranch.graphiql.${this.user ?? 'nobody'}:${key}`;
  }
}

/** Bring the examples where this user has no tabs yet, or has left all of them as they were brought. */
export function openTabs(storage: Kept, examples: readonly Example[]): void {
  const stored = storedTabs(storage);
  if (!stored || isUntouched(stored, brought(storage))) bring(storage, examples, stored, []);
}

/** Bring the examples anew, behind the tabs that were edited. */
export function refreshTabs(storage: Kept, examples: readonly Example[], current: Tabs): void {
  const old = brought(storage);
  const edited = current.tabs.filter((tab) => textOf(tab).trim() !== '' && !old.includes(textOf(tab)));
  bring(storage, examples, null, edited);
}

function bring(storage: Kept, examples: readonly Example[], stored: Tabs | null, edited: readonly Tab[]): void {
  const fresh = examples.map(tabOf);
  const shown = stored?.tabs[stored.activeTabIndex]?.title;
  const active = Math.max(0, fresh.findIndex(({ title }) => title === shown));
  write(storage, { tabs: [...edited, ...fresh], activeTabIndex: edited.length + active });
  storage.setItem(BROUGHT, JSON.stringify(fresh.map(textOf)));
}

function write(storage: Kept, { tabs, activeTabIndex }: Tabs): void {
  const plain = tabs.map(({ id, title, query, variables, operationName }) => ({
    id, title, query, variables, headers: null, operationName, response: null,
  }));
  storage.setItem(TABS, JSON.stringify({ tabs: plain, activeTabIndex }));
  // GraphiQL fills its editors from these, and chooses the tab that has the same in it.
  storage.setItem(QUERY, tabs[activeTabIndex]?.query ?? '');
  storage.setItem(VARIABLES, tabs[activeTabIndex]?.variables ?? '');
}

function tabOf({ query, variables }: Example, index: number): Tab {
  const { name } = operationOf(query, null);
  return {
    id: `example-${index}-${name}`,
    title: name ?? '<untitled>',
    query,
    variables: variables ? JSON.stringify(variables, null, 2) : null,
    headers: null,
    operationName: name,
    response: null,
  };
}

/** An emptied editor and one that was never filled are the same. */
function textOf({ query, variables }: Pick<Tab, 'query' | 'variables'>): string {
  return `${query ?? ''}\n${variables ?? ''}`;
}

function isUntouched({ tabs }: Tabs, old: readonly string[]): boolean {
  return tabs.length === old.length && tabs.every((tab) => old.includes(textOf(tab)));
}

function storedTabs(storage: Kept): Tabs | null {
  const stored = parsed(storage.getItem(TABS)) as Tabs | null;
  return Array.isArray(stored?.tabs) && stored.tabs.length > 0 ? stored : null;
}

function brought(storage: Kept): readonly string[] {
  const stored = parsed(storage.getItem(BROUGHT));
  return Array.isArray(stored) ? stored : [];
}

function parsed(text: string | null): unknown {
  try {
    return JSON.parse(text ?? 'null');
  } catch {
    return null;
  }
}
