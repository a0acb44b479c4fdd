"""What is wrong with a node kind: plug-ins are written elsewhere, so their kinds are looked at before they are taken."""

from __future__ import annotations

import inspect
import re
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic.alias_generators import to_camel

from domain.config_fields import fields_of
from domain.enum_texts import texts_of
from domain.kinds import Config, Output
from domain.workflow import GraphNode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from domain.config_fields import ConfigField
    from domain.kinds import NodeKind

_KIND: Final = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
_TAKEN: Final = frozenset(info.alias or name for name, info in GraphNode.model_fields.items())
"""Words that stand beside the kind's field where a node is written."""
_SCALARS: Final = (str, int, float, bool)
_SHAPES: Final = "a text, a number, true or false, a StrEnum, a Config, a list of these, or Any marked JSON_FIELD"


def faults_of(kind: NodeKind) -> list[str]:
    """Return what a kind lacks to become part of the schema and of workflows, in sentences; empty when it is sound."""
    return [*_of_names(kind), *_of_code(kind), *_of_models(kind)]


def clash_of(kind: NodeKind, others: Iterable[NodeKind]) -> str | None:
    """Return which name a sound kind has in common with the others, in a sentence; None if there is none."""
    models = {model.__name__: model for model in models_of(kind)}
    for other in others:
        if kind.kind == other.kind:
            return f"There is a kind {kind.kind} already."
        for model in models_of(other):
            if models.get(model.__name__, model) is not model:
                return f"{other.kind} has a type {model.__name__} already; in the schema a name means one thing."
    return None


def models_of(kind: NodeKind) -> tuple[type[Any], ...]:
    """Return all classes that the kind brings into the schema: its configuration, what is nested there, and enums.

    Raises:
        TypeError: a field has no GraphQL shape.
    """
    found: dict[type[Any], None] = {}
    _collect(kind.config, found)
    return tuple(found)


def _of_names(kind: NodeKind) -> Iterator[str]:
    if not _KIND.fullmatch(kind.kind) or kind.kind == "UNKNOWN":
        yield f"`kind` is {kind.kind!r}; it is written like HTTP_REQUEST."
    elif kind.name != to_camel(kind.kind.lower()) or kind.name in _TAKEN:
        taken = " (a word that every node has already)" if kind.name in _TAKEN else ""
        yield f"`name` is {kind.name!r}{taken}; it is `kind` in camelCase, like httpRequest of HTTP_REQUEST."
    yield from (f"`{one}` is empty." for one in ("title", "description") if not getattr(kind, one))


def _of_code(kind: NodeKind) -> Iterator[str]:
    if not inspect.iscoroutinefunction(kind.run):
        yield "`run` is no `async def`."
    if kind.output is not None and not _is_a(kind.output, Output):
        yield "`output` is no subclass of Output, and not None."
    codes = [code.code for code in kind.error_codes]
    yield from (f"The error code {code} is there twice." for code in sorted({c for c in codes if codes.count(c) > 1}))
    if "error" in kind.ports or not kind.ports:
        yield "`ports` has one port at least, and never `error`, which every node may have."


def _of_models(kind: NodeKind) -> Iterator[str]:
    if not _is_a(kind.config, Config):
        yield "`config` is no subclass of Config."
        return
    try:
        models = models_of(kind)
    except TypeError as error:
        yield f"{error} A field is {_SHAPES}."
        return
    for model in models:
        yield from _undescribed(model)
    nested = {model for model in models if _is_a(model, Config)} - {kind.config}
    if nested != set(kind.nested):
        yield f"`nested` names {_listed(kind.nested)}, and the configuration has {_listed(nested)}."
    if _is_a(kind.output, Output):
        yield from _undescribed(cast("type[Output]", kind.output))


def _undescribed(model: type[Any]) -> Iterator[str]:
    if not vars(model).get("__doc__"):
        yield f"{model.__name__} has no docstring."
    if issubclass(model, Enum):
        texts = texts_of(model)
        yield from (f"{model.__name__}.{one.name} has no text under it." for one in model if one not in texts)
        return
    fields = model.model_fields.items()
    yield from (f"{model.__name__}.{name} has no docstring." for name, info in fields if not info.description)


def _collect(model: type[Any], found: dict[type[Any], None]) -> None:
    if model in found:
        return
    found[model] = None
    if issubclass(model, Config):
        for one in fields_of(model):
            if not one.is_json and _checked(model, one) not in _SCALARS:
                _collect(one.type, found)


def _checked(model: type[Config], one: ConfigField) -> type[Any]:
    if one.type in _SCALARS or _is_a(one.type, Config) or _is_a(one.type, Enum):
        return one.type
    raise TypeError(f"{model.__name__}.{one.name} has no GraphQL shape: {one.type}.")


def _is_a(one: object, model: type[Any]) -> bool:
    return isinstance(one, type) and issubclass(one, model)


def _listed(models: Any) -> str:
    return ", ".join(sorted(model.__name__ for model in models)) or "nothing"
