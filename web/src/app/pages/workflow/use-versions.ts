/** The versions of a workflow. */

import { useQuery } from 'urql';
import { WorkflowVersionsDocument } from '../../generated/graphql';
import { useEpoch } from './use-epoch';

/** Read the versions, and again whenever `epoch` changes. */
export function useVersions(workflowId: string, epoch: string) {
  return useQuery({
    query: WorkflowVersionsDocument,
    variables: { id: workflowId },
    requestPolicy: 'cache-and-network',
    context: useEpoch(epoch),
  });
}
