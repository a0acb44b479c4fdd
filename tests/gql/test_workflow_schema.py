from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from graphql import GraphQLInputObjectType, GraphQLObjectType, GraphQLUnionType
from graphql import build_schema as parse_schema

from gql.schema import build_schema
from runtime.settings import Settings
from tests.gql.test_workflows import GRAPH

if TYPE_CHECKING:
    from graphql import GraphQLSchema

DRAFT = parse_schema((Path(__file__).parents[2] / "docs/design/schema.graphql").read_text())
BUILT = build_schema(Settings(_env_file=None))._schema  # pyright: ignore[reportCallIssue]

# What other features, or later ones, add to these types.
LATER = {"Workflow": {"schedules"}}


def named(schema: GraphQLSchema, name: str) -> Any:
    return schema.type_map[name]


@pytest.mark.parametrize(
    "name",
    [
        "Workflow", "Graph", "GraphNode", "GraphEdge", "Position", "ForEach", "ErrorPolicy", "RetryPolicy", "Timeouts",
        "WorkflowSettings", "ConcurrencyPolicy", "OutputField", "GraphProblem", "NodeKindInfo", "ErrorCodeInfo",
        "WorkflowConnection", "WorkflowEdge", "CreateWorkflowPayload", "UpdateWorkflowPayload", "DeleteWorkflowPayload",
        "GraphInput", "GraphNodeInput", "GraphEdgeInput", "PositionInput", "ForEachInput", "ErrorPolicyInput",
        "RetryPolicyInput", "TimeoutsInput", "OutputFieldInput", "WorkflowSettingsInput", "ConcurrencyPolicyInput",
        "WorkflowFilter", "WorkflowOrder", "CreateWorkflowInput", "UpdateWorkflowInput", "DeleteWorkflowInput",
        "WorkflowVersion", "WorkflowVersionConnection", "WorkflowVersionEdge", "PublishWorkflowInput",
        "PublishWorkflowPayload", "RestoreWorkflowVersionInput", "RestoreWorkflowVersionPayload", "NodeUse",
    ],
)  # fmt: skip
def test_a_type_is_the_one_of_the_design(name: str) -> None:
    built, draft = BUILT.type_map[name], DRAFT.type_map[name]
    assert isinstance(built, GraphQLObjectType | GraphQLInputObjectType)
    assert isinstance(draft, GraphQLObjectType | GraphQLInputObjectType)
    assert built.description == draft.description
    expected = {
        key: (str(one.type), one.description) for key, one in draft.fields.items() if key not in LATER.get(name, ())
    }
    assert {
        key: (str(one.type), one.description)
        for key, one in built.fields.items()
        if key in draft.fields and key not in LATER.get(name, ())
    } == expected


@pytest.mark.parametrize("name", ["JoinPolicy", "ErrorMode", "ItemErrorPolicy", "FailurePolicy", "ConcurrencyStrategy", "Severity", "OrderDirection", "WorkflowOrderField"])  # fmt: skip
def test_an_enum_is_the_one_of_the_design(name: str) -> None:
    built, draft = named(BUILT, name), named(DRAFT, name)
    assert {key: one.description for key, one in built.values.items()} == {
        key: one.description for key, one in draft.values.items()
    }


@pytest.mark.parametrize("root", ["Query.workflow", "Query.workflows", "Query.nodeKinds", "Query.validateGraph", "Mutation.createWorkflow", "Mutation.updateWorkflow", "Mutation.deleteWorkflow", "Mutation.publishWorkflow", "Mutation.restoreWorkflowVersion", "Run.version", "Secret.usedBy", "ConnectionProfile.usedBy", "Workspace.workflow", "Workspace.workflows"])  # fmt: skip
def test_a_field_is_the_one_of_the_design(root: str) -> None:
    kind, _, name = root.partition(".")
    built, draft = named(BUILT, kind).fields[name], named(DRAFT, kind).fields[name]
    assert (str(built.type), built.description) == (str(draft.type), draft.description)
    assert {key: (str(one.type), one.description) for key, one in built.args.items()} == {
        key: (str(one.type), one.description) for key, one in draft.args.items()
    }


def test_every_member_of_the_union_is_selected_by_these_tests_or_known_to_be_unknown() -> None:
    union = BUILT.type_map["NodeConfig"]
    assert isinstance(union, GraphQLUnionType)
    missing = [member.name for member in union.types if f"... on {member.name}" not in GRAPH]
    assert missing == ["UnknownConfig"]
