"""What templates are compiled to, and how each form is rendered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from minijinja import TemplateError

from domain.errors import TemplateFault
from domain.template_data import MAX_TEXT_BYTES, environment, plain, rendering, to_text, view

if TYPE_CHECKING:
    from domain.json_value import Json
    from domain.template_syntax import Reference

_TOO_LARGE = f"The text is larger than {MAX_TEXT_BYTES} bytes."
_NOTHING: frozenset[Reference] = frozenset()
_MISSING = object()


class Template(Protocol):
    """A compiled template; immutable, and usable from any thread."""

    @property
    def references(self) -> frozenset[Reference]:
        """The values it uses, as paths such as `("nodes", "find", "output", "matches")`, up to the first number.

        `nodes['find']` counts as `nodes.find`; `("nodes",)` alone means that `nodes` is used as a whole or with a key that
        is computed, and likewise for `("secrets",)`.
        """
        ...

    @property
    def is_constant(self) -> bool:
        """Whether it renders to itself."""
        ...

    def render(self, scope: Mapping[str, Json]) -> Json:
        """Return the value in this scope, which is read and never changed.

        Raises:
            TemplateFault: something is undefined or does not fit, or a limit is reached; never shows values.
        """
        ...


@dataclass(frozen=True, slots=True)
class ConstantForm:
    """A value without templates."""

    value: Json
    references: frozenset[Reference] = _NOTHING
    is_constant: bool = True

    def render(self, scope: Mapping[str, Json]) -> Json:
        """Return the value in this scope."""
        del scope
        return self.value


@dataclass(frozen=True, slots=True)
class PathForm:
    """`a.b[0].c`: by far the most frequent expression; followed here, 20 times faster than by evaluating it."""

    steps: tuple[str | int, ...]
    references: frozenset[Reference]
    line: int
    is_constant: bool = False

    def render(self, scope: Mapping[str, Json]) -> Json:
        """Return the value in this scope."""
        value = _follow(self.steps, scope)
        if value is _MISSING:
            raise TemplateFault(_undefined(self.steps, scope), line=self.line)
        return cast("Json", value)

    evaluate = render


@dataclass(frozen=True, slots=True)
class ExpressionForm:
    """Any other expression, evaluated by minijinja.

    `leaves` are the paths in it, which take the place of names: without `if`, `and` and `or` all of them are needed, so they
    are followed beforehand, at a quarter of the cost of letting minijinja ask for each step. With them it asks.
    """

    source: str
    references: frozenset[Reference]
    line: int
    has_fallback: bool
    leaves: tuple[tuple[str, tuple[str | int, ...]], ...] | None
    is_constant: bool = False

    def render(self, scope: Mapping[str, Json]) -> Json:
        """Return the value in this scope."""
        rendering.begin()
        return self.evaluate(scope)

    def evaluate(self, scope: Mapping[str, Json]) -> Json:
        """Render as a part of a rendering under way."""
        try:
            names = _narrow(self, scope) if self.leaves is None else _resolve(self.leaves, scope, self.has_fallback)
            value = plain(environment().eval_expr(self.source, **names))
        except Exception as error:  # noqa: BLE001 - whatever a view or a filter raised comes through minijinja
            raise _fault(error, self.references, scope, self.line) from None
        # minijinja gives None for what is undefined; only when nobody asked whether it is there, that is a mistake.
        if rendering.missing is not None and not self.has_fallback:
            raise TemplateFault(_missing(self.references, scope), line=self.line)
        return value


@dataclass(frozen=True, slots=True)
class JoinedForm:
    """Texts and expressions in turn."""

    pieces: tuple[str | PathForm | ExpressionForm, ...]
    references: frozenset[Reference]
    is_constant: bool = False

    def render(self, scope: Mapping[str, Json]) -> Json:
        """Return the value in this scope."""
        texts: list[str] = []
        left = MAX_TEXT_BYTES
        rendering.begin()
        for piece in self.pieces:
            text = piece if isinstance(piece, str) else to_text(piece.evaluate(scope))
            left -= len(text)
            if left < 0:
                raise TemplateFault(_TOO_LARGE)
            texts.append(text)
        joined = "".join(texts)
        _check_size(joined)
        return joined


@dataclass(frozen=True, slots=True)
class StatementsForm:
    """A text with statements, rendered by minijinja."""

    source: str
    references: frozenset[Reference]
    has_fallback: bool
    is_constant: bool = False

    def render(self, scope: Mapping[str, Json]) -> Json:
        """Return the value in this scope."""
        rendering.begin()
        try:
            text = environment().render_str(self.source, **_narrow(self, scope))
        except Exception as error:  # noqa: BLE001 - as above
            raise _fault(error, self.references, scope, 1) from None
        _check_size(text)
        return text


@dataclass(frozen=True, slots=True)
class ObjectForm:
    """An object with templates in it."""

    fields: tuple[tuple[str, Template], ...]
    references: frozenset[Reference]
    is_constant: bool = False

    def render(self, scope: Mapping[str, Json]) -> Json:
        """Return the value in this scope."""
        return {name: value.render(scope) for name, value in self.fields}


@dataclass(frozen=True, slots=True)
class ListForm:
    """A list with templates in it."""

    items: tuple[Template, ...]
    references: frozenset[Reference]
    is_constant: bool = False

    def render(self, scope: Mapping[str, Json]) -> Json:
        """Return the value in this scope."""
        return [item.render(scope) for item in self.items]


# ── rendering ──


def _follow(steps: tuple[str | int, ...], scope: Mapping[str, Json]) -> object:
    value: Any = scope
    for step in steps:
        kind = cast("object", type(value))
        if kind is dict or kind is list or isinstance(value, Mapping):
            try:
                value = cast("Any", value[step])
            except (KeyError, IndexError, TypeError):
                return _MISSING
        else:
            return _MISSING
    return value


def _resolve(
    leaves: tuple[tuple[str, tuple[str | int, ...]], ...], scope: Mapping[str, Json], has_fallback: bool
) -> dict[str, object]:
    names: dict[str, object] = {}
    for name, steps in leaves:
        value = _follow(steps, scope)
        if value is not _MISSING:
            names[name] = view(value)
        elif not has_fallback:
            raise TemplateFault(_undefined(steps, scope))
    return names


def _narrow(template: ExpressionForm | StatementsForm, scope: Mapping[str, Json]) -> dict[str, object]:
    """Return what the template names and nothing else."""
    names: dict[str, object] = {}
    for reference in template.references:
        root = reference[0]
        if root in scope:
            names[root] = view(scope[root])
        elif not template.has_fallback:
            raise TemplateFault(_undefined((root,), scope))
    return names


def _check_size(text: str) -> None:
    is_long = len(text) > MAX_TEXT_BYTES // 4  # no character takes more than four bytes
    if is_long and len(text.encode(errors="replace")) > MAX_TEXT_BYTES:
        raise TemplateFault(_TOO_LARGE)


def _undefined(steps: tuple[str | int, ...], scope: Mapping[str, Json]) -> str:
    """Say where a path ends."""
    ends = next((end for end in range(1, len(steps)) if _follow(steps[:end], scope) is _MISSING), len(steps))
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps[:ends])
    return f"`{path.removeprefix('.')}` is undefined."


def _missing(references: frozenset[Reference], scope: Mapping[str, Json]) -> str:
    for reference in sorted(references):
        if _follow(reference, scope) is _MISSING:
            return _undefined(reference, scope)
    return "A value is undefined."


_MESSAGES = {
    "OutOfFuel": "The template takes too many steps.",
    "TemplateNotFound": "A template cannot take in another.",
    "BadEscape": "A text has an escape that is none.",
}
_TELLING = frozenset({"UnknownFilter", "UnknownFunction", "UnknownTest", "UnknownMethod"})


def _fault(error: Exception, references: frozenset[Reference], scope: Mapping[str, Json], line: int) -> TemplateFault:
    """Return what went wrong without what minijinja and Python tell of values."""
    if rendering.fault is not None:
        error = rendering.fault
    if isinstance(error, TemplateFault):
        return TemplateFault(error.message, line=error.line or line)
    if not isinstance(error, TemplateError):
        return TemplateFault("The template cannot be rendered with these values.", line=line)
    message = _missing(references, scope) if error.kind == "UndefinedError" else _message(error)
    return TemplateFault(message, line=(error.line or 1) + line - 1)


def _message(error: TemplateError) -> str:
    detail = error.detail or ""
    if detail and (error.kind in _TELLING or detail.startswith("tried to use ")):
        return f"{detail[0].upper()}{detail[1:]}."  # names of the template and of types, no values
    return _MESSAGES.get(error.kind, "The expression cannot be computed from these values.")
