"""The GraphQL documents of the demo, beside those of every client; a test holds them against the schema."""

from __future__ import annotations

_PROBLEM = """
fragment Problem on UserError { message code path }
"""

_STATS = "stats { documents chunks live dead }"

FIND_LIBRARY = f"""
query FindLibrary($collection: String!, $table: String!) {{
  viewer {{
    workspaces(first: 1) {{
      nodes {{ collection(name: $collection) {{ id {_STATS} }} dataTable(name: $table) {{ id }} }}
    }}
  }}
}}
"""

CREATE_COLLECTION = (
    f"""
mutation CreateCollection($input: CreateCollectionInput!) {{
  createCollection(input: $input) {{ collection {{ id {_STATS} }} userErrors {{ ...Problem }} }}
}}
"""
    + _PROBLEM
)

UPSERT_DOCUMENTS = (
    f"""
mutation UpsertDocuments($input: UpsertDocumentsInput!) {{
  upsertDocuments(input: $input) {{ collection {{ id {_STATS} }} userErrors {{ ...Problem }} }}
}}
"""
    + _PROBLEM
)

DELETE_DOCUMENTS = (
    f"""
mutation DeleteDocuments($input: DeleteDocumentsInput!) {{
  deleteDocuments(input: $input) {{ deletedCount collection {{ id {_STATS} }} userErrors {{ ...Problem }} }}
}}
"""
    + _PROBLEM
)

CREATE_TABLE = (
    """
mutation CreateTable($input: CreateDataTableInput!) {
  createDataTable(input: $input) { dataTable { id } userErrors { ...Problem } }
}
"""
    + _PROBLEM
)

READ_ROWS = """
query ReadRows($table: ID!, $run: JSON!) {
  dataTable(id: $table) {
    rows(filter: { path: "run", eq: $run }, first: 10) { totalCount nodes { id values nodeKey run { id } } }
  }
}
"""
