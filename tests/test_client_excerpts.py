"""The code on the pages of the clients for Relay and Python is that of their examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("page", "language", "sources"), [("relay", "ts", "src/*.ts"), ("python", "python", "*.py")])
def test_every_block_of_a_page_is_in_the_example(page: str, language: str, sources: str) -> None:
    folder = ROOT / "examples" / "clients" / page
    texts = [path.read_text(encoding="utf-8") for path in folder.glob(sources)]
    text = (ROOT / "docs" / "clients" / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 7
    assert [block for block in blocks if not any(block in source for source in texts)] == []


def test_the_examples_use_the_versions_that_are_tested_elsewhere() -> None:
    pattern = re.compile(r'"(graphql|graphql-ws|relay-compiler|relay-runtime|ws)": "([\d.]+)"')
    ours = dict(pattern.findall((ROOT / "examples/clients/relay/package.json").read_text()))
    tests = ROOT / "tests" / "gql"
    theirs = {
        name: version
        for folder in ("contract", "transports")
        for name, version in pattern.findall((tests / folder / "package.json").read_text())
    }
    assert ours == theirs
