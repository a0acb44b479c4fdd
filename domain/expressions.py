"""Templates and expressions: Jinja syntax on minijinja, plain data only, strict and bounded.

A text that is exactly one `{{ expression }}` keeps its JSON type, any other is rendered to text; values in a text stand as
JSON unless they are texts. Statements are `if`, `for` and `set`. A rendering is done once: what it yields is never a template.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from minijinja import TemplateError

from domain.errors import TemplateFault
from domain.template_data import environment
from domain.template_forms import (
    ConstantForm,
    ExpressionForm,
    JoinedForm,
    ListForm,
    ObjectForm,
    PathForm,
    StatementsForm,
    Template,
)
from domain.template_syntax import Analysis, Code, Reference, Text, chain, is_root, read, read_expression, rewritten

if TYPE_CHECKING:
    from domain.json_value import Json

__all__ = [
    "CompiledValue",
    "Template",
    "compile_expression",
    "compile_items",
    "compile_template",
    "compile_value",
    "why_no_list",
]

CompiledValue: TypeAlias = Template
"""JSON whose texts are templates has the same face as a template."""

_CACHED_CHARS = 2_048
"""Longer templates are compiled anew each time they are asked for; kept ones are bounded in number and size."""
_MAX_DEPTH = 200
_OPENINGS = ("{{", "{%", "{#")


def compile_template(source: str) -> Template:
    """Compile a text with `{{ expressions }}`.

    Raises:
        TemplateFault: it does not parse, or uses what templates may not use.
    """
    if not any(opening in source for opening in _OPENINGS):
        return ConstantForm(source)
    return _cached_template(source) if len(source) <= _CACHED_CHARS else _compile_template(source)


def compile_expression(source: str) -> Template:
    """Compile a bare expression, such as `nodes.score.output.value > 0.8`; it keeps its JSON type.

    Raises:
        TemplateFault: as with `compile_template`.
    """
    return _cached_expression(source) if len(source) <= _CACHED_CHARS else _compile_expression(source)


def compile_items(source: str) -> Template:
    """Compile what gives the list of a `forEach`: a bare expression, or a text with `{{ }}`.

    Raises:
        TemplateFault: as with `compile_template`.
    """
    return compile_template(source) if "{{" in source else compile_expression(source)


def why_no_list(items: Template) -> str | None:
    """Tell why what `compile_items` made can never give a list; None where it may."""
    if isinstance(items, JoinedForm | StatementsForm):
        return "What is more than one `{{ expression }}` gives a text, never a list."
    if items.references:
        return None
    try:
        value = items.render({})
    except TemplateFault:
        return None
    return None if isinstance(value, list | tuple) else "This gives the same value in every run, and it is no list."


def compile_value(value: Json, *, depth: int = 0) -> CompiledValue:
    """Compile JSON whose texts, at any depth up to 200, are templates; names of objects are not.

    Raises:
        TemplateFault: as with `compile_template`.
    """
    if isinstance(value, str):
        return compile_template(value)
    if depth > _MAX_DEPTH:
        raise TemplateFault(f"The value is nested more than {_MAX_DEPTH} levels deep.")
    if isinstance(value, Mapping):
        fields = tuple((name, compile_value(field, depth=depth + 1)) for name, field in value.items())
        parts = tuple(field for _, field in fields)
        return ConstantForm(value) if _are_constant(parts) else ObjectForm(fields, _union(parts))
    if isinstance(value, list | tuple):
        items = tuple(compile_value(item, depth=depth + 1) for item in value)
        return ConstantForm(value) if _are_constant(items) else ListForm(items, _union(items))
    return ConstantForm(value)


# ── compiling ──


def _are_constant(parts: tuple[CompiledValue, ...]) -> bool:
    return all(part.is_constant for part in parts)


def _union(parts: tuple[CompiledValue, ...]) -> frozenset[Reference]:
    return frozenset[Reference]().union(*(part.references for part in parts))


def _compile_template(source: str) -> Template:
    analysis = read(source)
    _check_with_minijinja(source, analysis)
    references = frozenset(analysis.references)
    if any(isinstance(piece, Code) and piece.is_statement for piece in analysis.pieces):
        return StatementsForm(rewritten(source, analysis.rewrites), references, analysis.has_fallback)
    if (
        len(analysis.pieces) == 1
        and isinstance(code := analysis.pieces[0], Code)
        and code.end - code.start == len(source)
    ):
        return _expression(source, code, analysis)
    if _trims_space(source):
        return StatementsForm(rewritten(source, analysis.rewrites), references, analysis.has_fallback)
    return JoinedForm(
        tuple(
            piece.text if isinstance(piece, Text) else _expression(source, piece, analysis) for piece in analysis.pieces
        ),
        references,
    )


def _compile_expression(source: str) -> Template:
    analysis = read_expression(source)
    if not analysis.pieces or not isinstance(code := analysis.pieces[0], Code):
        raise TemplateFault("An expression is missing.")
    _check_with_minijinja(f"{{{{ {source} }}}}", analysis)
    return _expression(source, code, analysis)


_cached_template = lru_cache(maxsize=2_048)(_compile_template)
_cached_expression = lru_cache(maxsize=2_048)(_compile_expression)


def _trims_space(source: str) -> bool:
    """Tell whether `{{-` and the like may take spaces away: minijinja knows how."""
    return any(mark in source for mark in ("{{-", "-}}", "{{+", "+}}", "{%", "{#"))


def _expression(source: str, code: Code, analysis: Analysis) -> PathForm | ExpressionForm:
    tokens = code.tokens
    references: set[Reference] = set()
    leaves: dict[str, tuple[str | int, ...]] = {}
    spans: list[tuple[int, int, str]] = []
    place = 0
    while place < len(tokens):
        if not is_root(tokens, place):
            place += 1
            continue
        names, steps, behind = chain(tokens, place)
        if behind == len(tokens) and place == 0:
            return PathForm(steps, frozenset({names}), code.line)
        references.add(names)
        leaf = f"_{len(leaves)}"
        leaves[leaf] = steps
        spans.append((tokens[place].start, tokens[behind - 1].end, leaf))
        place = behind
    is_lazy = any(token.text in {"if", "and", "or"} for token in tokens)
    guarded = rewritten(source, [*analysis.rewrites, *([] if is_lazy else spans)], tokens[0].start, tokens[-1].end)
    has_fallback = analysis.has_fallback
    return ExpressionForm(
        guarded, frozenset(references), code.line, has_fallback, None if is_lazy else tuple(leaves.items())
    )


def _check_with_minijinja(source: str, analysis: Analysis) -> None:
    """Let minijinja parse the source, and hold its view of the names against ours: a difference would be a hole."""
    try:
        found = environment().undeclared_variables_in_str(source)
    except TemplateError as error:
        raise _syntax_fault(error) from None
    known = {reference[0] for reference in analysis.references} | {"range", "dict"}
    for name in found - known:
        if name not in analysis.bound:
            raise TemplateFault(f"`{name}` cannot be used here.")
        analysis.references.add((name,))


def _syntax_fault(error: TemplateError) -> TemplateFault:
    detail = error.detail or "it cannot be parsed"
    return TemplateFault(f"The template does not parse: {detail}.", line=error.line)
