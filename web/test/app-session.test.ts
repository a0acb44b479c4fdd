import { describe, expect, test } from 'vitest';
import { broughtBy, CookieSession, type Trade } from '../src/app/api/session';

const NOW = Date.parse('2026-11-25T12:00:00Z');
const inSeconds = (seconds: number) => new Date(NOW + seconds * 1000).toISOString();

function storage(): Storage {
  const items = new Map<string, string>();
  return {
    getItem: (key: string) => items.get(key) ?? null,
    setItem: (key: string, value: string) => void items.set(key, value),
    removeItem: (key: string) => void items.delete(key),
  } as Storage;
}

/** Tabs of one browser: they share a storage and a lock, and each trade is noted. */
function browser(answers: (string | null)[]) {
  const kept = storage();
  const traded: (string | null)[] = [];
  let last: Promise<unknown> = Promise.resolve();
  const exclusively = (work: () => Promise<boolean>) => {
    const mine = last.then(work);
    last = mine.catch(() => undefined);
    return mine;
  };
  const trade: Trade = async (refreshToken) => {
    traded.push(refreshToken);
    const answer = answers.shift();
    if (answer === undefined) throw new Error('not reached');
    return answer;
  };
  return { traded, tab: () => new CookieSession(kept, trade, exclusively, () => NOW) };
}

describe('the session of the pages', () => {
  test('is renewed once for all who ask at the same time', async () => {
    const { traded, tab } = browser([inSeconds(900)]);
    const session = tab();
    session.begin(inSeconds(10));
    expect(session.isDue()).toBe(true);
    expect(await Promise.all([session.renew(), session.renew()])).toEqual([true, true]);
    expect(traded).toEqual([null]);
    expect(session.isDue()).toBe(false);
  });

  test('is renewed once by two tabs, since a refresh token that comes twice ends it', async () => {
    const { traded, tab } = browser([inSeconds(900)]);
    tab().begin(inSeconds(10));
    const [one, other] = [tab(), tab()];
    expect(await Promise.all([one.renew(), other.renew()])).toEqual([true, true]);
    expect(traded).toHaveLength(1);
  });

  test('that was refused although it had not expired is renewed all the same', async () => {
    const { traded, tab } = browser([inSeconds(1800)]);
    const session = tab();
    session.begin(inSeconds(900));
    expect(await session.renew()).toBe(true);
    expect(traded).toHaveLength(1);
  });

  test('ends when the server does not take it any more', async () => {
    const session = browser([null]).tab();
    session.begin(inSeconds(10));
    expect(await session.renew()).toBe(false);
    expect([session.isBegun(), session.isDue()]).toEqual([false, false]);
  });

  test('stays when the server cannot be reached', async () => {
    const session = browser([]).tab();
    session.begin(inSeconds(10));
    await expect(session.renew()).rejects.toThrow('not reached');
    await session.makeReady();
    expect(session.isBegun()).toBe(true);
  });

  test('that nobody began is not renewed', async () => {
    const { traded, tab } = browser([]);
    await tab().makeReady();
    expect(traded).toEqual([]);
  });

  test('can be brought by a link', async () => {
    const { traded, tab } = browser([inSeconds(900)]);
    const session = tab();
    expect(await session.adopt('from-the-link')).toBe(true);
    expect([traded, session.isBegun()]).toEqual([['from-the-link'], true]);
  });
});

test.each([
  ['#token=a&refresh=b', { refreshToken: 'b', invite: null }],
  ['#invite=c', { refreshToken: null, invite: 'c' }],
  ['#token=a', { refreshToken: null, invite: null }],
  ['', { refreshToken: null, invite: null }],
])('a link brings what its fragment says: "%s"', (hash, brought) => {
  expect(broughtBy(hash)).toEqual(brought);
});
