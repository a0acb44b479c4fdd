"""What a run shows of how it was started."""

from __future__ import annotations

import strawberry

from domain import run as domain
from domain.kinds import NameValue as Label
from gql.kinds import NameValue


@strawberry.type
class TermsOfRun:
    """What `Run` shows of the terms of its start."""

    run: strawberry.Private[domain.Run]

    @strawberry.field(description="1 (first) to 5 (last); 3 unless said otherwise.")
    def priority(self) -> int:
        """Tell the priority."""
        return self.run.priority

    @strawberry.field(description="Runs with the same key share the limit of the workflow's `concurrency`.")
    def concurrency_key(self) -> str | None:
        """Tell the key."""
        return self.run.concurrency_key

    @strawberry.field(description="The key that `startRun` was called with.")
    def idempotency_key(self) -> str | None:
        """Tell the key."""
        return self.run.idempotency_key

    @strawberry.field(description="What the starter noted on it, to find it again; at most 50.")
    def labels(self) -> list[NameValue]:
        """List the labels."""
        # What is shown are the instances of the model that the type is derived from.
        return [Label.model_construct(name=name, value=value) for name, value in self.run.labels]
