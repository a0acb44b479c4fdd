"""The audit log, as owners and admins read it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias
from uuid import UUID

import strawberry
from strawberry.types.lazy_type import LazyType

from domain import audit as domain
from domain.audit import AuditAction, AuditQuery
from domain.errors import InvalidInput
from domain.identity import Permission
from domain.ids import ApiKeyId, AuditEntryId, Prefix, UserId, WorkspaceId, to_global
from domain.ports.paging import Page, PageRequest
from gql.absent import ABSENT, or_none
from gql.context import Context, Info
from gql.enums import expose
from gql.fields import field
from gql.ids import from_id, to_id
from gql.lookup import find_node, register_node
from gql.nodes import Node
from gql.paging import After, Before, Connection, Edge, First, Last, page_request
from gql.runs.lists import DateTimeRange
from gql.users import User, load_users

if TYPE_CHECKING:
    from collections.abc import Sequence

_API_KEY: Any = LazyType[Any, Any]("ApiKey", "gql.api_keys")
_MAX_ID = 200

expose(
    AuditAction,
    description="What the audit log records.",
    values={
        AuditAction.SIGNED_IN: "A sign-in.",
        AuditAction.SIGN_IN_FAILED: "A sign-in that failed.",
        AuditAction.SIGNED_OUT: "A sign-out.",
        AuditAction.PASSWORD_CHANGED: "A new password.",
        AuditAction.REFRESH_REUSED: "A refresh token came twice; its sessions were ended.",
        AuditAction.MEMBER_INVITED: "A member was invited.",
        AuditAction.INVITATION_REVOKED: "An invitation was withdrawn.",
        AuditAction.MEMBER_JOINED: "A member joined.",
        AuditAction.ROLE_CHANGED: "A role changed.",
        AuditAction.MEMBER_REMOVED: "A member was removed.",
        AuditAction.API_KEY_CREATED: "A key was made.",
        AuditAction.API_KEY_ROTATED: "A key was rotated.",
        AuditAction.API_KEY_REVOKED: "A key was revoked.",
        AuditAction.SECRET_WRITTEN: "A secret was made or changed.",
        AuditAction.SECRET_DELETED: "A secret was deleted.",
        AuditAction.CONNECTION_WRITTEN: "A connection was made or changed.",
        AuditAction.CONNECTION_DELETED: "A connection was deleted.",
        AuditAction.WORKFLOW_PUBLISHED: "A workflow was published.",
        AuditAction.WORKFLOW_DELETED: "A workflow was deleted.",
        AuditAction.RUN_DELETED: "A run was deleted.",
        AuditAction.COLLECTION_DELETED: "A collection was deleted.",
        AuditAction.DATA_TABLE_DELETED: "A table was deleted.",
        AuditAction.WEBHOOK_CREATED: "A webhook was made.",
        AuditAction.WEBHOOK_ROTATED: "A webhook got a new URL.",
        AuditAction.WEBHOOK_DELETED: "A webhook was deleted.",
        AuditAction.WORKSPACE_UPDATED: "The workspace's settings changed.",
    },
)


@strawberry.type(description="Who did what.")
class AuditEntry(Node):
    """Who did what."""

    actor_id: strawberry.Private[UserId | None]
    api_key_id: strawberry.Private[ApiKeyId | None]
    id: strawberry.ID = strawberry.field(description="Its id.")
    at: datetime = strawberry.field(description="When it happened.")
    action: AuditAction = strawberry.field(description="What was done.")
    target_id: strawberry.ID | None = strawberry.field(description="The object it was done to; it may be gone.")
    target_name: str | None = strawberry.field(description="The target's name at that time.")
    address: str | None = strawberry.field(description="The network address it came from.")

    @strawberry.field(
        description="Who did it; null for the system, and for a failed sign-in to an unknown account.",
    )
    async def actor(self, info: Info) -> User | None:
        """Load the person."""
        return None if self.actor_id is None else await info.context.loaders.load(load_users, self.actor_id)

    @strawberry.field(description="The API key it was done with, if any.", graphql_type=_API_KEY | None)
    async def api_key(self, info: Info) -> object | None:
        """Load the key."""
        return None if self.api_key_id is None else await find_node(info, to_global(Prefix.API_KEY, self.api_key_id))

    @classmethod
    def of(cls, entry: domain.AuditEntry) -> AuditEntry:
        """Convert an entry of the domain."""
        return cls(
            actor_id=entry.actor_id,
            api_key_id=entry.api_key_id,
            id=to_id(Prefix.AUDIT_ENTRY, entry.id),
            at=entry.at,
            action=entry.action,
            target_id=None if entry.target_id is None else strawberry.ID(entry.target_id),
            target_name=entry.target_name,
            address=entry.address,
        )


@strawberry.type(description="An audit entry on a page.")
class AuditEntryEdge(Edge[AuditEntry]):
    """An audit entry on a page."""

    node: AuditEntry = strawberry.field(description="The audit entry.")


@strawberry.type(description="Audit entries, page by page.")
class AuditEntryConnection(Connection[AuditEntry, AuditEntryEdge]):
    """Audit entries, page by page."""


@strawberry.input(description="Which audit entries.")
class AuditFilter:
    """Which audit entries."""

    actions: list[AuditAction] | None = strawberry.field(default=ABSENT, description="One of these actions.")
    actor_id: strawberry.ID | None = strawberry.field(default=ABSENT, description="Done by this person.")
    target_id: strawberry.ID | None = strawberry.field(default=ABSENT, description="Done to this object.")
    at: DateTimeRange | None = strawberry.field(default=ABSENT, description="Done in this span.")

    def of_domain(self) -> AuditQuery:
        """Convert to the domain's.

        Raises:
            InvalidId: no id of a person.
            InvalidInput: no id at all.
        """
        actor, target, span = or_none(self.actor_id), or_none(self.target_id), self.at or None
        if target is not None and (len(target) > _MAX_ID or not target.isascii() or not target.isprintable()):
            raise InvalidInput("This is no id.", path=["filter", "targetId"])
        return AuditQuery(
            tuple(dict.fromkeys(self.actions or ())),
            None if actor is None else UserId(from_id(Prefix.USER, actor, "filter", "actorId")),
            target,
            None if span is None else or_none(span.from_),
            None if span is None else or_none(span.until),
        )


Filter: TypeAlias = Annotated[AuditFilter | None, strawberry.argument(description="Which of them.")]
_Part: TypeAlias = tuple[WorkspaceId, AuditQuery, PageRequest]


@strawberry.type
class AuditOfWorkspace:
    """What `Workspace` shows of this feature."""

    workspace_id: strawberry.Private[WorkspaceId]

    @field(Permission.ADMIN, description="Who did what, newest first; for owners and admins.")
    async def audit_entries(  # noqa: PLR0917 -- GraphQL names every argument
        self,
        info: Info,
        filter: Filter = ABSENT,  # noqa: A002
        first: First = ABSENT,
        after: After = ABSENT,
        last: Last = ABSENT,
        before: Before = ABSENT,
    ) -> AuditEntryConnection:
        """List the entries."""
        # Here and not with the page: what is asked of several workspaces is one call, and one refusal would be all's.
        info.context.principal.demand(self.workspace_id, Permission.ADMIN)
        query = filter.of_domain() if filter else AuditQuery()
        loaders, workspace_id = info.context.loaders, self.workspace_id
        page = await loaders.load(_load_pages, (workspace_id, query, page_request(first, after, last, before)))
        return AuditEntryConnection.of(page, AuditEntry.of, lambda: loaders.load(_load_counts, (workspace_id, query)))


async def _load_pages(context: Context, parts: list[_Part]) -> Sequence[Page[domain.AuditEntry]]:
    """Read the same part of several workspaces' logs at once."""
    found: dict[_Part, Page[domain.AuditEntry]] = {}
    for query, request in dict.fromkeys((query, request) for _, query, request in parts):
        wanted = [each for each, *part in parts if part == [query, request]]
        pages = await context.services.audit.pages(context.principal, wanted, query, request)
        found |= {(workspace_id, query, request): page for workspace_id, page in pages.items()}
    return [found[part] for part in parts]


async def _load_counts(context: Context, parts: list[tuple[WorkspaceId, AuditQuery]]) -> Sequence[int]:
    found: dict[tuple[WorkspaceId, AuditQuery], int] = {}
    for query in dict.fromkeys(query for _, query in parts):
        wanted = [workspace_id for workspace_id, each in parts if each == query]
        counts = await context.services.audit.counts(context.principal, wanted, query)
        found |= {(workspace_id, query): count for workspace_id, count in counts.items()}
    return [found[part] for part in parts]


async def _load_entries(context: Context, entry_ids: list[AuditEntryId]) -> Sequence[AuditEntry | None]:
    found = await context.services.audit.list_by_id(context.principal, entry_ids)
    return [AuditEntry.of(found[entry_id]) if entry_id in found else None for entry_id in entry_ids]


async def _find(info: Info, entry_id: UUID) -> AuditEntry | None:
    return await info.context.loaders.load(_load_entries, AuditEntryId(entry_id))


register_node(Prefix.AUDIT_ENTRY, _find)
