from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from domain.configs import compile_config, config_schema, output_schema
from domain.errors import SetupFault
from domain.kind_faults import clash_of, faults_of
from runtime.nodes import transform
from runtime.registry import BUILT_IN, Registry

if TYPE_CHECKING:
    from domain.kinds import NodeKind

TESTS = Path(__file__).parent
EXAMPLES: dict[str, Any] = {
    "LLM_CALL": {"prompt": "x", "temperature": 0.5, "messages": [], "stop": ["a"], "responseFormat": "JSON"},
    "HTTP_REQUEST": {
        "url": "http://x",
        "headers": [{"name": "a", "value": "b"}],
        "body": {"json": {"a": [1]}},
        "method": "POST",
    },
    "FAISS_SEARCH": {
        "collection": "library",
        "searchText": "x",
        "topK": 3,
        "filter": {"not": {"path": "a", "eq": None}},
        "scoreThreshold": 0.5,
    },
    "FAISS_UPSERT": {"collection": "library", "text": "x", "metadata": {"a": [1]}, "externalId": "k"},
    "DB_WRITE": {
        "target": {"externalTable": {"connection": "warehouse", "table": "sales.orders"}},
        "writeMode": "UPSERT",
        "values": [{"column": "a", "value": [{"b": 1}]}],
        "conflictColumns": ["a"],
        "returning": ["id"],
    },
    "TRANSFORM": {"fields": [{"name": "a", "value": {"b": 1}}]},
    "WAIT": {"until": "2026-12-24T18:00:00Z"},
    "APPROVAL": {
        "title": "Well?",
        "form": {"type": "object"},
        "actions": ["yes", "no"],
        "assignees": ["a@example.com"],
    },
    "SUBWORKFLOW": {"workflow": "child", "version": {"track": "DRAFT"}, "subInput": {"a": [1]}},
    "BRANCH": {"cases": [{"name": "a", "when": "true"}]},
}


@pytest.mark.parametrize("kind", BUILT_IN, ids=lambda kind: kind.kind)
class TestEveryKind:
    def test_has_a_test_file_named_after_it(self, kind: NodeKind) -> None:
        assert (TESTS / "nodes" / f"test_{kind.kind.lower()}.py").is_file()

    def test_describes_itself_its_fields_its_output_and_its_codes(self, kind: NodeKind) -> None:
        assert kind.title
        assert kind.description
        for model in (kind.config, kind.output, *kind.nested):
            if model is not None:
                assert model.__doc__
                missing = [name for name, field in model.model_fields.items() if not field.description]
                assert missing == [], f"{model.__name__} has fields without a docstring"
        assert all(code.description for code in kind.error_codes)
        assert len({code.code for code in kind.error_codes}) == len(kind.error_codes) <= 50

    def test_is_as_sound_as_a_plug_in_has_to_be(self, kind: NodeKind) -> None:
        assert faults_of(kind) == []
        assert clash_of(kind, [other for other in BUILT_IN if other is not kind]) is None

    def test_names_its_nested_models(self, kind: NodeKind) -> None:
        schema: Any = config_schema(kind)
        models = {name for name, described in schema.get("$defs", {}).items() if described.get("type") == "object"}
        assert {model.__name__ for model in kind.nested} == models

    def test_has_a_configuration_that_comes_back_as_it_was_written(self, kind: NodeKind) -> None:
        values = EXAMPLES[kind.kind]
        compiled = compile_config(kind, values)
        assert compiled.problems == ()
        config = compiled.render({})
        assert config.model_dump(by_alias=True, exclude_unset=True, mode="json") == values
        again = kind.config.model_validate(config.model_dump(by_alias=True, mode="json"))
        assert again.model_dump() == config.model_dump()

    def test_has_schemas_for_editors(self, kind: NodeKind) -> None:
        schema: Any = config_schema(kind)
        assert schema["type"] == "object"
        assert "x-template" in str(schema) or "x-expression" in str(schema)
        output: Any = output_schema(kind)
        assert output["type"] == "object"


def test_kinds_are_found_by_both_names() -> None:
    found = Registry()
    assert [kind.kind for kind in found] == [
        "LLM_CALL",
        "HTTP_REQUEST",
        "FAISS_SEARCH",
        "FAISS_UPSERT",
        "DB_WRITE",
        "TRANSFORM",
        "BRANCH",
        "WAIT",
        "APPROVAL",
        "SUBWORKFLOW",
    ]
    assert found.by_kind("TRANSFORM") is found.by_name("transform") is transform.KIND
    assert found.by_kind("transform") is None
    assert found.by_name("gone") is None
    assert list(found.names) == [
        "llmCall",
        "httpRequest",
        "faissSearch",
        "faissUpsert",
        "dbWrite",
        "transform",
        "branch",
        "wait",
        "approval",
        "subworkflow",
    ]


def test_two_kinds_with_one_name_are_refused() -> None:
    with pytest.raises(SetupFault, match="TRANSFORM"):
        Registry([transform.KIND, transform.KIND])
