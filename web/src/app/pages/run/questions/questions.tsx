/** The questions of a run, or of one of its nodes: open ones to answer, others to read. */

import { useRef } from 'react';
import type { QuestionFragment } from '../../../generated/graphql';
import type { OpenedRun } from '../run-view';
import { QuestionCard } from './question-card';
import { useQuestions } from './use-questions';

interface QuestionsProps {
  readonly run: OpenedRun;
  readonly nodeKey: string;
}

/** What a node asks; for each item of a list it may be another question. */
export function QuestionsOfNode({ run, nodeKey }: QuestionsProps) {
  const { questions, more, readAgain } = useQuestions(run);
  const asked = questions.filter((question) => question.nodeKey === nodeKey);
  return (
    <>
      {asked.map((question) => (
        <div key={question.id} className="stack">
          {question.itemIndex !== null && <p className="muted small">Item {question.itemIndex}</p>}
          <QuestionCard question={question} onStale={readAgain} />
        </div>
      ))}
      {asked.length > 0 && more > 0 && <p className="muted small">{`The run asks ${more} more questions; they come as these are answered.`}</p>}
    </>
  );
}

interface OpenQuestionsProps {
  readonly run: OpenedRun;
  readonly onSelect: (key: string) => void;
}

/** What the run waits for people to say: one question whole, several by name. */
export function OpenQuestions({ run, onSelect }: OpenQuestionsProps) {
  const { questions, readAgain } = useQuestions(run);
  const open = questions.filter(({ status }) => status === 'OPEN');
  // What was asked here a moment ago stays, so that one sees what became of it.
  const last = useRef<string | null>(null);
  const [only] = open.length === 1 ? open : open.length === 0 ? questions.filter(({ id }) => id === last.current) : [];
  last.current = only?.id ?? null;
  if (only) return <QuestionCard key={only.id} question={only} onStale={readAgain} />;
  if (open.length === 0) return null;
  return (
    <section className="question tone-waiting" aria-label="Open questions">
      <h3>{`The run asks ${open.length} questions`}</h3>
      <ul className="question-list">
        {open.map((question) => (
          <li key={question.id}>
            <button type="button" className="button quiet compact" onClick={() => onSelect(question.nodeKey)}>
              {titleOf(question)}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function titleOf({ title, nodeKey, itemIndex }: QuestionFragment): string {
  return `${title} (${nodeKey}${itemIndex === null ? '' : `, item ${itemIndex}`})`;
}
