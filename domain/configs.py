"""A node's configuration compiled: templates found by the marks of the kind's model, checked once, rendered per attempt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from domain.config_shapes import Fields, Items, Leaf, Shape, config_schema, output_schema, shape_of
from domain.errors import NodeFault, TemplateFault
from domain.expressions import compile_expression, compile_template, compile_value
from domain.kinds import FAILS, HOLDS, ConfigProblem
from domain.template_data import rendering, to_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.expressions import CompiledValue
    from domain.json_value import Json
    from domain.kinds import Config, NodeKind
    from domain.template_syntax import Reference

__all__ = ["CompiledConfig", "Use", "compile_config", "config_schema", "output_schema"]

MASK = "•••"
_MAX_PROBLEMS = 100
_ABSENT = object()

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Use:
    """A value that a field's template names."""

    path: Path
    """The way to the field from the configuration, such as `("headers", "0", "value")`."""
    reference: Reference


@dataclass(frozen=True, slots=True)
class NamedObject:
    """An object of the workspace that a static field names."""

    path: Path
    to: str
    """`connection`, `collection`, `dataTable`, `dataColumn` or `workflow`."""
    name: str


class CompiledConfig:
    """A configuration ready to be rendered as often as needed; immutable."""

    __slots__ = ("_constant", "_kind", "_root", "named_objects", "problems", "references", "secret_names", "uses")

    def __init__(self, kind: NodeKind, root: _Part, found: _Findings, constant: Config | None) -> None:
        self._kind = kind
        self._root = root
        self._constant = constant
        self.problems: tuple[ConfigProblem, ...] = tuple(found.problems[:_MAX_PROBLEMS])
        self.uses: tuple[Use, ...] = tuple(found.uses)
        self.named_objects: tuple[NamedObject, ...] = tuple(found.named_objects)
        self.references: frozenset[Reference] = frozenset(use.reference for use in found.uses)
        self.secret_names: frozenset[str] = frozenset(
            reference[1] for reference in self.references if reference[0] == "secrets" and len(reference) > 1
        )

    @property
    def is_constant(self) -> bool:
        """Whether it is the same in every scope."""
        return self._constant is not None

    def render(self, scope: Mapping[str, Json]) -> Config:
        """Return the configuration of one attempt.

        Raises:
            NodeFault: `TEMPLATE_ERROR` or `INVALID_CONFIG`, with the path of the field.
        """
        if self._constant is not None:
            return self._constant
        if self.problems:
            problem = self.problems[0]
            raise NodeFault("INVALID_CONFIG", f"{self._told(problem.path)}: {problem.message}")
        return self._validated(self._rendered(scope))

    def describe(self, scope: Mapping[str, Json]) -> Json:
        """Return the rendered values as people may see them: where a secret stands, `•••`.

        Raises:
            NodeFault: as with `render`.
        """
        if self.secret_names:
            scope = {**scope, "secrets": dict.fromkeys(self.secret_names, MASK)}
        return self._rendered(scope, is_masked=True)

    def render_described(self, scope: Mapping[str, Json]) -> tuple[Config, Json]:
        """Return what `render` and `describe` give, rendering once where no secret is used.

        Raises:
            NodeFault: as with `render`.
        """
        if self._constant is not None or self.problems or self.secret_names:
            return self.render(scope), self.describe(scope)
        values = self._rendered(scope)
        return self._validated(values), values

    def _rendered(self, scope: Mapping[str, Json], *, is_masked: bool = False) -> Json:
        try:
            return self._root.render(scope, is_masked)
        except _Misfit as misfit:
            raise NodeFault("TEMPLATE_ERROR", f"{self._told(misfit.path)}: {misfit.message}") from None

    def _validated(self, values: Json) -> Config:
        try:
            return self._kind.config.model_validate(values)
        except ValidationError as error:
            path, message = _violations(error)[0]
            raise NodeFault("INVALID_CONFIG", f"{self._told(path)}: {message}") from None

    def _told(self, path: Path) -> str:
        return ".".join(("config", self._kind.name, *path))


def compile_config(kind: NodeKind, values: Mapping[str, Json]) -> CompiledConfig:
    """Compile a configuration as written; what is wrong with it is in `problems`, nothing is raised."""
    found = _Findings()
    root = _compile(values, shape_of(kind.config), (), found)
    # Templates stand for values that are not known yet: what the model says of those fields is no problem now.
    written: Config | None = None
    try:
        written = kind.config.model_validate(root.written())
    except ValidationError as error:
        for path, message in _violations(error):
            if not any(path[: len(templated)] == templated for templated in found.templated):
                found.problems.append(ConfigProblem(path, "INVALID_CONFIG", message))
    if written is not None and kind.check is not None:
        found.problems.extend(kind.check(written))
    is_constant = not found.templated and not found.problems
    return CompiledConfig(kind, root, found, written if is_constant else None)


# ── parts ──


@dataclass(slots=True)
class _Findings:
    problems: list[ConfigProblem] = field(default_factory=list["ConfigProblem"])
    uses: list[Use] = field(default_factory=list[Use])
    named_objects: list[NamedObject] = field(default_factory=list[NamedObject])
    templated: list[Path] = field(default_factory=list[Path])


class _Misfit(Exception):
    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


class _Part:
    """A part of a configuration that is the same in every scope; the others are more particular."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def render(self, scope: Mapping[str, Json], is_masked: bool) -> Json:
        del scope, is_masked
        return cast("Json", self.value)

    def written(self) -> Any:
        """Return the part as it is written."""
        return self.value


class _Templated(_Part):
    __slots__ = ("is_json", "path", "template")

    def __init__(self, value: Any, template: CompiledValue, path: Path, is_json: bool) -> None:
        super().__init__(value)
        self.template = template
        self.path = path
        self.is_json = is_json

    def render(self, scope: Mapping[str, Json], is_masked: bool) -> Json:
        try:
            value = self.template.render(scope)
            if self.is_json or value is None or isinstance(value, str):
                return value
            # A field that holds a text takes any value as the text that it has inside a text; null stays absent. What
            # only names a value was given without a rendering, so the budget for writing it begins here.
            rendering.begin()
            return to_text(value)
        except TemplateFault as fault:
            if is_masked:  # with the secret it could be rendered
                return MASK
            line = "" if fault.line in {None, 1} else f" (line {fault.line})"
            raise _Misfit(self.path, f"{fault.message.rstrip('.')}{line}.") from None


class _Condition(_Part):
    __slots__ = ("expression",)

    def __init__(self, value: Any, expression: CompiledValue) -> None:
        super().__init__(value)
        self.expression = expression

    def render(self, scope: Mapping[str, Json], is_masked: bool) -> Json:
        del is_masked
        try:
            return HOLDS if self.expression.render(scope) else FAILS
        except TemplateFault as fault:
            return fault.message


class _Object(_Part):
    __slots__ = ("parts",)

    def __init__(self, parts: dict[str, _Part]) -> None:
        super().__init__(None)
        self.parts = parts

    def render(self, scope: Mapping[str, Json], is_masked: bool) -> Json:
        return {name: part.render(scope, is_masked) for name, part in self.parts.items()}

    def written(self) -> Any:
        return {name: part.written() for name, part in self.parts.items()}


class _Array(_Part):
    __slots__ = ("parts",)

    def __init__(self, parts: list[_Part]) -> None:
        super().__init__(None)
        self.parts = parts

    def render(self, scope: Mapping[str, Json], is_masked: bool) -> Json:
        return [part.render(scope, is_masked) for part in self.parts]

    def written(self) -> Any:
        return [part.written() for part in self.parts]


def _compile(value: Any, shape: Shape, path: Path, found: _Findings) -> _Part:
    if isinstance(shape, Fields) and isinstance(value, Mapping):
        return _compile_object(cast("Mapping[str, Json]", value), shape, path, found)
    if isinstance(shape, Items) and isinstance(value, list | tuple):
        items = cast("Iterable[Json]", value)
        return _fold(_Array([_compile(item, shape.of, (*path, str(place)), found) for place, item in enumerate(items)]))
    if isinstance(shape, Leaf):
        return _compile_leaf(value, shape, path, found)
    return _Part(value)  # the model says what is wrong with it


def _compile_object(value: Mapping[str, Json], shape: Fields, path: Path, found: _Findings) -> _Part:
    parts: dict[str, _Part] = {}
    for name, item in value.items():
        known = shape.of.get(name)
        if known is None:
            found.problems.append(
                ConfigProblem((*path, name), "UNKNOWN_CONFIG_FIELD", f"There is no field `{name[:80]}`.")
            )
        elif item is not None or known.is_nullable or not known.has_default:  # null elsewhere means: as if absent
            parts[name] = _compile(item, known.shape, (*path, name), found)
    return _fold(_Object(parts))


def _fold(part: _Object | _Array) -> _Part:
    """Return one constant where all parts are constant."""
    parts = part.parts.values() if isinstance(part, _Object) else part.parts
    return _Part(part.written()) if all(type(inner) is _Part for inner in parts) else part


def _compile_leaf(value: Any, leaf: Leaf, path: Path, found: _Findings) -> _Part:
    if leaf.reference_to is not None and isinstance(value, str):
        found.named_objects.append(NamedObject(path, leaf.reference_to, value))
    if not (leaf.is_template or leaf.is_expression) or not (leaf.is_json or isinstance(value, str)):
        return _Part(value)
    try:
        template = _compiled(value, leaf)
    except TemplateFault as fault:
        line = "" if fault.line in {None, 1} else f" (line {fault.line})"
        is_wrapped = leaf.is_expression and "{{" in value
        hint = " Write the expression alone, without `{{ }}`." if is_wrapped else ""
        found.problems.append(ConfigProblem(path, "TEMPLATE_SYNTAX", f"{fault.message.rstrip('.')}{line}.{hint}"))
        found.templated.append(path)
        return _Part(value)
    if template.is_constant and not leaf.is_expression:
        return _Part(value)
    found.templated.append(path)
    for reference in sorted(template.references):
        if reference[0] == "secrets" and (reason := _secret_refusal(reference, leaf)):
            found.problems.append(ConfigProblem(path, "SECRET_NOT_ALLOWED", reason))
        else:
            found.uses.append(Use(path, reference))
    return _Condition(value, template) if leaf.is_expression else _Templated(value, template, path, leaf.is_json)


def _compiled(value: Any, leaf: Leaf) -> CompiledValue:
    if leaf.is_json:
        return compile_value(value)
    return compile_expression(value) if leaf.is_expression else compile_template(value)


def _secret_refusal(reference: Reference, leaf: Leaf) -> str | None:
    if not leaf.is_secret_capable:
        return "Secrets cannot be used in this field; what is marked `x-secret` may, such as the values of headers."
    if len(reference) == 1:
        return "A secret is named, as in `secrets.NAME`; all of them together cannot be used."
    return None


def _violations(error: ValidationError) -> list[tuple[Path, str]]:
    """Return where a model says no, and why, without the values."""
    found: list[tuple[Path, str]] = []
    for violation in error.errors(include_url=False, include_context=False, include_input=False):
        message = violation["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ") + "."
        if violation["type"] == "missing":
            message = f"The field `{violation['loc'][-1]}` is missing."
        found.append((tuple(str(step) for step in violation["loc"]), message))
    return found
