"""Limits and policies of a workflow's runs, and what a run returns."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

import strawberry
from strawberry.scalars import JSON

from domain import workflow as domain
from domain.workflow import ConcurrencyStrategy, FailurePolicy
from gql.absent import ABSENT
from gql.enums import expose
from gql.graphs import plain
from gql.scalars import write_decimal

expose(
    FailurePolicy,
    description="What a failed node does to the other branches.",
    values={
        FailurePolicy.FAIL_FAST: "Nodes in flight are canceled and the run fails at once.",
        FailurePolicy.FINISH_BRANCHES: "Independent branches end first; what lies behind the failed node is skipped.",
    },
)
expose(
    ConcurrencyStrategy,
    description="What happens to a run above the limit.",
    values={
        ConcurrencyStrategy.QUEUE: "It waits its turn.",
        ConcurrencyStrategy.CANCEL_IN_PROGRESS: "The oldest run in progress is canceled for it.",
        ConcurrencyStrategy.CANCEL_NEWEST: "It is canceled itself.",
    },
)


@strawberry.type(description="One named value of a run's output.")
class OutputField:
    """One named value of a run's output."""

    name: str = strawberry.field(description="Name in the output object.")
    value: JSON | None = strawberry.field(
        description="A template; `{{ nodes.answer.output.text }}` keeps the type of the value."
    )


@strawberry.type(description="How many runs of a workflow work at once.")
class ConcurrencyPolicy:
    """How many runs of a workflow work at once."""

    key: str | None = strawberry.field(
        description="A template over the input that groups runs, such as `{{ input.customer }}`; null = all together."
    )
    max_runs: int = strawberry.field(description="Runs at once in each group.")
    strategy: ConcurrencyStrategy = strawberry.field(description="What happens to one more.")


@strawberry.type(description="Limits and policies of a workflow's runs.")
class WorkflowSettings:
    """Limits and policies of a workflow's runs."""

    timeout_ms: int | None = strawberry.field(
        description="The longest time of a run, waiting included; null = no limit."
    )
    max_parallel_nodes: int = strawberry.field(description="How many nodes of one run work at once.")
    failure_policy: FailurePolicy = strawberry.field(description="What a failed node does to the other branches.")
    concurrency: ConcurrencyPolicy | None = strawberry.field(
        description="How many runs work at once; null = no limit of its own."
    )
    max_tool_rounds: int = strawberry.field(description="How many times a model may call tools within one node.")
    max_tokens: int | None = strawberry.field(description="Tokens that one run may use; null = no limit.")
    max_cost: Decimal | None = strawberry.field(description="What one run may cost; null = no limit.")

    @classmethod
    def of(cls, settings: domain.WorkflowSettings) -> WorkflowSettings:
        """Convert settings of the domain."""
        limit = settings.concurrency
        return cls(
            timeout_ms=settings.timeout_ms,
            max_parallel_nodes=settings.max_parallel_nodes,
            failure_policy=settings.failure_policy,
            concurrency=ConcurrencyPolicy(**dict(limit)) if limit else None,
            max_tool_rounds=settings.max_tool_rounds,
            max_tokens=settings.max_tokens,
            max_cost=None if settings.max_cost is None else Decimal(settings.max_cost),
        )


@strawberry.input(description="One named value of a run's output.")
class OutputFieldInput:
    """One named value of a run's output."""

    name: str = strawberry.field(description="Name in the output object.")
    value: JSON | None = strawberry.field(default=ABSENT, description="A template.")


@strawberry.input(description="How many runs of a workflow work at once.")
class ConcurrencyPolicyInput:
    """How many runs of a workflow work at once."""

    key: str | None = strawberry.field(
        default=ABSENT, description="A template over the input that groups runs; null = all together."
    )
    max_runs: int = strawberry.field(description="Runs at once in each group.")
    strategy: ConcurrencyStrategy = strawberry.field(
        default=ConcurrencyStrategy.QUEUE, description="What happens to one more."
    )


@strawberry.input(description="Limits and policies of a workflow's runs.")
class WorkflowSettingsInput:
    """Limits and policies of a workflow's runs."""

    timeout_ms: strawberry.Maybe[int | None] = strawberry.field(
        description="The longest time of a run, waiting included; null = no limit."
    )
    max_parallel_nodes: strawberry.Maybe[int | None] = strawberry.field(
        description="How many nodes of one run work at once, 1 to 500; 16 unless set."
    )
    failure_policy: strawberry.Maybe[FailurePolicy | None] = strawberry.field(
        description="What a failed node does to the other branches; FAIL_FAST unless set."
    )
    concurrency: strawberry.Maybe[ConcurrencyPolicyInput | None] = strawberry.field(
        description="How many runs work at once; null = no limit of its own."
    )
    max_tool_rounds: strawberry.Maybe[int | None] = strawberry.field(
        description="How many times a model may call tools within one node, 0 to 50; 8 unless set."
    )
    max_tokens: strawberry.Maybe[int | None] = strawberry.field(
        description="Tokens that one run may use; null = no limit."
    )
    max_cost: strawberry.Maybe[Decimal | None] = strawberry.field(description="What one run may cost; null = no limit.")

    def patch(self) -> dict[str, Any]:
        """Return the fields that were given, as `WorkflowChange.settings` takes them."""
        given = {
            "timeoutMs": self.timeout_ms,
            "maxParallelNodes": self.max_parallel_nodes,
            "failurePolicy": self.failure_policy,
            "concurrency": self.concurrency,
            "maxToolRounds": self.max_tool_rounds,
            "maxTokens": self.max_tokens,
            "maxCost": self.max_cost,
        }
        return {name: _patched(value.value) for name, value in given.items() if value}


def _patched(value: Any) -> Any:
    return write_decimal(value) if isinstance(value, Decimal) else plain(value)


def output_fields(output: tuple[domain.OutputField, ...]) -> list[OutputField]:
    """Convert an output mapping of the domain."""
    return [OutputField(name=one.name, value=cast("JSON", one.value)) for one in output]
