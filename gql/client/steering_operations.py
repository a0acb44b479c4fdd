"""The GraphQL documents of the commands that pause, resume and cancel; a test holds them against the schema."""

from __future__ import annotations

from gql.client.fragments import PROBLEM as _PROBLEM

CANCEL_RUN = (
    """
mutation CancelRun($id: ID!, $reason: String) {
  cancelRun(input: { id: $id, reason: $reason }) { run { id status } userErrors { ...Problem } }
}
"""
    + _PROBLEM
)

COUNT_RUNS = """
query CountRuns($filter: RunFilter) { runs(filter: $filter, first: 1) { totalCount } }
"""

CANCEL_RUNS = (
    """
mutation CancelRuns($filter: RunFilter!, $reason: String) {
  cancelRuns(input: { filter: $filter, reason: $reason }) { canceledCount hasMore userErrors { ...Problem } }
}
"""
    + _PROBLEM
)

PAUSE_RUN = (
    """
mutation PauseRun($id: ID!) {
  pauseRun(input: { id: $id }) { run { id status } userErrors { ...Problem } }
}
"""
    + _PROBLEM
)

RESUME_RUN = (
    """
mutation ResumeRun($id: ID!) {
  resumeRun(input: { id: $id }) { run { id status } userErrors { ...Problem } }
}
"""
    + _PROBLEM
)
