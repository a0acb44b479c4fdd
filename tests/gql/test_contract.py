"""Tools that others wrote read the schema, and the operations that the design expects of clients. Exceptions: ADR 41."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    OperationDefinitionNode,
    build_schema,
    parse,
    print_ast,
    separate_operations,
    validate,
)

from gql.schema import schema_text
from tests.support.node import find_node, install
from tests.support.relay import write_modules
from tests.support.schema_changes import BASELINE

if TYPE_CHECKING:
    from tests.support.node import Node

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
FOLDER = Path(__file__).parent / "contract"
OPERATIONS = Path(__file__).parents[2] / "docs" / "design" / "operations.graphql"
FIELD = "type Mutation {"


@pytest.fixture(scope="session")
def node() -> Node:
    node = find_node()
    install(node, FOLDER)
    return node


@dataclass(frozen=True)
class Desk:
    """A folder with the schema, the operations that are built, the tools and their settings."""

    folder: Path
    node: Node

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def run(self, tool: str, *arguments: str) -> tuple[int, str]:
        """Run a tool; return its status and what it says."""
        return asyncio.run(self._run(str(self.folder / "node_modules" / ".bin" / tool), *arguments))

    def script(self, *arguments: str) -> Any:
        """Run a script of ours and return the JSON that it says."""
        status, told = asyncio.run(self._run(str(self.node.program), *arguments))
        assert status == 0, told
        return json.loads(told)

    async def _run(self, *command: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.folder,
            env=self.node.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(200):
            told, _ = await process.communicate()
        return process.returncode or 0, told.decode()


def built_operations() -> DocumentNode:
    """The operations of the design that validate now; `test_schema.py` lists those that do not."""
    schema = build_schema(schema_text())
    document = parse(OPERATIONS.read_text(encoding="utf-8"))
    valid = {name for name, one in separate_operations(document).items() if not validate(schema, one)}
    kept = [
        node
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
        or (isinstance(node, OperationDefinitionNode) and node.name is not None and node.name.value in valid)
    ]
    assert len(valid) > 35
    return DocumentNode(definitions=tuple(kept))


@pytest.fixture
def desk(node: Node, tmp_path: Path) -> Desk:
    for path in FOLDER.iterdir():
        if path.is_file() and path.name != "package-lock.json":
            shutil.copy(path, tmp_path)
    (tmp_path / "node_modules").symlink_to(FOLDER / "node_modules")
    desk = Desk(tmp_path, node)
    desk.write("schema.graphql", schema_text())
    desk.write("operations.graphql", print_ast(built_operations()) + "\n")
    return desk


def complaints(told: str) -> list[str]:
    files: list[dict[str, Any]] = json.loads(told)
    return [f"{one['ruleId']}: {one['message']} (line {one['line']})" for file in files for one in file["messages"]]


def test_graphql_eslint_accepts_the_schema_by_its_recommended_and_its_relay_rules(desk: Desk) -> None:
    _, told = desk.run("eslint", "--format", "json", "schema.graphql")
    assert complaints(told) == []


def test_graphql_eslint_accepts_the_operations_by_its_recommended_rules(desk: Desk) -> None:
    _, told = desk.run("eslint", "--format", "json", "operations.graphql")
    assert complaints(told) == []


def test_graphql_eslint_looks(desk: Desk) -> None:
    desk.write("schema.graphql", schema_text().replace(FIELD, f"{FIELD}\n  get_it: PageInfo\n"))
    desk.write("operations.graphql", "query { viewer { scopes scopes } }\n")
    _, told = desk.run("eslint", "--format", "json", "schema.graphql", "operations.graphql")
    rules = {line.partition(":")[0].rpartition("/")[2] for line in complaints(told)}
    assert {"naming-convention", "no-anonymous-operations", "no-duplicate-fields"} <= rules


def test_graphql_schema_linter_accepts_the_schema_by_all_of_its_rules(desk: Desk) -> None:
    status, told = desk.run("graphql-schema-linter", "schema.graphql")
    assert status == 0, told
    desk.write("schema.graphql", schema_text().replace(FIELD, f"{FIELD}\n  get_it: PageInfo\n"))
    status, told = desk.run("graphql-schema-linter", "schema.graphql")
    assert status == 1
    assert "fields-are-camel-cased" in told


def test_the_compiler_of_relay_accepts_the_operations_and_pages_every_connection(desk: Desk) -> None:
    schema = build_schema(schema_text())
    count = write_modules(desk.folder / "relay", schema, built_operations())
    status, told = desk.run("relay-compiler", "relay.config.json")
    assert status == 0, told
    made = list((desk.folder / "relay" / "__generated__").glob("*.graphql.ts"))
    assert len(made) > count, "a page's query beside each list"


def test_code_that_is_generated_for_the_operations_passes_the_compiler_of_typescript(desk: Desk) -> None:
    status, told = desk.run("graphql-codegen", "--config", "codegen.mjs")
    assert status == 0, told
    status, told = desk.run("tsc", "--project", ".")
    assert status == 0, told
    generated = (desk.folder / "generated" / "graphql.ts").read_text(encoding="utf-8")
    assert "export type StartMutationVariables" in generated
    assert ": any" not in generated


def test_graphql_inspector_finds_nothing_broken_since_the_last_version(desk: Desk) -> None:
    shutil.copy(BASELINE, desk.folder / "before.graphql")
    changes = desk.script("inspect.mjs", "before.graphql", "schema.graphql")
    assert [one for one in changes if one["level"] == "BREAKING"] == []


def test_graphql_inspector_tells_a_removal_unless_it_was_deprecated(desk: Desk) -> None:
    desk.write("after.graphql", "type Query { other: Int }")
    desk.write("before.graphql", "type Query { other: Int, thing: Int }")
    [change] = desk.script("inspect.mjs", "before.graphql", "after.graphql")
    assert (change["level"], change["path"]) == ("BREAKING", "Query.thing")
    desk.write("before.graphql", 'type Query { other: Int, thing: Int @deprecated(reason: "Use `other`.") }')
    assert [one["level"] for one in desk.script("inspect.mjs", "before.graphql", "after.graphql")] != ["BREAKING"]
