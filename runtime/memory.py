"""How the process collects garbage."""

from __future__ import annotations

import gc


def tune_collector() -> None:
    """Collect less often: a server holds many objects that live long, and every collection walks through them.

    What exists at the start (modules, the schema) is taken out of the collector's sight altogether.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
