"""The terms of a start as they stand on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from gql.client.faults import ClientFault

if TYPE_CHECKING:
    from domain.json_value import Json


class OnConflict(StrEnum):
    """What a start does whose key stands for a run already."""

    USE_EXISTING = "use-existing"
    FAIL = "fail"
    CANCEL_EXISTING = "cancel-existing"


@dataclass(frozen=True, slots=True)
class Terms:
    """How a run is started; what is absent is the server's to say."""

    key: str | None = None
    on_conflict: OnConflict | None = None
    priority: int | None = None
    concurrency_key: str | None = None
    labels: tuple[str, ...] = ()
    """Each `name=value`."""

    def fields(self) -> dict[str, Json]:
        """Return the terms as `StartRunInput` has them.

        Raises:
            ClientFault: a label is not `name=value`.
        """
        fields: dict[str, Json] = {
            "idempotencyKey": self.key,
            "onConflict": None if self.on_conflict is None else self.on_conflict.name,
            "priority": self.priority,
            "concurrencyKey": self.concurrency_key,
            "labels": [_label(pair) for pair in self.labels] or None,
        }
        return {name: value for name, value in fields.items() if value is not None}


NO_TERMS = Terms()


def _label(pair: str) -> Json:
    name, separator, value = pair.partition("=")
    if not name or not separator:
        raise ClientFault(f"--label {pair!r} is not of the form name=value.")
    return {"name": name, "value": value}
