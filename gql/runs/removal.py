"""Deleting runs."""

from __future__ import annotations

from typing import Annotated

import strawberry

from domain.identity import Permission
from domain.ids import Prefix, RunId
from gql.context import Info
from gql.fields import mutation
from gql.ids import from_id, to_id
from gql.payloads import Payload


@strawberry.input(description="What `deleteRun` takes.")
class DeleteRunInput:
    """What `deleteRun` takes."""

    id: strawberry.ID = strawberry.field(description="Which run.")


@strawberry.type(description="What `deleteRun` gives.")
class DeleteRunPayload(Payload):
    """What `deleteRun` gives."""

    deleted_run_id: strawberry.ID | None = strawberry.field(default=None, description="Id of the run that is gone.")


@strawberry.type
class RunRemovalMutation:
    """Deleting runs."""

    @mutation(
        Permission.WRITE,
        description="Deletes a finished run with its log, inputs and outputs, and with the runs that it called; refused for "
        "one that another run called.",
    )
    async def delete_run(
        self,
        info: Info,
        input: Annotated[DeleteRunInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> DeleteRunPayload:
        """Delete a run."""
        run_id = RunId(from_id(Prefix.RUN, input.id, "input", "id"))
        await info.context.services.run_removal.delete(info.context.principal, run_id)
        return DeleteRunPayload(deleted_run_id=to_id(Prefix.RUN, run_id))
