"""Faults in one sentence, for people."""

from __future__ import annotations

import os
import traceback
from typing import cast

from domain.errors import AnabranchError


def explain(error: BaseException) -> str:
    """Return what went wrong; of several things at once the first: it is the cause, or as good as that."""
    if isinstance(error, BaseExceptionGroup):
        return explain(next(iter(cast("BaseExceptionGroup[BaseException]", error).exceptions)))
    if isinstance(error, AnabranchError):
        return error.message
    if os.environ.get("ANABRANCH_TRACEBACK"):
        traceback.print_exception(error)
    return f"{type(error).__name__}: {error} (a fault of Anabranch; ANABRANCH_TRACEBACK=1 shows where)"
