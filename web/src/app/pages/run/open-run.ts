/** The first reading of a run: the state from which its log is followed. */

import type { Client, CombinedError } from '@urql/core';
import { OpenRunDocument } from '../../generated/graphql';
import { isFinished, type OpenedRun } from './run-view';

export interface RunRead {
  readonly run: OpenedRun | null;
  readonly error?: CombinedError | undefined;
}

/** Read a run; when it ends while it is read, once more, since no event comes that would mend it. */
export async function openRun(client: Client, id: string): Promise<RunRead> {
  const first = await read(client, id);
  // The snapshot is read after the run; a finished run changes no more, so the second reading is of one piece.
  const isTorn = first.run !== null && isFinished(first.run.snapshot) && !first.run.isFinished;
  return isTorn ? read(client, id) : first;
}

async function read(client: Client, id: string): Promise<RunRead> {
  const { data, error } = await client.query(OpenRunDocument, { id }, { requestPolicy: 'network-only' }).toPromise();
  return { run: data?.run ?? null, error };
}
