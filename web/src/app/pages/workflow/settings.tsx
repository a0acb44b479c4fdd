/** What a workflow is called, what input it asks for, what it returns, and its limits. */

import { type FormEvent, useMemo, useState } from 'react';
import { FIELD_LIST, fieldsOf, schemaFrom } from '../../editor/input-fields';
import { isEqual, isObject, type Json, type JsonObject } from '../../editor/json';
import { WORKFLOW_FIELDS, type WorkflowFields } from '../../editor/model';
import type { FieldError } from '../../forms/context';
import { SchemaForm } from '../../forms/schema-form';
import { useWorkbench } from './workbench';

const SETTINGS: JsonObject = {
  type: 'object',
  required: ['name'],
  properties: {
    name: { title: 'Name', type: 'string', minLength: 1 },
    description: { title: 'What it is for', type: 'string', maxLength: 2_000 },
    inputFields: FIELD_LIST,
    inputSchema: {
      title: 'Input',
      description: 'A JSON Schema of the input, from which the form to start a run is made; empty accepts anything.',
      default: null,
    },
    output: {
      title: 'Output',
      description: 'What a run returns; empty = the outputs of the last nodes.',
      type: 'array',
      maxItems: 100,
      items: {
        type: 'object',
        required: ['name', 'value'],
        properties: {
          name: { title: 'Name', type: 'string' },
          value: { title: 'Value', 'x-template': true, description: 'A template, such as `{{ nodes.answer.output.text }}`.' },
        },
      },
    },
    settings: {
      title: 'Limits',
      type: 'object',
      properties: {
        timeoutMs: { title: 'Longest time of a run (ms)', type: 'integer', minimum: 1, description: 'Waiting included; empty = no limit.' },
        maxParallelNodes: { title: 'Nodes at once', type: 'integer', minimum: 1, maximum: 500, default: 16 },
        failurePolicy: {
          title: 'When a node fails',
          default: 'FAIL_FAST',
          oneOf: [
            { const: 'FAIL_FAST', title: 'Stop everything', description: 'Nodes in flight are canceled and the run fails at once.' },
            { const: 'FINISH_BRANCHES', title: 'Finish other branches', description: 'Independent branches end first.' },
          ],
        },
        maxTokens: { title: 'Tokens of a run', type: 'integer', minimum: 1, description: 'Empty = no limit.' },
        maxCost: { title: 'Cost of a run', type: 'string', description: 'Where a price is known; empty = no limit.' },
        concurrency: {
          title: 'Runs at once',
          description: 'How many runs of the workflow, or of each group of them, work at once.',
          type: 'object',
          required: ['maxRuns'],
          properties: {
            maxRuns: { title: 'Runs at once in each group', type: 'integer', minimum: 1, default: 1 },
            key: { title: 'Groups', type: 'string', 'x-template': true, description: 'A template over the input, such as `{{ input.customer }}`; empty = all together.' },
            strategy: {
              title: 'One more',
              default: 'QUEUE',
              oneOf: [
                { const: 'QUEUE', title: 'waits its turn' },
                { const: 'CANCEL_IN_PROGRESS', title: 'cancels the oldest run in progress' },
                { const: 'CANCEL_NEWEST', title: 'is canceled itself' },
              ],
            },
          },
        },
      },
    },
  },
};

/** Fields where the schema is no more than a list of them, and the schema itself where it is more or the person likes. */
function formOf(isByFields: boolean): JsonObject {
  const { inputFields, inputSchema, ...others } = SETTINGS['properties'] as JsonObject;
  const { name, description, ...rest } = others;
  const input = isByFields ? { inputFields } : { inputSchema };
  return { ...SETTINGS, properties: { name, description, ...input, ...rest } as JsonObject };
}

export function Settings({ onDone }: { readonly onDone: () => void }) {
  const { state, sync } = useWorkbench();
  // What the dialog was opened with: the edit says what it was based on.
  const [basis] = useState(state.shown.workflow);
  const [isByFields, setByFields] = useState(fieldsOf(basis.inputSchema) !== null);
  const [value, setValue] = useState<JsonObject>(() => begun(basis));
  const schema = useMemo(() => formOf(isByFields), [isByFields]);
  // Whichever way the input is shown, the other follows.
  const inputSchema = isByFields ? schemaFrom(listOf(value['inputFields'])) : (value['inputSchema'] ?? null);
  const otherFields = isByFields ? null : fieldsOf(inputSchema);
  const turn = () => {
    setValue({ ...value, inputSchema, inputFields: otherFields ?? listOf(value['inputFields']) });
    setByFields(!isByFields);
  };
  const refusal = state.refusal?.edit.type === 'configure' ? state.refusal : null;
  const errors: readonly FieldError[] = refusal?.errors ?? [];
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const wanted: { readonly [field: string]: Json } = { ...value, inputSchema, settings: limitsOf(value, basis.settings) };
    const changed = WORKFLOW_FIELDS.filter((field) => !isEqual(basis[field], wanted[field] ?? (field === 'output' ? [] : null)));
    const changes = Object.fromEntries(changed.map((field) => [field, { before: basis[field], after: wanted[field] ?? (field === 'output' ? [] : null) }]));
    if (changed.length > 0) sync.dispatch({ type: 'edited', label: 'Change settings', edits: [{ type: 'configure', changes }] });
    onDone();
  };
  return (
    <form className="stack" onSubmit={submit} noValidate>
      <SchemaForm schema={schema} value={value} onChange={(next) => setValue(isObject(next) ? next : {})} errors={errors} />
      <div className="actions end">
        {(isByFields || otherFields !== null) && (
          <button type="button" className="button quiet" onClick={turn}>
            {isByFields ? 'Input as JSON Schema' : 'Input as fields'}
          </button>
        )}
        <button type="submit" className="button primary" disabled={!value['name']}>
          Save
        </button>
      </div>
    </form>
  );
}

function begun(basis: WorkflowFields): JsonObject {
  const fields = fieldsOf(basis.inputSchema) ?? [];
  return withoutNulls({ ...basis, inputFields: fields, settings: withoutNulls(basis.settings) });
}

function listOf(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? (value as readonly Json[]) : [];
}

const MAY_BE_EMPTY = new Set(['timeoutMs', 'maxTokens', 'maxCost', 'concurrency']);

/** What was emptied in the form is null for the API: an absent field would stay as it is. */
function limitsOf(value: JsonObject, basis: JsonObject): JsonObject {
  const set = isObject(value['settings']) ? value['settings'] : {};
  // A limit that was begun and not filled in is the least there is.
  const given: JsonObject = isObject(set['concurrency']) ? { ...set, concurrency: { maxRuns: 1, ...set['concurrency'] } } : set;
  return Object.fromEntries(Object.keys({ ...basis, ...given }).map((name) => [name, given[name] ?? (MAY_BE_EMPTY.has(name) ? null : (basis[name] ?? null))]));
}

function withoutNulls(value: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== null));
}
