"""Every field of the schema that no other test selects, read from seeded data."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pytest
from graphql import GraphQLSchema, parse, print_ast, separate_operations

from domain.identity import Role
from domain.ids import Prefix, to_global
from gql.schema import build_schema
from tests.gql.test_permissions import FIELDS, OF_ALL_TYPES, VALUES, prefix_of
from tests.support.api import Api
from tests.support.reading import Reader, answered, identified
from tests.support.schema_table import left_over
from tests.support.seeded import seed
from tests.support.selections import names_in
from tests.support.services import open_test_services

if TYPE_CHECKING:
    from domain.identity import Principal
    from tests.support.reading import Reading
    from tests.support.seeded import Seeded

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]
OPERATIONS = Path(__file__).parents[2] / "docs" / "design" / "operations.graphql"
EVERY_KIND = ("CreateAskTheLibrary", "CreateOtherKinds")
ARGUMENTS: dict[str, object] = {
    "Workspace.usage.from": "2026-01-01T00:00:00Z",
    "Workspace.usage.until": "2026-12-31T00:00:00Z",
    "Workspace.workflow.slug": "ask-the-library",
    "Workflow.version.number": 1,
    "Workflow.diff.from": {"number": 1},
    "Workflow.diff.to": {"track": "DRAFT"},
    "Run.nodeRun.key": "step",
    "DataTable.rows.orderBy": {"column": "matrix"},
    "DataTable.rows.filter": {"path": "matrix", "exists": True},
    "Collection.documents.filter": {"path": "matrix", "exists": False},
}
"""Values of arguments that ask for something which is there, by their place."""
FAULTS: dict[str, dict[str, object]] = {
    "createSecret": {"name": "no capitals", "value": "x"},
    "deleteSecret": {"id": to_global(Prefix.SECRET, uuid4())},
    "importWorkflow": {"document": "name: [", "mode": "UPSERT"},
}
"""Mutations that are refused, each for another reason."""


NODES = "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"
MOST = 5  # objects of a type


@dataclass
class Sweep:
    """Reads, and keeps what was answered and what was refused."""

    api: Api
    seeded: Seeded
    schema: GraphQLSchema
    found: set[str] = field(default_factory=set[str])
    refused: dict[str, object] = field(default_factory=dict[str, object])
    open: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Objects to be read: those that were told of, with their types."""
    met: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    async def ask(self, document: str, variables: dict[str, object], caller: Principal | None = None) -> Any:
        answer = await self.api.run(document, variables, caller=caller or self.seeded.owner)
        if answer.errors:
            self.refused[document] = answer.errors
        self.found |= self._names(document, answer.data)
        for kind, one in identified(answer.data):
            if one not in self.met[kind] and len(self.met[kind]) < MOST:
                self.met[kind].add(one)
                self.open.append((kind, one))
        return answer

    def _names(self, document: str, data: object) -> set[str]:
        """What was answered, by the type of the object, and by an interface of it where the document asks through that."""
        names, selected = set(answered(data)), names_in(self.schema, [document])
        for one in list(names):
            kind, _, name = one.partition(".")
            above = cast("Any", self.schema.type_map[kind]).interfaces
            names |= {f"{interface.name}.{name}" for interface in above} & selected
        return names

    async def read(self, reading: Reading) -> None:
        """Read a page as a whole, and then what lies before or behind one of its places."""
        cursor = next((name for name in ("after", "before") if name in reading.variables), None)
        answer = await self.ask(reading.document, reading.variables)
        if answer.errors:
            return
        given = set(reading.arguments)
        if cursor is not None:
            value: Any = answer.data
            for name in reading.path:
                value = value and value[name]
            place = value["edges"][0]["cursor"] if value and value["edges"] else None
            if place is None:
                return
            again = await self.ask(reading.document, {**reading.variables, cursor: place})
            if again.errors:
                return
        self.found |= given


async def test_every_field_that_no_other_test_selects_is_answered(database_url: str, tmp_path: Path) -> None:
    async with open_test_services(database_url, tmp_path) as services:
        seeded = await seed(services)
    # Others than those which made it all, so that nothing comes out of their memory.
    async with open_test_services(database_url, tmp_path) as services:
        built = await asyncio.to_thread(build_schema, services.settings)
        schema = built._schema
        sweep = Sweep(Api(built, services), seeded, schema)
        made = await make_every_kind(sweep)
        reader = Reader(schema, {**ARGUMENTS, **arguments_of(seeded)})
        await sweep.ask(NODES, {"ids": [*seeded.all_ids, *made]})
        while sweep.open:
            for reading in reader.of_node(*sweep.open.pop()):
                await sweep.read(reading)
        query_type = schema.query_type
        assert query_type is not None
        for reading in reader.of_query(name for name in query_type.fields if name not in OF_ALL_TYPES):
            await sweep.read(reading)
        await provoke(sweep, reader, made[-1])
    assert [str(e)[-300:] for e in sweep.refused.values()] == []
    holes = await asyncio.to_thread(left_over, schema)
    assert holes - sweep.found == set(), (
        "Nothing answered these: write a test that asks for them, or seed what has them."
    )


def arguments_of(seeded: Seeded) -> dict[str, object]:
    """Ids and values of the root fields, as the matrix has them."""
    places = {f"Query.{place}": value for place, value in VALUES.items()}
    asked = [field for field in FIELDS if field.operation == "query" and field.name not in OF_ALL_TYPES]
    ids = {f"Query.{place}": seeded.ids[prefix_of(place)][0] for field in asked for place in field.ids}
    return {**places, **ids}


async def make_every_kind(sweep: Sweep) -> list[str]:
    """Make the workflows of the design, with nodes of every kind; the last one cannot be published."""
    documents = separate_operations(parse(OPERATIONS.read_text(encoding="utf-8")))
    made: list[str] = []
    for name in EVERY_KIND:
        created = (await sweep.ask(print_ast(documents[name]), {})).data["createWorkflow"]
        assert created["userErrors"] == []
        made.append(created["workflow"]["id"])
    return made


async def provoke(sweep: Sweep, reader: Reader, broken: str) -> None:
    """Have an error of each type, and read all of it."""
    said = reader.selection(sweep.schema.type_map["UserError"])

    async def fail(name: str, given: dict[str, object], caller: Principal | None = None) -> None:
        kind = f"{name[0].upper()}{name[1:]}Input"
        document = f"mutation ($input: {kind}!) {{ {name}(input: $input) {{ userErrors {said} }} }}"
        answer = await sweep.ask(document, {"input": given}, caller)
        assert answer.data[name]["userErrors"], name

    for name, given in FAULTS.items():
        await fail(name, given)
    workflow = sweep.seeded.ids[Prefix.WORKFLOW][0]
    await fail("updateWorkflow", {"id": workflow, "expectedRevision": 99, "name": "Late"})
    await fail("publishWorkflow", {"id": broken, "expectedRevision": 1})
    labels = [{"name": f"l{number}", "value": "v"} for number in range(100)]
    await fail("startRun", {"workflowId": workflow, "labels": labels})
    owner = sweep.seeded.owner
    viewer = replace(owner, roles=dict.fromkeys(owner.roles, Role.VIEWER))
    await fail("createSecret", {"name": "NAME", "value": "x"}, viewer)
