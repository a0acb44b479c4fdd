"""What a change of the schema breaks for clients that keep to what is not deprecated."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from graphql import REMOVE, Visitor, build_ast_schema, build_schema, get_named_type, is_abstract_type, parse, visit
from graphql.utilities import find_breaking_changes

if TYPE_CHECKING:
    from graphql import GraphQLSchema

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "schema.graphql"
BASELINE = ROOT / "docs" / "schema-baseline.graphql"


def breaking_changes(before: str, after: str) -> list[str]:
    """Return what is broken of what was not deprecated, a sentence each."""
    old, new = _kept(before), build_schema(after, assume_valid=True)
    reached = _reached(old)
    return [
        change.description
        for change in find_breaking_changes(old, new)
        # A type that only deprecated fields led to may go with them.
        if not (change.type.name == "TYPE_REMOVED" and change.description.split()[0] not in reached)
    ]


def _kept(text: str) -> GraphQLSchema:
    """Return a schema without what is deprecated in it."""
    return build_ast_schema(visit(parse(text), _WithoutDeprecated()), assume_valid=True)


class _WithoutDeprecated(Visitor):
    def enter(self, node: Any, *_: Any) -> object:
        is_deprecated = any(one.name.value == "deprecated" for one in getattr(node, "directives", None) or ())
        return REMOVE if is_deprecated else None


def _reached(schema: GraphQLSchema) -> frozenset[str]:
    """Return the types that an operation can come to; not by `Node` alone, which everything with an id is."""
    reached: set[str] = set()
    open_: list[Any] = [schema.query_type, schema.mutation_type, schema.subscription_type]
    while open_:
        kind = open_.pop()
        if kind is None or kind.name in reached:
            continue
        reached.add(kind.name)
        if is_abstract_type(kind) and kind.name != "Node":
            open_ += schema.get_possible_types(kind)
        for field in cast("dict[str, Any]", getattr(kind, "fields", {})).values():
            open_ += [get_named_type(one.type) for one in (field, *getattr(field, "args", {}).values())]
    return frozenset(reached)


def main() -> int:
    """Make the schema of now the one that the next changes are compared with, unless it breaks the last one."""
    now = SCHEMA.read_text(encoding="utf-8")
    broken = breaking_changes(BASELINE.read_text(encoding="utf-8"), now) if BASELINE.exists() else []
    if broken:
        sys.stderr.write("schema-baseline: these would break clients; see docs/api-changes.md:\n")
        sys.stderr.writelines(f"  {one}\n" for one in broken)
        return 1
    BASELINE.write_text(now, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
