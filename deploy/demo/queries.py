"""The GraphQL documents that deploy/demo/graphql.py sends to Dagster 1.13."""

_ERROR = "className message"
# Dagster's wrapper, the stage's own error, and what that one was raised from: three deep is enough to find the message.
_ERRORS = f"error {{ {_ERROR} cause {{ {_ERROR} cause {{ {_ERROR} cause {{ {_ERROR} }} }} }} }}"

VALUES = (
    "text",
    "floatValue",
    "intValue",
    "path",
    "boolValue",
    "url",
    "jsonString",
)  # of a metadata entry, whichever it has

JOBS = """
query Jobs {
  workspaceOrError {
    __typename
    ... on PythonError { message }
    ... on Workspace {
      locationEntries {
        locationOrLoadError {
          __typename
          ... on PythonError { message }
          ... on RepositoryLocation { name repositories { name jobs { name } } }
        }
      }
    }
  }
}
"""

LAUNCH = """
mutation Launch($parameters: ExecutionParams!) {
  launchRun(executionParams: $parameters) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on Error { message }
  }
}
"""

RUN = """
query Run($id: ID!) {
  runOrError(runId: $id) {
    __typename
    ... on Run { status tags { key value } }
    ... on Error { message }
  }
}
"""

PLAN = """
query Plan($id: ID!) {
  runOrError(runId: $id) {
    __typename
    ... on Run { executionPlan { steps { key inputs { dependsOn { key } } } } }
    ... on Error { message }
  }
}
"""

EVENTS = (
    """
query Events($id: ID!, $cursor: String, $limit: Int) {
  logsForRun(runId: $id, afterCursor: $cursor, limit: $limit) {
    __typename
    ... on Error { message }
    ... on EventConnection {
      cursor
      hasMore
      events {
        __typename
        ... on MessageEvent { message timestamp stepKey }
        ... on ExecutionStepFailureEvent { """
    + _ERRORS
    + """ }
        ... on RunFailureEvent { """
    + _ERRORS
    + """ }
        ... on AssetCheckEvaluationEvent { evaluation { checkName success description } }
        ... on MaterializationEvent {
          assetKey { path }
          metadataEntries {
            label
            ... on TextMetadataEntry { text }
            ... on FloatMetadataEntry { floatValue }
            ... on IntMetadataEntry { intValue }
            ... on PathMetadataEntry { path }
            ... on BoolMetadataEntry { boolValue }
            ... on UrlMetadataEntry { url }
            ... on JsonMetadataEntry { jsonString }
          }
        }
      }
    }
  }
}
"""
)

TERMINATE = """
mutation Terminate($id: String!) {
  terminateRun(runId: $id) {
    __typename
    ... on TerminateRunFailure { message }
    ... on Error { message }
  }
}
"""
