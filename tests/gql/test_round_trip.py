from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from domain.config_fields import canonical
from domain.document import dump
from gql.schema import build_schema
from runtime.settings import Settings
from tests.domain.made_configs import TEXTS, samples
from tests.domain.made_graphs import KINDS, definitions, lines
from tests.support.api import Api
from tests.support.identity import make_principal
from tests.support.services import open_test_services

if TYPE_CHECKING:
    from pathlib import Path

    from domain.workflow import Definition
    from persistence.database import Database

SCHEMA = build_schema(Settings(_env_file=None))  # pyright: ignore[reportCallIssue]
IMPORT = """
mutation ($document: String!, $mode: ImportMode) {
  importWorkflow(input: {document: $document, mode: $mode}) {
    workflow { document revision } isCreated
    userErrors { message ... on DocumentProblemsError { problems { line column code message } } }
  }
}
"""


async def test_what_the_api_exports_it_imports_and_exports_again_to_the_same_bytes(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    caller = await make_principal(database, "ada")
    drawn: list[tuple[str, str | None, Definition]] = samples(st.tuples(lines, st.none() | TEXTS, definitions), 30)
    async with open_test_services(database_url, tmp_path) as services:
        api = Api(SCHEMA, services)

        async def taken_in(document: str, mode: str) -> Any:
            answer = await api.run(IMPORT, {"document": document, "mode": mode}, caller=caller)
            assert answer.errors == []
            assert answer.data["importWorkflow"]["userErrors"] == [], document
            return answer.data["importWorkflow"]

        for place, (name, description, definition) in enumerate(drawn):
            text = dump(name, f"w{place}", description, definition)
            first = await taken_in(text, "CREATE")
            exported = first["workflow"]["document"]
            assert exported == dump(name, f"w{place}", description, canonical(definition, KINDS))
            again = await taken_in(exported, "UPSERT")
            assert again["workflow"] == {"document": exported, "revision": 1}  # the same is no edit
            copied = await taken_in(exported.replace(f"\nslug: w{place}\n", f"\nslug: copy-{place}\n", 1), "CREATE")
            assert (
                copied["workflow"]["document"].replace(f"\nslug: copy-{place}\n", f"\nslug: w{place}\n", 1) == exported
            )
