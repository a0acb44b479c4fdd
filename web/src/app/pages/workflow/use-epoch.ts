/** A context for urql that changes with a number or text, so that a query is asked again. */

import { useMemo } from 'react';
import type { OperationContext } from 'urql';

export function useEpoch(epoch: string | number): Partial<OperationContext> {
  return useMemo(() => ({ epoch }), [epoch]);
}
