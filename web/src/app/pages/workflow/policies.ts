/** What every node has besides its configuration, as a schema for the same forms. */

import { isObject, type JsonObject } from '../../editor/json';
import type { DraftNode } from '../../editor/model';

const MILLISECONDS: JsonObject = { anyOf: [{ type: 'integer', minimum: 1 }, { type: 'null' }] };

/** The words are those of the API's own descriptions. */
export const POLICIES: JsonObject = {
  type: 'object',
  properties: {
    name: { title: 'Name to show', type: 'string', description: 'The key if none is given.' },
    when: { title: 'Only when', type: 'string', 'x-expression': true, description: 'An expression; when it is false the node is skipped.' },
    join: {
      title: 'Waits for',
      description: 'Which incoming edges it waits for.',
      default: 'ALL',
      oneOf: [
        { const: 'ALL', title: 'All incoming edges', description: 'All are settled and at least one is taken.' },
        { const: 'ANY', title: 'The first incoming edge', description: 'The first is taken.' },
      ],
    },
    forEach: {
      title: 'For each item of a list',
      description: 'Runs the node once for each item; its output is the list of outputs in the order of the items.',
      type: ['object', 'null'],
      required: ['items'],
      properties: {
        items: { title: 'Items', type: 'string', 'x-template': true, description: 'An expression or a template that gives a list; in the node, `item` and `index` name the current one.' },
        maxParallelItems: { title: 'At once', type: 'integer', minimum: 1, maximum: 100, default: 8, description: 'How many items are worked on at once.' },
        onItemError: {
          title: 'An item that fails',
          default: 'FAIL',
          oneOf: [
            { const: 'FAIL', title: 'fails the node' },
            { const: 'NULL', title: 'has the output null' },
            { const: 'DROP', title: 'is left out' },
          ],
        },
      },
    },
    onError: {
      title: 'When it fails',
      type: 'object',
      required: ['mode'],
      properties: {
        mode: {
          title: 'What happens',
          default: 'STOP',
          oneOf: [
            { const: 'STOP', title: 'The run fails' },
            { const: 'CONTINUE', title: 'Go on with a stand-in', description: 'The output below stands in and the run goes on.' },
            { const: 'BRANCH', title: 'Take the error port', description: 'The edges of port `error` are taken; behind them, `error` has `code`, `message` and `attempt`.' },
          ],
        },
        defaultOutput: { title: 'Stand-in output', description: 'With “Go on with a stand-in”.' },
      },
    },
    retry: {
      title: 'Retries',
      type: ['object', 'null'],
      properties: {
        maximumAttempts: { title: 'Attempts in all', type: 'integer', minimum: 1, maximum: 100, default: 3, description: 'The first included; 1 = no retry.' },
        initialIntervalMs: { title: 'First wait (ms)', type: 'integer', minimum: 1, default: 1_000 },
        backoffCoefficient: { title: 'Each wait is longer by', type: 'number', minimum: 1, default: 2 },
        maximumIntervalMs: { title: 'Longest wait (ms)', ...MILLISECONDS },
        hasJitter: { title: 'Vary waits at random', type: 'boolean', default: true },
        nonRetryableErrors: { title: 'Error codes that are never retried', type: 'array', items: { type: 'string' }, maxItems: 50 },
      },
    },
    timeouts: {
      title: 'Time limits',
      type: ['object', 'null'],
      properties: {
        startToCloseMs: { title: 'One attempt (ms)', ...MILLISECONDS },
        scheduleToCloseMs: { title: 'All attempts and waits (ms)', ...MILLISECONDS },
        idleMs: { title: 'Without any progress (ms)', ...MILLISECONDS, description: 'No token and no byte.' },
      },
    },
  },
};

/** Return the policies of a node as the form has them: what is null is absent. */
export function policiesOf({ name, when, join, forEach, onError, retry, timeouts }: DraftNode): JsonObject {
  const given = { name, when, join, forEach, onError, retry, timeouts };
  const present = Object.entries(given).filter(([, value]) => value !== null);
  return Object.fromEntries(present.map(([field, value]) => [field, isObject(value) ? withoutNulls(value) : value]));
}

function withoutNulls(value: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== null));
}
