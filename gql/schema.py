"""The schema: features contribute a mixin to each root, and the errors of every answer pass through here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import strawberry
from graphql import GraphQLInputObjectType, lexicographic_sort_schema, print_schema
from strawberry.exceptions import DuplicatedTypeName
from strawberry.schema.config import StrawberryConfig

from domain.errors import SetupFault
from gql.api_keys import ApiKeyMutation
from gql.approvals.fields import ApprovalMutation, ApprovalQueries
from gql.collections.fields import CollectionMutation, CollectionQuery, CollectionSubscription
from gql.connections import ConnectionMutation
from gql.data_tables import DataTableMutation, DataTableQuery
from gql.errors import USER_ERROR_TYPES
from gql.graph_edits import GraphEditMutation
from gql.identity import IdentityMutation, IdentityQuery
from gql.limits import Documents, Guard
from gql.member_changes import MemberMutation
from gql.nodes import NodesQuery
from gql.palette import PaletteQuery
from gql.presenting import present
from gql.previews import PreviewQuery
from gql.runs.event_types import EVENT_TYPES
from gql.runs.fields import RunMutation, RunQueries, RunSubscription
from gql.runs.removal import RunRemovalMutation
from gql.runs.reruns import RerunMutation
from gql.runs.starts import RunStartMutation
from gql.runs.steering import SteeringMutation
from gql.scalars import SCALARS
from gql.secrets import SecretMutation
from gql.server import ServerQuery, ServerSubscription
from gql.versions import VersionMutation
from gql.webhooks import WebhookMutation
from gql.workflow_changes import WorkflowSubscription
from gql.workflow_files import WorkflowFileMutation
from gql.workflows import WorkflowMutation, WorkflowQuery
from gql.workspace_changes import WorkspaceMutation
from gql.workspaces import WorkspaceQuery
from runtime.settings import Settings

if TYPE_CHECKING:
    from graphql import GraphQLError
    from strawberry.types import ExecutionContext

# A feature adds its mixins to these three, and types that only an interface leads to to the fourth.
QUERIES: tuple[type[Any], ...] = (
    ServerQuery,
    NodesQuery,
    IdentityQuery,
    WorkspaceQuery,
    PaletteQuery,
    WorkflowQuery,
    PreviewQuery,
    RunQueries,
    ApprovalQueries,
    DataTableQuery,
    CollectionQuery,
)
MUTATIONS: tuple[type[Any], ...] = (
    IdentityMutation,
    WorkspaceMutation,
    MemberMutation,
    SecretMutation,
    ConnectionMutation,
    WorkflowMutation,
    VersionMutation,
    GraphEditMutation,
    WorkflowFileMutation,
    RunStartMutation,
    RunMutation,
    SteeringMutation,
    ApprovalMutation,
    RerunMutation,
    RunRemovalMutation,
    DataTableMutation,
    CollectionMutation,
    ApiKeyMutation,
    WebhookMutation,
)
SUBSCRIPTIONS: tuple[type[Any], ...] = (
    ServerSubscription,
    WorkflowSubscription,
    RunSubscription,
    CollectionSubscription,
)
TYPES: tuple[type[Any], ...] = (*USER_ERROR_TYPES, *EVENT_TYPES)


class Schema(strawberry.Schema):
    """Strawberry's schema, with this server's limits and manners."""

    def __init__(self, *, settings: Settings, **parts: Any) -> None:
        documents = Documents()
        super().__init__(  # pyright: ignore[reportUnknownMemberType] - Strawberry's directives are generic and not said of what
            **parts,
            config=StrawberryConfig(scalar_map=SCALARS),
            extensions=[lambda: Guard(settings.api, documents)],
        )
        self._has_suggestions = settings.is_development
        # Strawberry keeps `@oneOf` in its own definitions; graphql-core prints and validates by its own mark.
        for kind in self._schema.type_map.values():
            definition = kind.extensions.get("strawberry-definition")
            if isinstance(kind, GraphQLInputObjectType) and getattr(definition, "is_one_of", False):
                kind.is_one_of = True

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Replace the errors of a result by what a client may know; Strawberry calls this once for each result.

        The stock method logs every client's mistake with its document; here only what is masked is logged, once.
        """
        name = execution_context.operation_name if execution_context is not None else None
        errors[:] = [present(error, has_suggestions=self._has_suggestions, operation_name=name) for error in errors]


def build_schema(settings: Settings) -> Schema:
    """Return the schema of all features, with the limits of these settings.

    Raises:
        SetupFault: a plug-in calls a type of its configuration as one of ours is called.
    """
    try:
        return _schema(settings)
    except DuplicatedTypeName as error:
        advice = "Only a plug-in can have brought the second one: rename it there, or uninstall the plug-in."
        raise SetupFault(f"{error.message}. {advice}") from error


def _schema(settings: Settings) -> Schema:
    return Schema(
        settings=settings,
        query=_root(
            "Query",
            "Reading. Whoever is not signed in can read `viewer`, `server`, `nodeKinds` and `node` (which is then null).",
            QUERIES,
        ),
        mutation=_root(
            "Mutation",
            "Changing. Every field takes one `input` and gives a payload; what the caller can correct is in "
            "`userErrors`.",
            MUTATIONS,
        )
        if MUTATIONS
        else None,
        subscription=_root(
            "Subscription", "Watching, over graphql-transport-ws or as a stream over HTTP.", SUBSCRIPTIONS
        ),
        types=TYPES,
    )


def schema_text() -> str:
    """Return the public schema as text, sorted."""
    schema = build_schema(Settings(_env_file=None))  # pyright: ignore[reportCallIssue]
    return print_schema(lexicographic_sort_schema(schema._schema)) + "\n"  # noqa: SLF001 - the only way to graphql-core's


def _root(name: str, description: str, mixins: tuple[type[Any], ...]) -> type[Any]:
    return strawberry.type(type(name, mixins, {}), description=description)


if __name__ == "__main__":
    print(schema_text(), end="")  # noqa: T201 - printing is what it is for
