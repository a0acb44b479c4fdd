"""Parts that the documents of the command line share."""

from __future__ import annotations

PROBLEM = """
fragment Problem on UserError {
  message code path
  ... on ConflictError { currentRevision changedBy { name } }
  ... on GraphProblemsError { problems { severity code nodeKey path message hint } }
  ... on DocumentProblemsError { problems { line column code message hint } }
}
"""
