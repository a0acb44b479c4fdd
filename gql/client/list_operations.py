"""The documents of `ls`, `runs`, `rerun`, `export` and `import`; a test holds them against the schema."""

from __future__ import annotations

from gql.client.fragments import PROBLEM as _PROBLEM

_PROBLEMS = "problems { severity code nodeKey edge { source sourcePort target } path message hint }"

LIST_WORKFLOWS = """
query ListWorkflows($after: String) {
  workflows(first: 100, after: $after) {
    pageInfo { hasNextPage endCursor }
    nodes {
      id slug name revision isRunnable updatedAt problems { severity }
      hasUnpublishedChanges publishedVersion { number }
      latestRun { id status createdAt }
    }
  }
}
"""

LIST_RUNS = """
query ListRuns($filter: RunFilter, $first: Int!, $after: String) {
  runs(filter: $filter, first: $first, after: $after) {
    pageInfo { hasNextPage endCursor }
    nodes {
      id status createdAt durationMs progress { done total } error { code nodeKey message }
      workflow { slug } trigger { kind }
    }
  }
}
"""

EXPORT_WORKFLOWS = """
query ExportWorkflows($slugs: [String!], $after: String) {
  workflows(filter: { slugs: $slugs }, first: 20, after: $after) {
    pageInfo { hasNextPage endCursor }
    nodes { slug document }
  }
}
"""

IMPORT_WORKFLOW = (
    """
mutation ImportWorkflow($document: String!, $mode: ImportMode!) {
  importWorkflow(input: { document: $document, mode: $mode }) {
    workflow { id slug revision """
    + _PROBLEMS
    + """ }
    isCreated
    userErrors { ...Problem }
  }
}
"""
    + _PROBLEM
)

RERUN = (
    """
mutation Rerun($input: RerunRunInput!) {
  rerunRun(input: $input) { run { id status } reusedNodeKeys executedNodeKeys userErrors { ...Problem } }
}
"""
    + _PROBLEM
)
