from __future__ import annotations

import asyncio
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.identity import make_principal

if TYPE_CHECKING:
    from domain.identity import Principal
    from persistence.database import Database
    from tests.support.api import Answer, Api

IMPORT = """
mutation ($document: String!, $mode: ImportMode, $revision: Int) {
  importWorkflow(input: {document: $document, mode: $mode, expectedRevision: $revision}) {
    workflow { id slug name revision document description isRunnable problems { code nodeKey } settings { timeoutMs } }
    isCreated
    userErrors {
      __typename message code path
      ... on ConflictError { currentRevision }
      ... on DocumentProblemsError { problems { line column code message hint } }
    }
  }
}
"""
LIST = "{ workflows { nodes { slug revision document } } }"
HELLO = """\
name: Hello
slug: hello
description: Says hello.
settings:
  timeoutMs: 60000
nodes:
  greet:
    transform:
      fields:
        - name: text
          value: Hello, {{ input.name }}
layout:
  greet: [10, 20]
"""


async def take_in(api: Api, caller: Principal, document: str, mode: str = "CREATE", revision: int | None = None) -> Any:
    variables = {"document": document, "mode": mode, "revision": revision}
    answer: Answer = await api.run(IMPORT, variables, caller=caller)
    assert answer.errors == []
    return answer.data["importWorkflow"]


async def stored(api: Api, caller: Principal) -> list[Any]:
    return (await api.run(LIST, caller=caller)).data["workflows"]["nodes"]


async def test_a_file_makes_a_workflow_that_gives_the_file_back(api: Api, ada: Principal) -> None:
    made = await take_in(api, ada, HELLO)
    assert (made["userErrors"], made["isCreated"]) == ([], True)
    assert (made["workflow"]["slug"], made["workflow"]["revision"], made["workflow"]["document"]) == ("hello", 1, HELLO)


async def test_a_file_without_a_slug_gets_one_of_its_name(api: Api, ada: Principal) -> None:
    slugs = [(await take_in(api, ada, "name: Éclair!"))["workflow"]["slug"] for _ in range(2)]
    assert slugs == ["eclair", "eclair-2"]
    again = await take_in(api, ada, "name: Éclair!\ndescription: Sweet.", "UPSERT")
    assert (again["isCreated"], again["workflow"]["slug"], again["workflow"]["revision"]) == (False, "eclair", 2)


async def test_a_taken_slug_is_refused_with_create_and_changes_nothing(api: Api, ada: Principal) -> None:
    await take_in(api, ada, HELLO)
    before = await stored(api, ada)
    refused = await take_in(api, ada, HELLO.replace("Hello", "Good day"))
    assert (refused["workflow"], refused["isCreated"]) == (None, None)
    assert [(one["code"], one["path"]) for one in refused["userErrors"]] == [("ALREADY_EXISTS", ["input", "document"])]
    assert await stored(api, ada) == before


async def test_upsert_makes_the_draft_what_the_file_says_and_drops_what_it_does_not_say(
    api: Api, ada: Principal
) -> None:
    first = await take_in(api, ada, HELLO, "UPSERT")
    second = await take_in(api, ada, "name: Bare\nslug: hello\n", "UPSERT")
    assert (first["isCreated"], second["isCreated"]) == (True, False)
    assert second["workflow"] == {
        "id": first["workflow"]["id"], "slug": "hello", "name": "Bare", "revision": 2, "description": None,
        "document": "name: Bare\nslug: hello\n", "isRunnable": True, "problems": [], "settings": {"timeoutMs": None},
    }  # fmt: skip


async def test_a_file_that_says_what_is_stored_is_no_edit(api: Api, ada: Principal) -> None:
    await take_in(api, ada, HELLO)
    with_defaults = HELLO.replace("    transform:", "    join: ALL\n    retry: {maximumAttempts: 3}\n    transform:")
    for document in (HELLO, with_defaults, HELLO.replace("name: Hello", 'name: "Hello"')):
        again = await take_in(api, ada, document, "UPSERT")
        assert (again["isCreated"], again["workflow"]["revision"]) == (False, 1)


async def test_an_expected_revision_guards_what_others_did(api: Api, ada: Principal) -> None:
    await take_in(api, ada, HELLO)
    changed = HELLO.replace("Says hello.", "Greets.")
    assert (await take_in(api, ada, changed, "UPSERT", 1))["workflow"]["revision"] == 2
    before = await stored(api, ada)
    for document in (HELLO, changed):  # also one that would change nothing
        [error] = (await take_in(api, ada, document, "UPSERT", 1))["userErrors"]
        assert (error["__typename"], error["currentRevision"]) == ("ConflictError", 2)
        assert error["path"] == ["input", "expectedRevision"]
    assert await stored(api, ada) == before
    [error] = (await take_in(api, ada, HELLO, "UPSERT", 0))["userErrors"]
    assert (error["__typename"], error["currentRevision"]) == ("ConflictError", 2)
    assert await stored(api, ada) == before


@pytest.mark.parametrize(("mode", "code"), [("UPSERT", "NOT_FOUND"), ("CREATE", "INVALID_INPUT")])
async def test_a_revision_of_what_is_not_there_is_refused(api: Api, ada: Principal, mode: str, code: str) -> None:
    [error] = (await take_in(api, ada, HELLO, mode, 1))["userErrors"]
    assert (error["code"], error["path"]) == (code, ["input", "expectedRevision"])
    assert await stored(api, ada) == []


async def test_many_imports_at_once_make_one_workflow(api: Api, ada: Principal) -> None:
    documents = [HELLO.replace("Says hello.", f"Number {number}.") for number in range(4)]
    done = await asyncio.gather(*(take_in(api, ada, document, "UPSERT") for document in documents))
    assert [one["userErrors"] for one in done] == [[]] * 4
    assert sorted(one["workflow"]["revision"] for one in done) == [1, 2, 3, 4]
    assert [one["isCreated"] for one in done].count(True) == 1
    assert [one["revision"] for one in await stored(api, ada)] == [4]


FAULTY = """\
name: x
nodes:
  a:
    transform:
      fields:
        - name: text
          value: "{{ input. }}"
        - nam: text
  b:
    httpRequest:
      url: https://example.com/
      maxResponseBytes: -1
    join: SOME
"""


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ("name: [", [(1, 8, "YAML_SYNTAX")]),
        ("name: x\nslug: y\nname: z", [(3, 1, "DUPLICATE_KEY")]),
        ("name: &a x\ndescription: *a", [(1, 7, "NOT_READ")]),
        ("name: !!str x", [(1, 7, "NOT_READ")]),
        ("name: x\nnods: {}", [(2, 1, "UNKNOWN_FIELD")]),
        ("name: x\nsettings: {maxParallelNodes: 0}", [(2, 12, "INVALID_VALUE")]),
        ("name: x\nslug: No Slug", [(2, 1, "INVALID_VALUE")]),
        ('name: "a\\nb"', [(1, 1, "INVALID_VALUE")]),
        ("name: x\ninputSchema:\n  type: strange", [(3, 3, "INVALID_VALUE")]),
        ('name: x\ndescription: "a\\0b"', [(2, 1, "NOT_STORABLE")]),
        ("name: x\noutput:\n  a: 36893488147419103232", [(3, 3, "NOT_STORABLE")]),
        ("name: x\noutput:\n  a: " + "[" * 70 + "]" * 70, [(3, 3, "TOO_DEEP")]),
        ("name: x\nnodes:\n  a-b: {transform: {}}", [(3, 3, "INVALID_KEY")]),
        ("name: x\nnodes: {a: {transfrom: {}}}", [(2, 13, "UNKNOWN_KIND")]),
        ("name: x\nnodes: {a: {transform: {fields: []}}}\nedges: [a -> b]", [(3, 9, "DANGLING_EDGE")]),
    ],
)  # fmt: skip
async def test_every_problem_of_a_file_names_line_and_column_and_nothing_is_stored(
    api: Api, ada: Principal, document: str, found: list[tuple[int, int, str]]
) -> None:
    refused = await take_in(api, ada, document, "UPSERT")
    assert (refused["workflow"], refused["isCreated"]) == (None, None)
    [error] = refused["userErrors"]
    assert (error["__typename"], error["code"], error["path"]) == (
        "DocumentProblemsError", "INVALID_INPUT", ["input", "document"],
    )  # fmt: skip
    assert [(one["line"], one["column"], one["code"]) for one in error["problems"]] == found
    assert await stored(api, ada) == []


async def test_all_problems_of_the_graph_are_told_at_once(api: Api, ada: Principal) -> None:
    [error] = (await take_in(api, ada, FAULTY.replace("    join: SOME\n", "")))["userErrors"]
    assert [(one["line"], one["code"]) for one in error["problems"]] == [
        (7, "TEMPLATE_SYNTAX"), (8, "UNKNOWN_CONFIG_FIELD"), (8, "INVALID_CONFIG"), (12, "INVALID_CONFIG"),
    ]  # fmt: skip
    [error] = (await take_in(api, ada, FAULTY))["userErrors"]
    assert [(one["line"], one["code"]) for one in error["problems"]] == [(13, "INVALID_VALUE")]


async def test_at_most_a_hundred_problems_are_told(api: Api, ada: Principal) -> None:
    document = "name: x\n" + "".join(f"odd{number}: 1\n" for number in range(300))
    [error] = (await take_in(api, ada, document))["userErrors"]
    assert len(error["problems"]) == 100


async def test_what_is_wrong_in_meaning_is_imported_with_its_problems(api: Api, ada: Principal) -> None:
    document = HELLO.replace("input.name", "nodes.gone.output")
    made = await take_in(api, ada, document)
    assert made["userErrors"] == []
    assert made["workflow"]["isRunnable"] is False
    assert made["workflow"]["problems"] == [{"code": "UNKNOWN_REFERENCE", "nodeKey": "greet"}]
    assert made["workflow"]["document"] == document


async def test_a_bomb_is_refused_at_once(api: Api, ada: Principal) -> None:
    aliases = "name: x\na: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(50))
    values = "name: x\noutput: {a: [" + "1," * 110_000 + "]}"
    for document, code in ((aliases, "NOT_READ"), (values, "TOO_LARGE"), ("x" * 1_048_577, "TOO_LARGE")):
        [error] = (await take_in(api, ada, dedent(document)))["userErrors"]
        assert [one["code"] for one in error["problems"]] == [code]
    assert await stored(api, ada) == []


async def test_another_tenants_workspace_is_not_found_and_gets_nothing(
    api: Api, ada: Principal, database: Database
) -> None:
    eve = await make_principal(database, "eve")
    await take_in(api, ada, HELLO)
    assert (await take_in(api, eve, HELLO, "UPSERT"))["isCreated"] is True
    assert [one["revision"] for one in await stored(api, ada)] == [1]
