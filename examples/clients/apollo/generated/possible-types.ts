
      export interface PossibleTypesResultData {
        possibleTypes: {
          [key: string]: string[]
        }
      }
      const result: PossibleTypesResultData = {
  "possibleTypes": {
    "ConnectionSettings": [
      "HttpAuthSettings",
      "OpenaiCompatibleSettings",
      "PostgresSettings"
    ],
    "Node": [
      "ApiKey",
      "Approval",
      "AuditEntry",
      "Chunk",
      "Collection",
      "ConnectionProfile",
      "DataRow",
      "DataTable",
      "Document",
      "Invitation",
      "Member",
      "NodeRun",
      "Run",
      "Secret",
      "User",
      "Webhook",
      "Workflow",
      "WorkflowVersion",
      "Workspace"
    ],
    "NodeConfig": [
      "ApprovalConfig",
      "BranchConfig",
      "DbWriteConfig",
      "FaissSearchConfig",
      "FaissUpsertConfig",
      "HttpRequestConfig",
      "LlmCallConfig",
      "SubworkflowConfig",
      "TransformConfig",
      "UnknownConfig",
      "WaitConfig"
    ],
    "NodeEvent": [
      "ApprovalAnswered",
      "ApprovalRequested",
      "NodeCanceled",
      "NodeExpanded",
      "NodeFailed",
      "NodeOutputDelta",
      "NodeProgressed",
      "NodeRetrying",
      "NodeReused",
      "NodeSkipped",
      "NodeStarted",
      "NodeSucceeded",
      "NodeWaiting"
    ],
    "RunEvent": [
      "ApprovalAnswered",
      "ApprovalRequested",
      "NodeCanceled",
      "NodeExpanded",
      "NodeFailed",
      "NodeOutputDelta",
      "NodeProgressed",
      "NodeRetrying",
      "NodeReused",
      "NodeSkipped",
      "NodeStarted",
      "NodeSucceeded",
      "NodeWaiting",
      "RunCancelRequested",
      "RunCanceled",
      "RunCrashed",
      "RunFailed",
      "RunPaused",
      "RunQueued",
      "RunRecovered",
      "RunResumed",
      "RunStarted",
      "RunSucceeded",
      "RunWaiting"
    ],
    "UserError": [
      "ConflictError",
      "DocumentProblemsError",
      "ForbiddenError",
      "GraphProblemsError",
      "InvalidInputError",
      "LimitError",
      "NotFoundError"
    ]
  }
};
      export default result;
    