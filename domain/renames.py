"""A node under another key: its edges, and each reference to it in all expressions, word for word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from domain.config_shapes import Fields, Items, Leaf, shape_of
from domain.errors import TemplateFault
from domain.template_syntax import Code, chain, is_root, read, read_expression, rewritten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.config_shapes import Shape
    from domain.kinds import NodeKind
    from domain.template_syntax import Analysis, Token
    from domain.workflow import Definition, GraphNode, WorkflowSettings


def renamed(definition: Definition, old: str, new: str, kinds: Mapping[str, NodeKind]) -> Definition:
    """Return the definition in which a node has another key; nothing but the key changes in any text.

    Args:
        definition: the workflow; a text of it that is no template is left as it is.
        old: the node's key.
        new: its key from now on.
        kinds: the kinds that are there: their models tell where templates stand; other configurations stay as they are.
    """
    change = _Rename(old, new)
    graph = definition.graph
    edges = tuple(
        edge.model_copy(update={"source": change.key(edge.source), "target": change.key(edge.target)})
        for edge in graph.edges
    )
    nodes = tuple(_node(node, change, kinds.get(node.kind)) for node in graph.nodes)
    output = tuple(field.model_copy(update={"value": change.value(field.value)}) for field in definition.output)
    return definition.model_copy(
        update={
            "graph": graph.model_copy(update={"nodes": nodes, "edges": edges}),
            "output": output,
            "settings": _settings(definition.settings, change),
        }
    )


@dataclass(frozen=True, slots=True)
class _Rename:
    old: str
    new: str

    def key(self, key: str) -> str:
        return self.new if key == self.old else key

    def template(self, source: str) -> str:
        """Rename in a text with `{{ expressions }}`."""
        try:
            return self._rewritten(source, read(source))
        except TemplateFault:
            return source

    def expression(self, source: str) -> str:
        """Rename in a bare expression."""
        try:
            return self._rewritten(source, read_expression(source))
        except TemplateFault:
            return source

    def value(self, value: Any) -> Any:
        """Rename in JSON whose texts are templates; the names of objects are not."""
        if isinstance(value, str):
            return self.template(value)
        if isinstance(value, Mapping):
            return {name: self.value(item) for name, item in cast("Mapping[str, Any]", value).items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in cast("list[Any]", value)]
        return value

    def _rewritten(self, source: str, analysis: Analysis) -> str:
        codes = [piece for piece in analysis.pieces if isinstance(piece, Code)]
        spans = [span for code in codes for span in self._spans(code.tokens)]
        return rewritten(source, [(start, end, self.new) for start, end in spans]) if spans else source

    def _spans(self, tokens: tuple[Token, ...]) -> Iterator[tuple[int, int]]:
        """Yield where the key stands behind `nodes`."""
        for place, token in enumerate(tokens):
            if token.text == "nodes" and is_root(tokens, place) and chain(tokens, place)[0][1:2] == (self.old,):
                named = tokens[place + 2]
                quote = int(named.kind == "string")
                yield named.start + quote, named.end - quote


def _node(node: GraphNode, change: _Rename, kind: NodeKind | None) -> GraphNode:
    parts: dict[str, Any] = {"key": change.key(node.key)}
    if kind is not None:
        parts["config"] = {node.kind: _config(node.values, shape_of(kind.config), change)}
    if node.when is not None:
        parts["when"] = change.expression(node.when)
    if node.for_each is not None:
        items = node.for_each.items
        written = change.template(items) if "{{" in items else change.expression(items)
        parts["for_each"] = node.for_each.model_copy(update={"items": written})
    return node.model_copy(update=parts)


def _config(value: Any, shape: Shape, change: _Rename) -> Any:
    if isinstance(shape, Fields) and isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return {
            name: _config(item, shape.of[name].shape, change) if name in shape.of else item
            for name, item in fields.items()
        }
    if isinstance(shape, Items) and isinstance(value, list | tuple):
        return [_config(item, shape.of, change) for item in cast("list[Any]", value)]
    if isinstance(shape, Leaf) and shape.is_template and (shape.is_json or isinstance(value, str)):
        return change.value(value)
    if isinstance(shape, Leaf) and shape.is_expression and isinstance(value, str):
        return change.expression(value)
    return value


def _settings(settings: WorkflowSettings, change: _Rename) -> WorkflowSettings:
    limit = settings.concurrency
    if limit is None or limit.key is None:
        return settings
    return settings.model_copy(update={"concurrency": limit.model_copy(update={"key": change.template(limit.key)})})
