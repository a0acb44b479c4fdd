import { describe, expect, test } from 'vitest';
import { openTabs, refreshTabs, type Tab, type Tabs, UserStorage } from '../src/tabs';

const FIRST = [{ query: 'query A { a }' }, { query: 'query B($id: ID!) { b(id: $id) }', variables: { id: 'b_1' } }];
const LATER = [{ query: 'query A { a }' }, { query: 'query B($id: ID!) { b(id: $id) }', variables: { id: 'b_2' } }];

class Browser implements Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> {
  readonly items = new Map<string, string>();
  getItem = (key: string) => this.items.get(key) ?? null;
  setItem = (key: string, value: string) => void this.items.set(key, value);
  removeItem = (key: string) => void this.items.delete(key);
}

function tabsIn(storage: UserStorage): Tabs {
  return JSON.parse(storage.getItem('graphiql:tabState') ?? 'null') as Tabs;
}

function store(storage: UserStorage, tabs: readonly Tab[], activeTabIndex = 0): void {
  storage.setItem('graphiql:tabState', JSON.stringify({ tabs, activeTabIndex }));
}

function textsOf({ tabs }: Tabs): (string | null)[] {
  return tabs.map(({ query, variables }) => variables || query);
}

function opened(examples = FIRST): { browser: Browser; storage: UserStorage } {
  const browser = new Browser();
  const storage = new UserStorage(browser, 'user_1');
  openTabs(storage, examples);
  return { browser, storage };
}

describe('at opening', () => {
  test('the examples are brought, and the editors filled with the first', () => {
    const { storage } = opened();
    expect(tabsIn(storage)).toMatchObject({ activeTabIndex: 0, tabs: [{ title: 'A' }, { title: 'B', operationName: 'B' }] });
    expect(JSON.parse(tabsIn(storage).tabs[1]?.variables ?? '')).toEqual({ id: 'b_1' });
    expect(storage.getItem('graphiql:query')).toBe(FIRST[0]?.query);
  });

  test('tabs that were left as they were brought get the newest ids, and the same one is shown', () => {
    const { storage } = opened();
    // GraphiQL writes an empty text where there was none.
    store(storage, tabsIn(storage).tabs.map((tab) => ({ ...tab, variables: tab.variables ?? '' })), 1);
    openTabs(storage, LATER);
    expect(tabsIn(storage)).toMatchObject({ activeTabIndex: 1 });
    expect(storage.getItem('graphiql:variables')).toContain('b_2');
  });

  test.each([
    ['edited', (tabs: readonly Tab[]) => tabs.map((tab) => ({ ...tab, query: `${tab.query} # mine` }))],
    ['closed', (tabs: readonly Tab[]) => tabs.slice(1)],
    ['opened', (tabs: readonly Tab[]) => [...tabs, { ...(tabs[0] as Tab), query: '{ mine }' }]],
  ])('a tab that was %s leaves all of them as they are', (_, change) => {
    const { storage } = opened();
    const changed = change(tabsIn(storage).tabs);
    store(storage, changed);
    openTabs(storage, LATER);
    expect(tabsIn(storage).tabs).toEqual(changed);
  });

  test('what is stored and no tabs is replaced', () => {
    const { storage } = opened();
    storage.setItem('graphiql:tabState', '{"tabs": 1');
    openTabs(storage, FIRST);
    expect(tabsIn(storage).tabs).toHaveLength(2);
  });
});

describe('fresh examples', () => {
  test('take the place of those that nobody edited and come behind those that somebody did', () => {
    const { storage } = opened();
    const [a, b] = tabsIn(storage).tabs as [Tab, Tab];
    const mine = { ...a, query: 'query Mine { a }' };
    refreshTabs(storage, LATER, { tabs: [mine, b, { ...a, query: '', variables: '' }], activeTabIndex: 0 });
    expect(textsOf(tabsIn(storage))).toEqual(['query Mine { a }', 'query A { a }', expect.stringContaining('b_2')]);
    expect(tabsIn(storage).activeTabIndex).toBe(1);
  });
});

describe('the storage', () => {
  test('of one user is not seen by another, nor by who is not signed in', () => {
    const { browser } = opened();
    expect(new UserStorage(browser, 'user_2').getItem('graphiql:tabState')).toBeNull();
    expect(new UserStorage(browser, null).getItem('graphiql:tabState')).toBeNull();
    expect(new UserStorage(browser, 'user_1').getItem('graphiql:tabState')).not.toBeNull();
  });

  test('keeps the theme for all', () => {
    const { browser, storage } = opened();
    storage.setItem('graphiql:theme', 'dark');
    expect(new UserStorage(browser, null).getItem('graphiql:theme')).toBe('dark');
  });

  test('takes nothing any more once it is closed', () => {
    const { browser, storage } = opened();
    storage.close();
    storage.setItem('graphiql:query', 'late');
    storage.removeItem('graphiql:tabState');
    expect([...browser.items.values()]).not.toContain('late');
    expect(tabsIn(storage).tabs).toHaveLength(2);
  });
});
