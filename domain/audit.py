"""The audit log: who did what to what."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from domain.identity import Principal
    from domain.ids import ApiKeyId, AuditEntryId, UserId, WorkspaceId


class AuditAction(StrEnum):
    """What the audit log records."""

    SIGNED_IN = "SIGNED_IN"
    SIGN_IN_FAILED = "SIGN_IN_FAILED"
    SIGNED_OUT = "SIGNED_OUT"
    PASSWORD_CHANGED = "PASSWORD_CHANGED"  # noqa: S105 -- what was done, no password
    REFRESH_REUSED = "REFRESH_REUSED"
    MEMBER_INVITED = "MEMBER_INVITED"
    INVITATION_REVOKED = "INVITATION_REVOKED"
    MEMBER_JOINED = "MEMBER_JOINED"
    ROLE_CHANGED = "ROLE_CHANGED"
    MEMBER_REMOVED = "MEMBER_REMOVED"
    API_KEY_CREATED = "API_KEY_CREATED"
    API_KEY_ROTATED = "API_KEY_ROTATED"
    API_KEY_REVOKED = "API_KEY_REVOKED"
    SECRET_WRITTEN = "SECRET_WRITTEN"  # noqa: S105 -- what was done, no secret
    SECRET_DELETED = "SECRET_DELETED"  # noqa: S105 -- what was done, no secret
    CONNECTION_WRITTEN = "CONNECTION_WRITTEN"
    CONNECTION_DELETED = "CONNECTION_DELETED"
    WORKFLOW_PUBLISHED = "WORKFLOW_PUBLISHED"
    WORKFLOW_DELETED = "WORKFLOW_DELETED"
    RUN_DELETED = "RUN_DELETED"
    COLLECTION_DELETED = "COLLECTION_DELETED"
    DATA_TABLE_DELETED = "DATA_TABLE_DELETED"
    WEBHOOK_CREATED = "WEBHOOK_CREATED"
    WEBHOOK_ROTATED = "WEBHOOK_ROTATED"
    WEBHOOK_DELETED = "WEBHOOK_DELETED"
    WORKSPACE_UPDATED = "WORKSPACE_UPDATED"


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody does: it goes into the log in the transaction in which it is done, or is not done at all."""

    action: AuditAction
    at: datetime
    actor_id: UserId
    by: Principal | None = None
    """Whose credential and role have to stand still when it is done; None where nobody has to be signed in."""
    target_id: str | None = None
    target_name: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of a workspace's log; `target_id` is a global id, whose object may be gone."""

    id: AuditEntryId
    workspace_id: WorkspaceId
    at: datetime
    action: AuditAction
    actor_id: UserId | None
    api_key_id: ApiKeyId | None = None
    target_id: str | None = None
    target_name: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which entries: all that is given must hold."""

    actions: tuple[AuditAction, ...] = ()
    actor_id: UserId | None = None
    target_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
