"""Whether a failed attempt is tried again, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from domain.bounds import Count  # noqa: TC001 -- pydantic reads it

if TYPE_CHECKING:
    from domain.errors import NodeFault


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """Try again after `delay_s` seconds; None = do not."""

    delay_s: float | None


GIVE_UP = RetryDecision(None)


class RetryPolicy(BaseModel):
    """How failures are retried; times in milliseconds. Names are Temporal's."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    initial_interval_ms: Annotated[int, Field(ge=1, le=86_400_000)] = 1_000
    backoff_coefficient: Annotated[float, Field(ge=1, le=100)] = 2.0
    maximum_interval_ms: Count | None = None
    maximum_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    has_jitter: bool = True
    non_retryable_errors: Annotated[tuple[str, ...], Field(max_length=50)] = ()

    @model_validator(mode="after")
    def _the_longest_wait_is_not_shorter_than_the_first(self) -> RetryPolicy:
        if self.maximum_interval_ms is not None and self.maximum_interval_ms < self.initial_interval_ms:
            raise ValueError("maximumIntervalMs is shorter than initialIntervalMs")
        return self

    @property
    def longest_wait_ms(self) -> int:
        """The longest wait: as configured, else 100 times the first."""
        return self.maximum_interval_ms or 100 * self.initial_interval_ms

    def decide(self, tries: int, error: NodeFault, random: float) -> RetryDecision:
        """Decide after the failed attempt number `tries` (from 1); `random` is drawn from [0, 1).

        With jitter the wait lies in [½, 1] of the full one. A Retry-After of the error is obeyed: it is the least wait.
        """
        if not error.is_retryable or error.code in self.non_retryable_errors or tries >= self.maximum_attempts:
            return GIVE_UP
        full_ms = min(self.initial_interval_ms * self.backoff_coefficient ** min(tries - 1, 60), self.longest_wait_ms)
        wait_ms = full_ms * (0.5 + random / 2) if self.has_jitter else full_ms
        return RetryDecision(max(wait_ms / 1_000, error.retry_after_s or 0.0))
