import { describe, expect, test } from 'vitest';
import { inviteIn, Session, type SignedIn, tokensFromText, tokensIn, tokensOf } from '../src/session';

const NOW = Date.parse('2026-11-22T12:00:00Z');

function storage(): Storage {
  const items = new Map<string, string>();
  return {
    getItem: (key: string) => items.get(key) ?? null,
    setItem: (key: string, value: string) => void items.set(key, value),
    removeItem: (key: string) => void items.delete(key),
  } as Storage;
}

function signedIn(name: string, seconds: number): SignedIn {
  return { accessToken: name, refreshToken: `${name}-refresh`, expiresAt: new Date(NOW + seconds * 1000).toISOString() };
}

const never = () => Promise.reject(new Error('must not refresh'));

describe('the address', () => {
  test('gives the token of its fragment', () => {
    expect(tokensIn('#token=abc')).toEqual({ accessToken: 'abc' });
  });

  test('gives a refresh token too, which is used before the first request', () => {
    expect(tokensIn('#token=abc&refresh=def')).toEqual({ accessToken: 'abc', refreshToken: 'def', expiresAt: 0 });
  });

  test('gives the expiry that the token itself names', () => {
    const token = `x.${btoa(JSON.stringify({ exp: 1_800_000_000 }))}.y`;
    expect(tokensIn(`#token=${token}`)?.expiresAt).toBe(1_800_000_000_000);
  });

  test.each(['', '#', '#other=1', '#token='])('without a token gives none: "%s"', (hash) => {
    expect(tokensIn(hash)).toBeNull();
  });
});

test('an invitation is read from the address too', () => {
  expect(inviteIn('#invite=abc')).toBe('abc');
  expect(inviteIn('#token=abc')).toBeNull();
  expect(inviteIn('#invite=')).toBeNull();
});

test('a pasted token may begin with Bearer', () => {
  expect(tokensFromText('  Bearer abc \n')).toEqual({ accessToken: 'abc' });
  expect(tokensFromText('  ')).toBeNull();
});

describe('a session', () => {
  test('survives a reload of the tab and is forgotten on sign-out', async () => {
    const kept = storage();
    new Session(kept, never).set({ accessToken: 'abc' });
    const reloaded = new Session(kept, never);
    expect(await reloaded.accessToken()).toBe('abc');
    reloaded.set(null);
    expect(await new Session(kept, never).accessToken()).toBeNull();
  });

  test('takes nothing from a broken storage', async () => {
    const kept = storage();
    kept.setItem('anabranch.session', '{"accessToken": 3');
    expect(await new Session(kept, never).accessToken()).toBeNull();
  });

  test('is renewed once, whoever asks, when it is about to expire', async () => {
    const asked: string[] = [];
    const session = new Session(
      storage(),
      async (token) => {
        asked.push(token);
        return signedIn('new', 900);
      },
      () => NOW,
    );
    session.set(tokensOf(signedIn('old', 29)));
    expect(await Promise.all([session.accessToken(), session.accessToken()])).toEqual(['new', 'new']);
    expect(await session.accessToken()).toBe('new');
    expect(asked).toEqual(['old-refresh']);
  });

  test('is not renewed while it is fresh', async () => {
    const session = new Session(storage(), never, () => NOW);
    session.set(tokensOf(signedIn('old', 31)));
    expect(await session.accessToken()).toBe('old');
  });

  test('ends when the server does not take the refresh token any more', async () => {
    const session = new Session(storage(), async () => null, () => NOW);
    session.set(tokensOf(signedIn('old', 1)));
    expect(await session.accessToken()).toBeNull();
  });

  test('is kept when the server cannot be reached', async () => {
    const session = new Session(storage(), () => Promise.reject(new Error('offline')), () => NOW);
    session.set(tokensOf(signedIn('old', 1)));
    await expect(session.accessToken()).rejects.toThrow('offline');
    expect(session.tokens?.refreshToken).toBe('old-refresh');
  });

  test('a renewal that comes back late does not undo a sign-out', async () => {
    let answer: (value: SignedIn) => void = () => undefined;
    const session = new Session(storage(), () => new Promise((resolve) => (answer = resolve)), () => NOW);
    session.set(tokensOf(signedIn('old', 1)));
    const asked = session.accessToken();
    session.set(null);
    answer(signedIn('new', 900));
    expect(await asked).toBeNull();
  });

  test('tells its listeners until they leave', () => {
    const session = new Session(storage(), never);
    const seen: (string | null)[] = [];
    const leave = session.subscribe(() => seen.push(session.snapshot()));
    session.set({ accessToken: 'abc' });
    leave();
    session.set(null);
    expect(seen).toEqual(['abc']);
  });
});
