"""How much an engine takes on, and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """How an engine works; times in seconds."""

    max_concurrent_runs: int = 1_000
    """Of 0 it begins none: it inserts runs for others, and only ends those that are cancelled before anybody has them."""
    poll_s: float = 0.2
    takeover_probe_s: float = 1.0
    max_recoveries: int = 10
    cancel_grace_s: float = 5.0
    linger_s: float = 2.0
    max_runs_per_workspace: int = 10_000
    max_events: int = 1_000_000
    max_output_bytes: int = 1_073_741_824
