/** What a start may say beside the input; few do, so it waits behind a summary. */

import { useState } from 'react';
import { isObject, type JsonObject } from '../editor/json';
import type { StartRunInput } from '../generated/graphql';
import { SchemaForm } from './schema-form';

export type StartOptions = Pick<StartRunInput, 'priority' | 'idempotencyKey' | 'onConflict' | 'concurrencyKey' | 'labels'>;

/** The words are those of the API's own descriptions. */
const OPTIONS: JsonObject = {
  type: 'object',
  properties: {
    priority: {
      title: 'Priority',
      oneOf: [
        { const: 1, title: '1, first' },
        { const: 2, title: '2' },
        { const: 3, title: '3, unless said otherwise' },
        { const: 4, title: '4' },
        { const: 5, title: '5, last' },
      ],
    },
    idempotencyKey: {
      title: 'Idempotency key',
      type: 'string',
      description: 'A second start with the same key gives the first one’s run, as long as that exists.',
    },
    onConflict: {
      title: 'What a second start with the key does',
      default: 'USE_EXISTING',
      oneOf: [
        { const: 'USE_EXISTING', title: 'It gives the first run' },
        { const: 'FAIL', title: 'It is refused' },
        { const: 'CANCEL_EXISTING', title: 'It cancels the first run and starts another' },
      ],
    },
    concurrencyKey: {
      title: 'Concurrency key',
      type: 'string',
      description: 'Runs with the same key share the limit of the workflow’s concurrency; replaces the key that the workflow computes.',
    },
    labels: {
      title: 'Labels',
      type: 'array',
      maxItems: 50,
      description: 'Notes to find the run again.',
      items: {
        type: 'object',
        required: ['name', 'value'],
        properties: { name: { title: 'Name', type: 'string' }, value: { title: 'Value', type: 'string' } },
      },
    },
  },
};

export function useStartOptions() {
  const [value, setValue] = useState<JsonObject>({});
  const { onConflict, ...others } = value;
  // Without a key nothing can conflict.
  const options = (value['idempotencyKey'] === undefined || onConflict === undefined ? others : value) as StartOptions;
  const fields = (
    <details className="form-more">
      <summary>More: priority, keys, labels</summary>
      <SchemaForm schema={OPTIONS} value={value} onChange={(next) => setValue(isObject(next) ? next : {})} name="options" isFlat />
    </details>
  );
  return { options, fields };
}
