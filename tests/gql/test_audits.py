"""The server audits of npm `graphql-http`, all of them, against a running server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.node import find_node, install
from tests.support.probe import probing

if TYPE_CHECKING:
    from tests.support.node import Node

FOLDER = Path(__file__).parent / "audits"


@pytest.fixture(scope="session")
def node() -> Node:
    node = find_node()
    install(node, FOLDER)
    return node


@pytest.mark.timeout(300)
async def test_all_audits_of_graphql_over_http_pass(node: Node) -> None:
    async with probing() as probe:
        process = await asyncio.create_subprocess_exec(
            str(node.program),
            "run.mjs",
            probe.graphql,
            cwd=FOLDER,
            env=node.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(120):
            told, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    results = json.loads(told)
    assert len(results) >= 61
    assert [result for result in results if result["status"] != "ok"] == []
