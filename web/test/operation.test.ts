import { expect, test } from 'vitest';
import { operationOf } from '../src/operation';

test('the only operation of a document is meant, whatever name GraphiQL still remembers', () => {
  expect(operationOf('subscription Follow { serverTime }', 'Start')).toEqual({ name: 'Follow', isSubscription: true });
  expect(operationOf('{ viewer { user { id } } }', 'Start')).toEqual({ name: null, isSubscription: false });
});

test('among several the name decides, and a fragment is none of them', () => {
  const document = 'query A { a } subscription B { b } fragment F on Query { a }';
  expect(operationOf(document, 'B')).toEqual({ name: 'B', isSubscription: true });
  expect(operationOf(document, 'A')).toEqual({ name: 'A', isSubscription: false });
});

test('what names no operation or does not parse goes to the server as it is', () => {
  expect(operationOf('query A { a } query B { b }', 'C')).toEqual({ name: 'C', isSubscription: false });
  expect(operationOf('subscription {', null)).toEqual({ name: null, isSubscription: false });
});
