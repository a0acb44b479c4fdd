/** What is wrong with the draft; a click leads there. */

import type { Problem } from '../../editor/model';
import { wordsOf } from '../../forms/shape';
import { Empty } from '../../parts/empty';
import { Prose } from '../../parts/prose';
import { useWorkbench } from './workbench';

export function Problems() {
  const { state } = useWorkbench();
  const { problems, nodes } = state.shown;
  if (problems.length === 0) {
    return (
      <Empty title={nodes.length === 0 ? 'Nothing to check yet' : 'No problems'}>
        <p>{nodes.length === 0 ? 'Add a node, and what is wrong with it shows here.' : 'The draft can be run and published.'}</p>
      </Empty>
    );
  }
  return (
    <ul className="problems">
      {problems.map((problem, index) => (
        <li key={index}>
          <ProblemRow problem={problem} />
        </li>
      ))}
    </ul>
  );
}

/** People count from one. */
function stepOf(step: string): string {
  return /^\d+$/.test(step) ? String(Number(step) + 1) : wordsOf(step);
}

function ProblemRow({ problem }: { readonly problem: Problem }) {
  const { select } = useWorkbench();
  const { nodeKey, edge, severity, message, hint, code, path } = problem;
  const go = () => {
    if (nodeKey !== null) select({ type: 'node', key: nodeKey });
    else if (edge) select({ type: 'edge', edge: { source: edge.source, sourcePort: edge.sourcePort, target: edge.target } });
  };
  const isError = severity === 'ERROR';
  const place = path.slice(path[0] === 'config' ? 2 : 0).map(stepOf).join(' › ');
  return (
    <button type="button" className={`problem ${isError ? 'tone-failed' : 'tone-waiting'}`} onClick={go}>
      <span className="problem-place">
        <span aria-hidden="true">{isError ? '✕' : '⚠'}</span> <span className="visually-hidden">{isError ? 'Error' : 'Warning'}: </span>
        {nodeKey ?? (edge ? `${edge.source} → ${edge.target}` : 'Workflow')}
        {place !== '' && ` › ${place}`}
      </span>
      <span>
        <Prose text={message} />
      </span>
      {hint !== null && (
        <span className="muted">
          <Prose text={hint} />
        </span>
      )}
      <code className="muted small">{code}</code>
    </button>
  );
}
