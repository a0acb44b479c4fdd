"""What a client with Relay would write: the design's operations, and a list that can be paged for each connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from graphql import (
    FragmentDefinitionNode,
    GraphQLObjectType,
    OperationDefinitionNode,
    get_named_type,
    is_required_argument,
    print_ast,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from graphql import DocumentNode, GraphQLSchema


def write_modules(folder: Path, schema: GraphQLSchema, document: DocumentNode) -> int:
    """Write a module for each operation, fragment and connection, named as the compiler wants it; return how many."""
    folder.mkdir()
    modules = dict(_of_document(document)) | dict(_of_connections(schema))
    for name, text in modules.items():
        source = f"import {{ graphql }} from 'react-relay';\n\nexport default graphql`\n{text}\n`;\n"
        (folder / f"{name}.ts").write_text(source, encoding="utf-8")
    return len(modules)


def _of_document(document: DocumentNode) -> Iterator[tuple[str, str]]:
    for node in document.definitions:
        if isinstance(node, FragmentDefinitionNode):
            yield node.name.value, print_ast(node)
        elif isinstance(node, OperationDefinitionNode):
            assert node.name is not None
            module = node.name.value
            name = f"{module}{node.operation.value.capitalize()}"
            yield (
                module,
                print_ast(node).replace(f"{node.operation.value} {module}", f"{node.operation.value} {name}", 1),
            )


def _of_connections(schema: GraphQLSchema) -> Iterator[tuple[str, str]]:
    """Yield a fragment that pages each connection of what can be fetched again: by `node(id:)`, or by `viewer`."""
    node = cast("Any", schema.type_map["Node"])
    for kind in (*schema.get_possible_types(node), cast("GraphQLObjectType", schema.type_map["Viewer"])):
        for name, field in kind.fields.items():
            is_list = {"first", "after"} <= field.args.keys() and not any(
                map(is_required_argument, field.args.values())
            )
            if is_list:
                items: Any = cast("Any", get_named_type(field.type)).fields["nodes"].type
                yield _paged(
                    kind.name, name, "id" if "id" in cast("Any", get_named_type(items)).fields else "__typename"
                )


def _paged(kind: str, name: str, chosen: str) -> tuple[str, str]:
    module = f"{kind}{name[0].upper()}{name[1:]}"
    text = f"""fragment {module}_parent on {kind}
  @refetchable(queryName: "{module}PageQuery")
  @argumentDefinitions(count: {{ type: "Int", defaultValue: 20 }}, cursor: {{ type: "String" }}) {{
  {name}(first: $count, after: $cursor) @connection(key: "{module}_{name}") {{
    edges {{ node {{ {chosen} }} }}
  }}
}}"""
    return module, text
