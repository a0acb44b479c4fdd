"""What the values of a configuration's enums mean: the texts under them in the source."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from itertools import pairwise
from textwrap import dedent
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping
    from enum import Enum


@cache
def texts_of(enum: type[Enum]) -> Mapping[Enum, str]:
    """Return the text under each value; a value without one is left out."""
    body = cast("ast.ClassDef", ast.parse(dedent(inspect.getsource(enum))).body[0]).body
    texts: dict[str, str] = {}
    for statement, below in pairwise(body):
        match statement, below:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(text))):
                texts[name] = inspect.cleandoc(text)
            case _:
                pass
    values: Any = enum
    return {value: texts[value.name] for value in values if value.name in texts}
