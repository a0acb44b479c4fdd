"""A scope for templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.expressions import compile_template

if TYPE_CHECKING:
    from collections.abc import Mapping

SCOPE: Mapping[str, Any] = {
    "input": {
        "name": "Ada",
        "count": 3,
        "price": 2.5,
        "none": None,
        "yes": True,
        "list": [3, 1, 2],
        "people": [{"name": "Ada", "age": 36}, {"name": "Alan", "age": 41}],
        "template": "{{ 7*7 }}",
        "html": "<b>&</b>",
        "items": "own",
        "big": "a" * (4 * 1_048_576),
    },
    "nodes": {"find": {"output": {"matches": [{"text": "one"}, {"text": "two"}]}}, "a-b": {"output": 1}},
    "secrets": {"KEY": "hush-hush"},
    "item": 5,
}


def render(source: str, scope: Mapping[str, Any] = SCOPE) -> Any:
    """Compile and render."""
    return compile_template(source).render(scope)
