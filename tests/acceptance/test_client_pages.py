"""What `docs/clients/` shows is what the examples do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.client_examples import CLIENTS

PAGES = Path(__file__).parents[2] / "docs" / "clients"


@pytest.mark.parametrize("name", ["apollo", "urql"])
def test_every_block_of_typescript_in_a_page_is_in_its_example(name: str) -> None:
    sources = [path.read_text() for path in (CLIENTS / name).glob("*.ts")]
    blocks = re.findall(r"^```ts\n(.*?)^```$", (PAGES / f"{name}.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 6
    assert [block for block in blocks if not any(block in source for source in sources)] == []


def test_what_both_examples_share_is_the_same() -> None:
    for name in ("socket.ts", "story.yaml", "tsconfig.json", "operations.graphql"):
        assert (CLIENTS / "apollo" / name).read_text() == (CLIENTS / "urql" / name).read_text()


@pytest.mark.parametrize("name", ["apollo", "urql"])
def test_an_example_asks_for_the_versions_that_are_tested_elsewhere(name: str) -> None:
    """One version of a library in the tree: `tests/gql/transports` runs the same."""
    pattern = re.compile(r'"(@apollo/client|@urql/core|graphql|graphql-ws|rxjs)": "([\d.]+)"')
    ours = dict(pattern.findall((CLIENTS / name / "package.json").read_text()))
    theirs = dict(pattern.findall((Path(__file__).parents[1] / "gql/transports/package.json").read_text()))
    assert ours == {library: theirs[library] for library in ours}
