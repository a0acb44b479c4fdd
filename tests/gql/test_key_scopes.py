from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from domain.identity import ROLES_WITH, Scope, scope_for
from tests.gql.test_permissions import FIELDS, permission

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE = Path(__file__).parents[2] / "docs" / "api-keys.md"
BEGIN, END = "<!-- scopes -->\n", "<!-- end of scopes -->"


def test_the_page_on_keys_tells_of_each_mutation_which_scope_it_needs_or_that_it_is_refused() -> None:
    needed: dict[Scope | None, list[str]] = {scope: [] for scope in (Scope.WRITE, Scope.EXECUTE, Scope.ADMIN, None)}
    for field in FIELDS:
        if field.operation == "mutation":
            demanded = permission(field)
            assert demanded is not None
            needed[scope_for(demanded) if demanded in ROLES_WITH else None].append(field.name)
    rows = [
        f"| {f'`{scope.value}`' if scope else 'refused to every key'} | {_listed(names)} |"
        for scope, names in needed.items()
    ]
    wanted = "\n".join(["| scope | mutations |", "|---|---|", *rows, ""])
    told = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    assert told == wanted, f"{PAGE.name} shall have between its marks:\n{wanted}"


def test_the_schema_says_of_each_mutation_that_it_is_refused_to_keys_if_it_is() -> None:
    for field in FIELDS:
        if field.operation == "mutation":
            description = field.definition.description or ""
            assert description.endswith("Refused to API keys.") is (permission(field) not in ROLES_WITH), field.name


def _listed(names: Iterable[str]) -> str:
    return " ".join(f"`{name}`" for name in sorted(names))
