/** Starting a run and going to its page; what the server says against its input is for the form. */

import { useState } from 'react';
import { useMutation } from 'urql';
import { useLocation } from 'wouter';
import { type ProblemFragment, type StartRunInput, StartRunDocument } from '../generated/graphql';

export function useStart() {
  const [{ fetching, error }, start] = useMutation(StartRunDocument);
  const [errors, setErrors] = useState<readonly ProblemFragment[]>([]);
  const [, go] = useLocation();
  const submit = async (input: StartRunInput) => {
    const started = await start({ input });
    setErrors(started.data?.startRun.userErrors ?? []);
    const id = started.data?.startRun.run?.id;
    if (id !== undefined) go(`/runs/${id}`);
  };
  return { submit, errors, error, isStarting: fetching };
}
