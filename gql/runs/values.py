"""Small values and enums that runs, nodes and events share."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

import strawberry
from strawberry.scalars import JSON
from strawberry.types.lazy_type import LazyType

from domain import run as domain
from domain.ids import ApiKeyId, Prefix, UserId, WebhookId, to_global
from domain.json_codec import decode
from domain.run import DeltaChannel, NodeRunStatus, RunStatus, SkipReason, TriggerKind, WaitReason
from gql.context import Info
from gql.enums import expose
from gql.lookup import find_node
from gql.users import User, load_users
from gql.webhooks import Webhook, load_webhooks

_API_KEY: Any = LazyType[Any, Any]("ApiKey", "gql.api_keys")

expose(
    RunStatus,
    description="Where a run is in its life.",
    values={
        RunStatus.QUEUED: "Waits for its turn.",
        RunStatus.RUNNING: "Nodes are at work.",
        RunStatus.WAITING: "Nothing works; a time, an answer or a sub-run is awaited.",
        RunStatus.PAUSED: "Stopped by a person for a while; nodes in flight end, none starts.",
        RunStatus.CANCELING: "Asked to stop; nodes in flight are being stopped.",
        RunStatus.SUCCEEDED: "Ended well.",
        RunStatus.FAILED: "Ended because its work failed.",
        RunStatus.CANCELED: "Ended because someone stopped it.",
        RunStatus.CRASHED: "Ended because it lost its process too many times.",
    },
)
expose(
    NodeRunStatus,
    description="Where a node, or one of its items, is in a run.",
    values={
        NodeRunStatus.PENDING: "Not reached yet.",
        NodeRunStatus.RUNNING: "At work.",
        NodeRunStatus.RETRYING: "Failed and will be tried again.",
        NodeRunStatus.WAITING: "Waits for a time, an answer or a sub-run.",
        NodeRunStatus.SUCCEEDED: "Ended well.",
        NodeRunStatus.FAILED: "Failed in all its attempts.",
        NodeRunStatus.SKIPPED: "Left out.",
        NodeRunStatus.CANCELED: "Stopped.",
        NodeRunStatus.REUSED: "Not done again; an earlier run's output stands.",
    },
)
expose(
    TriggerKind,
    description="What starts runs.",
    values={
        TriggerKind.MANUAL: "A person.",
        TriggerKind.API_KEY: "A program with an API key.",
        TriggerKind.SCHEDULE: "A schedule.",
        TriggerKind.WEBHOOK: "A call of a webhook.",
        TriggerKind.SUBWORKFLOW: "A node of another run.",
        TriggerKind.RERUN: "`rerunRun`.",
        TriggerKind.TRY_NODE: "`tryNode`.",
    },
)
expose(
    DeltaChannel,
    description="The kind of a streamed text.",
    values={DeltaChannel.TEXT: "The answer.", DeltaChannel.REASONING: "What the model thinks before it answers."},
)
expose(
    SkipReason,
    description="Why a node is left out.",
    values={
        SkipReason.NO_EDGE_TAKEN: "None of its edges was taken.",
        SkipReason.CONDITION_FALSE: "Its `when` is false.",
        SkipReason.UPSTREAM_FAILED: "A node before it failed and FINISH_BRANCHES is set.",
    },
)
expose(
    WaitReason,
    description="What a node waits for.",
    values={
        WaitReason.TIMER: "A time.",
        WaitReason.APPROVAL: "A person's answer.",
        WaitReason.SUB_RUN: "Another run.",
        WaitReason.RATE_LIMIT: "Room under a rate limit.",
    },
)


@strawberry.type(description="Why a run, a node or an attempt failed.")
class RunError:
    """Why something failed."""

    code: str = strawberry.field(description="Stable code, such as `TIMED_OUT`, `INVALID_RESPONSE` or `HTTP_STATUS`.")
    message: str = strawberry.field(description="For people; secrets are masked.")
    node_key: str | None = strawberry.field(description="Key of the node, if one failed.")
    item_index: int | None = strawberry.field(description="Place of the item under `forEach`.")
    attempt: int | None = strawberry.field(description="The attempt that failed.")
    is_retryable: bool = strawberry.field(description="Whether trying again may help.")

    @classmethod
    def of(cls, failure: domain.Failure) -> RunError:
        """Convert a failure of the domain."""
        return cls(
            code=failure.code,
            message=failure.message,
            node_key=failure.node_key,
            item_index=failure.item_index,
            attempt=failure.attempt,
            is_retryable=failure.is_retryable,
        )

    @classmethod
    def of_optional(cls, failure: domain.Failure | None) -> RunError | None:
        """Convert a failure that may be absent."""
        return None if failure is None else cls.of(failure)


@strawberry.type(description="Tokens and money; all zero where no model was called.")
class Usage:
    """Tokens and money."""

    input_tokens: int = strawberry.field(description="Tokens sent.")
    output_tokens: int = strawberry.field(description="Tokens received.")
    total_tokens: int = strawberry.field(description="Both together.")
    cost: Decimal | None = strawberry.field(description="What they cost; null when no price is known for the model.")
    currency: str | None = strawberry.field(description="ISO 4217 code of the cost.")

    @classmethod
    def of(cls, usage: domain.Usage) -> Usage:
        """Convert usage of the domain."""
        return cls(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            total_tokens=usage.total_tokens,
            cost=usage.cost,
            currency=None if usage.cost is None else usage.currency,
        )


@strawberry.type(description="How far a run is.")
class RunProgress:
    """How far a run is."""

    done: int = strawberry.field(description="Nodes that are settled in any way.")
    total: int = strawberry.field(description="Nodes of the graph.")


@strawberry.type(description="What started a run.")
class RunTrigger:
    """What started a run."""

    user_id: strawberry.Private[UserId | None]
    api_key_id: strawberry.Private[ApiKeyId | None]
    webhook_id: strawberry.Private[WebhookId | None]
    kind: TriggerKind = strawberry.field(description="What kind of start it was.")

    @strawberry.field(description="The person, if one did, also through an API key.")
    async def user(self, info: Info) -> User | None:
        """Load the person."""
        return None if self.user_id is None else await info.context.loaders.load(load_users, self.user_id)

    @strawberry.field(description="The API key, if one was used.", graphql_type=_API_KEY | None)
    async def api_key(self, info: Info) -> object | None:
        """Load the key."""
        return None if self.api_key_id is None else await find_node(info, to_global(Prefix.API_KEY, self.api_key_id))

    @strawberry.field(description="The webhook, unless it was deleted since.")
    async def webhook(self, info: Info) -> Webhook | None:
        """Load the webhook."""
        return None if self.webhook_id is None else await info.context.loaders.load(load_webhooks, self.webhook_id)


def shown(encoded: bytes | None) -> JSON | None:
    """Return stored JSON as a value of the scalar."""
    return None if encoded is None else cast("JSON", decode(encoded))
