"""The GraphQL documents that the command line sends; a test holds them against the schema."""

from __future__ import annotations

from gql.client.fragments import PROBLEM as _PROBLEM

_FAILURE = """
fragment Failure on RunError { code message nodeKey attempt }
"""

SIGN_UP = (
    """
mutation SignUp($email: String!, $password: String!, $name: String) {
  signUp(input: { email: $email, password: $password, name: $name }) {
    accessToken refreshToken expiresAt userErrors { ...Problem }
  }
}
"""
    + _PROBLEM
)

SIGN_IN = (
    """
mutation SignIn($email: String!, $password: String!) {
  signIn(input: { email: $email, password: $password }) {
    accessToken refreshToken expiresAt userErrors { ...Problem }
  }
}
"""
    + _PROBLEM
)

REFRESH = (
    """
mutation Refresh($refreshToken: String) {
  refreshSession(input: { refreshToken: $refreshToken }) {
    accessToken refreshToken expiresAt userErrors { ...Problem }
  }
}
"""
    + _PROBLEM
)

VIEWER = "query Viewer { viewer { user { email name } } }"

FIND_WORKFLOW = """
query FindWorkflow($slugs: [String!]) {
  workflows(filter: { slugs: $slugs }, first: 1) { nodes {
    id slug name revision inputSchema document publishedVersion { inputSchema }
  } }
}
"""

CREATE_WORKFLOW = (
    """
mutation CreateWorkflow($input: CreateWorkflowInput!) {
  createWorkflow(input: $input) {
    workflow { id slug revision isRunnable problems { severity code nodeKey path message hint } }
    userErrors { ...Problem }
  }
}
"""
    + _PROBLEM
)

UPDATE_WORKFLOW = (
    """
mutation UpdateWorkflow($input: UpdateWorkflowInput!) {
  updateWorkflow(input: $input) {
    workflow { id slug revision isRunnable problems { severity code nodeKey path message hint } }
    userErrors { ...Problem }
  }
}
"""
    + _PROBLEM
)

START_RUN = (
    """
mutation StartRun($input: StartRunInput!) {
  startRun(input: $input) { run { id status } isExisting userErrors { ...Problem } }
}
"""
    + _PROBLEM
)

OPEN_QUESTIONS = """
query OpenQuestions($id: ID!) {
  run(id: $id) { approvals(first: 100) { nodes {
    id nodeKey itemIndex title message form actions assignees isAnswerable status expiresAt
  } } }
}
"""

FORM = "query Form($id: ID!) { approval(id: $id) { form } }"

ANSWER_APPROVAL = (
    """
mutation AnswerApproval($id: ID!, $action: String!, $values: JSON) {
  answerApproval(input: { approvalId: $id, action: $action, values: $values }) {
    approval { id title status } userErrors { ...Problem }
  }
}
"""
    + _PROBLEM
)

OPEN_RUN = (
    """
query OpenRun($id: ID!) {
  run(id: $id) {
    id status isFinished createdAt startedAt finishedAt output
    error { ...Failure } usage { inputTokens outputTokens totalTokens cost currency }
    workflow { slug name }
    graph { nodes { key name kind } edges { source sourcePort target } }
    snapshot {
      cursor status
      nodes {
        key status attempt itemCount itemsDone itemsFailed itemsWaiting partialText waiting { reason until approval { title } }
        error { ...Failure } usage { totalTokens } startedAt finishedAt
      }
    }
  }
}
"""
    + _FAILURE
)

RUN_USAGE = "query RunUsage($id: ID!) { run(id: $id) { usage { inputTokens outputTokens totalTokens cost currency } } }"

IS_FINISHED = "query IsFinished($id: ID!) { run(id: $id) { isFinished } }"

_EVENT = (
    """
fragment Event on RunEvent {
  __typename cursor seq at
  ... on NodeEvent { nodeKey itemIndex attempt }
  ... on NodeExpanded { itemCount }
  ... on NodeProgressed { itemsDone itemCount }
  ... on NodeOutputDelta { channel text offset }
  ... on NodeSucceeded { durationMs usage { totalTokens } output }
  ... on NodeRetrying { error { ...Failure } nextAttemptAt }
  ... on NodeWaiting { reason until }
  ... on ApprovalRequested { approval { title } }
  ... on ApprovalAnswered { approval { title action answeredBy { name } } }
  ... on NodeFailed { error { ...Failure } }
  ... on NodeSkipped { skipReason }
  ... on NodeReused { fromRun { id } }
  ... on RunRecovered { restartedNodeKeys }
  ... on RunSucceeded { output isOutputTruncated durationMs usage { inputTokens outputTokens totalTokens cost currency } }
  ... on RunFailed { error { ...Failure } }
  ... on RunCrashed { error { ...Failure } }
}
"""
    + _FAILURE
)

FOLLOW = (
    """
subscription Follow($id: ID!, $after: String) { runEvents(runId: $id, after: $after) { ...Event } }
"""
    + _EVENT
)

READ_LOG = (
    """
query ReadLog($id: ID!, $after: String) {
  run(id: $id) { events(first: 100, after: $after) { pageInfo { hasNextPage endCursor } nodes { ...Event } } }
}
"""
    + _EVENT
)

FIND_COLLECTION = """
query FindCollection($name: String!) {
  viewer { workspaces(first: 100) { nodes { collection(name: $name) { id } } } }
}
"""

CREATE_COLLECTION = (
    """
mutation CreateCollection($input: CreateCollectionInput!) {
  createCollection(input: $input) { collection { id } userErrors { ...Problem } }
}
"""
    + _PROBLEM
)

UPSERT_DOCUMENTS = (
    """
mutation UpsertDocuments($id: ID!, $documents: [DocumentInput!]!) {
  upsertDocuments(input: { collectionId: $id, documents: $documents }) {
    collection { stats { documents chunks } }
    userErrors { ...Problem }
  }
}
"""
    + _PROBLEM
)
