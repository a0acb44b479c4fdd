/** A node on the editor's canvas: what it does in a few words, and whether something is wrong with it. */

import { isObject, type Json, partAt } from '../../editor/json';
import { type DraftNode, kindNameOf, nodeOf } from '../../editor/model';
import { CardFrame } from '../../graph/card';
import type { CardProps } from '../../graph/graph-view';
import { useWorkbench } from './workbench';

export function NodeCard({ step, isSelected }: CardProps) {
  const { state } = useWorkbench();
  const node = nodeOf(state.shown, step.key);
  const problems = state.shown.problems.filter((problem) => problem.nodeKey === step.key);
  const errors = problems.filter((problem) => problem.severity === 'ERROR').length;
  const summary = node ? summaryOf(node) : '';
  const isText = step.kind === 'LLM_CALL';
  return (
    <CardFrame
      step={step}
      isSelected={isSelected}
      tone={errors > 0 ? 'has-errors' : ''}
      sign={problems.length > 0 && <ProblemSign errors={errors} warnings={problems.length - errors} />}
      aside={isText || summary === '' || step.ports.length > 1 ? undefined : <span className="step-summary">{summary}</span>}
    >
      {isText && <p className="step-brief">{summary}</p>}
    </CardFrame>
  );
}

function ProblemSign({ errors, warnings }: { readonly errors: number; readonly warnings: number }) {
  const text = errors > 0 ? `${errors} ${errors === 1 ? 'error' : 'errors'}` : `${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`;
  return (
    <span className={`badge ${errors > 0 ? 'tone-failed' : 'tone-waiting'}`} title={text}>
      {errors > 0 ? '✕' : '⚠'} {errors || warnings}
      <span className="visually-hidden"> {text}</span>
    </span>
  );
}

const TELLING: Readonly<Record<string, readonly (readonly string[])[]>> = {
  llmCall: [['prompt'], ['messages', '0', 'content']],
  httpRequest: [['url']],
  faissSearch: [['collection']],
  faissUpsert: [['collection']],
  dbWrite: [['target', 'dataTable'], ['target', 'externalTable', 'table']],
  subworkflow: [['workflow']],
  approval: [['title']],
  wait: [['until'], ['durationMs']],
};

/** The one thing that tells nodes of a kind apart; for a kind of a plug-in, its first text. */
export function summaryOf(node: DraftNode): string {
  const kind = kindNameOf(node);
  const config = node.config[kind];
  if (kind === 'transform') return listed(partAt(config, ['fields']), 'name');
  if (kind === 'branch') return listed(partAt(config, ['cases']), 'name');
  const paths = TELLING[kind] ?? Object.keys(isObject(config) ? config : {}).map((name) => [name]);
  for (const path of paths) {
    const value = partAt(config, path);
    if (typeof value === 'string' && value !== '') return value;
    if (typeof value === 'number') return String(value);
  }
  return '';
}

function listed(items: Json | undefined, name: string): string {
  return Array.isArray(items) ? items.map((item: Json) => String(partAt(item, [name]) ?? '')).filter(Boolean).join(', ') : '';
}
