"""Inputs and enums of workflows: what is given through them is stored, and comes back as it was given."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from graphql import get_named_type, is_input_object_type, utilities
from hypothesis import strategies as st

from domain.config_fields import canonical
from domain.document import dump
from domain.workflow import Definition, Graph, GraphNode
from tests.domain.made_configs import TEXTS, samples
from tests.domain.made_graphs import KINDS, definitions, lines, nodes
from tests.gql.test_round_trip import SCHEMA
from tests.support.api import Api
from tests.support.given_names import members_below, named_in
from tests.support.identity import make_principal
from tests.support.services import open_test_services

if TYPE_CHECKING:
    from pathlib import Path

    from graphql import GraphQLError

    from persistence.database import Database

_utilities: Any = utilities  # its generics have no parameters here
OF_WORKFLOWS = ("GraphInput", "WorkflowSettingsInput", "OutputFieldInput")
CREATE = """
mutation ($input: CreateWorkflowInput!) {
  createWorkflow(input: $input) { workflow { document } userErrors { message path } }
}
"""


async def test_what_the_inputs_of_a_workflow_are_given_is_what_its_file_tells(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    caller = await make_principal(database, "ada")
    drawn: list[tuple[str, str | None, Definition]] = samples(st.tuples(lines, st.none() | TEXTS, definitions), 8)
    drawn += [(kind, None, _many_of(kind)) for kind in KINDS]
    schema = SCHEMA._schema
    kind = schema.type_map["CreateWorkflowInput"]
    given: set[str] = set()
    async with open_test_services(database_url, tmp_path) as services:
        api = Api(SCHEMA, services)
        for place, (name, description, definition) in enumerate(drawn):
            whole: dict[str, Any] = definition.model_dump(mode="json", by_alias=True)
            values = _chosen(kind, {"name": name, "description": description, "slug": f"w{place}", **whole})
            if not _is_acceptable(kind, values):
                continue  # a schema of a configuration does not tell that exactly one of some fields is there
            answer = await api.run(CREATE, {"input": values}, caller=caller)
            assert answer.errors == [], values
            made = answer.data["createWorkflow"]
            assert made["userErrors"] == []
            told = canonical(_as_told(definition), KINDS)
            assert made["workflow"]["document"] == dump(name, f"w{place}", description, told)
            given |= set(named_in(kind, values))
    held = members_below(schema, *OF_WORKFLOWS) & given
    assert len(held) > 100, "the random workflows hold most of what there is"


def _is_acceptable(kind: Any, values: object) -> bool:
    faults: list[object] = []

    def keep(error: GraphQLError, _path: list[str | int]) -> None:
        faults.append(error)

    _utilities.validate_input_value(values, kind, keep)
    return not faults


def _many_of(kind: str) -> Definition:
    """Return a workflow of nodes of one kind, each configured in another way."""
    made: list[GraphNode] = samples(nodes("one", kind), 30)
    graph = Graph(nodes=tuple(node.model_copy(update={"key": f"n{place}"}) for place, node in enumerate(made)))
    return Definition(graph=graph)


def _as_told(definition: Definition) -> Definition:
    """Return a definition whose amount is written as the API's scalar writes it, without zeros in front."""
    cost = definition.settings.max_cost
    shown = None if cost is None else format(Decimal(cost), "f")
    return definition.model_copy(update={"settings": definition.settings.model_copy(update={"max_cost": shown})})


def _chosen(kind: Any, value: Any) -> Any:
    """Leave out what is null where one field alone may be given."""
    named = cast("Any", get_named_type(kind))
    if not is_input_object_type(named):
        return value
    if isinstance(value, list):
        return [_chosen(named, one) for one in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, Any]", value)
    kept = {name: inner for name, inner in fields.items() if inner is not None or not named.is_one_of}
    return {name: _chosen(named.fields[name].type, inner) for name, inner in kept.items()}
