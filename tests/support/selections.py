"""What a GraphQL document names: its fields with the types that they belong to, and their arguments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from graphql import (
    DocumentNode,
    ExecutableDefinitionNode,
    GraphQLSyntaxError,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    parse,
    visit,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphql import FieldNode, GraphQLSchema


# Parsing every string of every test would take many seconds.
_BEGINNING = re.compile(r"(?:\s|,|#.*)*(?:query|mutation|subscription|fragment|\{)")


def executable(text: str) -> DocumentNode | None:
    """Return the document that a text is: operations and fragments alone; None if it is anything else."""
    if not _BEGINNING.match(text):
        return None
    try:
        document = parse(text, no_location=True)
    except (GraphQLSyntaxError, RecursionError):
        return None
    is_executable = all(isinstance(node, ExecutableDefinitionNode) for node in document.definitions)
    return document if is_executable else None


def names_in(schema: GraphQLSchema, documents: Iterable[str]) -> frozenset[str]:
    """Return `Type.field` and `Type.field(argument:)` of all that the documents select.

    What is selected of an interface counts for the interface alone. A document that names a field that is not there selects
    nothing: it is a test of refusals, or of another schema.
    """
    names: set[str] = set()
    for text in documents:
        document = executable(text)
        if document is None:
            continue
        types = TypeInfo(schema)
        finder = _Names(types)
        visit(document, TypeInfoVisitor(types, finder))
        if finder.is_of_schema:
            names |= finder.names
    return frozenset(names)


class _Names(Visitor):
    def __init__(self, types: TypeInfo) -> None:
        super().__init__()
        self._types = types
        self.names: set[str] = set()
        self.is_of_schema = True

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        name = node.name.value
        if name.startswith("__"):
            return
        parent, definition = self._types.get_parent_type(), self._types.get_field_def()
        if parent is None or definition is None:
            self.is_of_schema = False
            return
        self.names.add(f"{parent.name}.{name}")
        for argument in node.arguments or ():
            if argument.name.value in definition.args:
                self.names.add(f"{parent.name}.{name}({argument.name.value}:)")
