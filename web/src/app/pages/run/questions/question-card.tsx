/** A question that a run asks: to read, to answer, and afterwards what was answered. */

import './questions.css';
import { useMemo, useState } from 'react';
import { useMutation } from 'urql';
import { isObject, type Json, type JsonObject } from '../../../editor/json';
import type { FieldError } from '../../../forms/context';
import { SchemaForm } from '../../../forms/schema-form';
import { blankValue } from '../../../forms/starting';
import { faultsOf } from '../../../forms/validate';
import { AnswerQuestionDocument, type ProblemFragment, type QuestionFragment } from '../../../generated/graphql';
import { useAnnouncer } from '../../../parts/announce';
import { Notice, RequestError, UserErrors } from '../../../parts/errors';
import { JsonView } from '../../../parts/json-view';
import { Markdown } from '../../../parts/markdown';
import { Ago, Left } from '../../../parts/time';

interface QuestionProps {
  readonly question: QuestionFragment;
  /** Called when the question is no longer as it is shown. */
  readonly onStale: () => void;
}

interface Given {
  readonly action: string;
  readonly values: Json;
}

export function QuestionCard({ question, onStale }: QuestionProps) {
  const [{ data, error, fetching }, send] = useMutation(AnswerQuestionDocument);
  const [given, setGiven] = useState<Given | null>(null);
  const { toast } = useAnnouncer();
  const errors = data?.answerApproval.userErrors ?? [];
  const conflict = errors.find(({ __typename }) => __typename === 'ConflictError');
  const isOpen = question.status === 'OPEN';
  const answer = async (input: Given) => {
    setGiven(input);
    const sent = await send({ input: { approvalId: question.id, ...input } });
    const refused = sent.data?.answerApproval.userErrors;
    if (refused?.length === 0) toast(`Answered “${question.title}” with “${input.action}”.`);
    if (refused && (refused.length === 0 || refused.some(({ __typename }) => __typename === 'ConflictError'))) onStale();
  };
  return (
    <article className={`question tone-${isOpen ? 'waiting' : 'pending'}`} aria-label={`Question: ${question.title}`}>
      <div className="question-head">
        <h3>{question.title}</h3>
        {isOpen && (
          <span className="muted small">
            <Left until={question.expiresAt} /> left
          </span>
        )}
      </div>
      {question.message && <Markdown text={question.message} />}
      {conflict && <TooLate conflict={conflict} action={given?.action ?? ''} />}
      {error && <RequestError error={error} />}
      {isOpen && question.assignees.length > 0 && <p className="muted small">Asked of {question.assignees.join(', ')}.</p>}
      {isOpen && question.isAnswerable && <AnswerForm question={question} errors={errors} isBusy={fetching} onAnswer={answer} />}
      {isOpen && !question.isAnswerable && <p className="muted">{whoMay(question)}</p>}
      {!isOpen && <Outcome question={question} />}
    </article>
  );
}

function whoMay({ assignees, expiresAt }: QuestionFragment): string {
  if (Date.parse(expiresAt) <= Date.now()) return 'The time to answer is over.';
  return assignees.length > 0 ? 'You are not among those who are asked.' : 'Answering needs the role EDITOR.';
}

/** Somebody else was first, or the time was over: what one wanted to say is told beside what is. */
function TooLate({ conflict, action }: { readonly conflict: ProblemFragment; readonly action: string }) {
  const by = conflict.__typename === 'ConflictError' ? conflict.changedBy?.name : null;
  return (
    <Notice title={by ? `${by} was first` : 'Too late'} tone="waiting" isAlert>
      <p>
        {conflict.message} Your answer “{action}” was not taken.
      </p>
    </Notice>
  );
}

function Outcome({ question: { status, action, values, answeredBy, answeredAt } }: { readonly question: QuestionFragment }) {
  if (status === 'TIMED_OUT') return <p className="muted">Nobody answered in time: the way of the port “timeout” was taken.</p>;
  if (status === 'CANCELED') return <p className="muted">The run ended before anybody answered.</p>;
  return (
    <>
      <p>
        {answeredBy?.name ?? 'Somebody'} answered <strong>{action}</strong> {answeredAt && <Ago at={answeredAt} />}.
      </p>
      {isObject(values as Json) && Object.keys(values as JsonObject).length > 0 && <JsonView value={values} label="Values" />}
    </>
  );
}

interface AnswerFormProps {
  readonly question: QuestionFragment;
  /** What the server said against the last attempt. */
  readonly errors: readonly ProblemFragment[];
  readonly isBusy: boolean;
  readonly onAnswer: (given: Given) => void;
}

function AnswerForm({ question, errors, isBusy, onAnswer }: AnswerFormProps) {
  const form = isObject(question.form as Json) ? (question.form as JsonObject) : null;
  const [value, setValue] = useState<Json | undefined>(() => (form === null ? null : blankValue(form)));
  const [isTried, setTried] = useState(false);
  const faults = useMemo(() => (form === null ? [] : faultsOf(value ?? null, form, form)), [value, form]);
  const told = errors.filter(({ __typename }) => __typename !== 'ConflictError');
  const placed = told.filter(isOfForm).map((error): FieldError => ({ path: error.path?.slice(2) ?? [], message: error.message }));
  const press = (action: string) => {
    setTried(true);
    if (faults.length === 0) onAnswer({ action, values: value ?? null });
  };
  return (
    // Which answer is given is never left to the key Enter.
    <form className="stack" onSubmit={(event) => event.preventDefault()} noValidate>
      {form !== null && (
        <SchemaForm schema={form} value={value} onChange={setValue} errors={[...placed, ...(isTried ? faults : [])]} name="values" isFlat />
      )}
      <UserErrors errors={told.filter((error) => !isOfForm(error))} />
      <div className="actions" role="group" aria-label="Answers">
        {question.actions.map((action, index) => (
          <button key={action} type="button" className={`button ${index === 0 ? 'primary' : ''}`} disabled={isBusy} onClick={() => press(action)}>
            {action}
          </button>
        ))}
      </div>
    </form>
  );
}

function isOfForm({ path }: ProblemFragment): boolean {
  return path?.[0] === 'input' && path[1] === 'values';
}
