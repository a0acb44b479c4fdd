/** The questions that a run asks people, read again whenever the log says that there is another or an answer. */

import { useCallback, useEffect } from 'react';
import { useQuery } from 'urql';
import { type QuestionFragment, RunQuestionsDocument } from '../../../generated/graphql';
import { useStore } from '../run-context';
import { useOfRun } from '../run-store';
import type { OpenedRun, RunView } from '../run-view';

export interface Questions {
  readonly questions: readonly QuestionFragment[];
  /** How many there are beside those that were read. */
  readonly more: number;
  readonly readAgain: () => void;
}

export function useQuestions(run: OpenedRun): Questions {
  const asking = run.graph.nodes.some(({ kind }) => kind === 'APPROVAL');
  const told = useOfRun(useStore(), (view) => signOf(view, run));
  const [{ data }, ask] = useQuery({ query: RunQuestionsDocument, variables: { id: run.id }, pause: !asking, requestPolicy: 'cache-and-network' });
  const readAgain = useCallback(() => ask({ requestPolicy: 'network-only' }), [ask]);
  useEffect(() => {
    if (asking) readAgain();
  }, [asking, told, readAgain]);
  const found = data?.run?.approvals;
  return { questions: found?.nodes ?? [], more: (found?.totalCount ?? 0) - (found?.nodes.length ?? 0), readAgain };
}

/** What changes with every question and every end of one: a question that runs out has no event of its own. */
function signOf(view: RunView, run: OpenedRun): string {
  const nodes = run.graph.nodes.filter(({ kind }) => kind === 'APPROVAL').map(({ key }) => view.nodes.get(key));
  return [view.status, view.asked, ...nodes.map((node) => `${node?.status} ${node?.itemsDone}`)].join(' ');
}
