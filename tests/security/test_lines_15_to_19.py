"""Lines 15 to 19 of docs/design/security.md: nodes that act."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from domain.config_shapes import Items, Leaf, shape_of
from domain.configs import compile_config
from domain.errors import NodeFault, SecretUnreadable, TemplateFault
from domain.ports.outbound import OutboundRequest
from runtime.clients.http import open_http
from runtime.clients.outbound import OutboundGuard
from runtime.encryption import Vault
from runtime.nodes.http_request import KIND as HTTP_REQUEST
from runtime.registry import BUILT_IN
from tests.domain.test_template_data import BOMBS
from tests.persistence.test_external_tables import HOSTILE, Other, other, other_url, port
from tests.runtime.clients.test_outbound import guard
from tests.support.identity import ENCRYPTION_KEY
from tests.support.scope import render
from tests.support.web_server import web_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.config_shapes import Shape

__all__ = ["other", "other_url", "port"]
PRIVATE = (
    "127.0.0.1", "127.255.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.1",  # noqa: S104
    "192.168.1.1", "169.254.169.254", "100.64.0.1", "[fc00::1]", "[fd00::1]", "[fe80::1]", "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]", "2130706433", "0177.0.0.1", "0x7f.1", "127.1", "localhost.", "user@127.0.0.1",
)  # fmt: skip


async def test_line_15_no_spelling_and_no_redirect_leads_into_a_private_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for host in PRIVATE:
        with pytest.raises(NodeFault) as refused:
            await guard("127.0.0.1").check_url(f"http://{host}/")
        assert refused.value.code in {"ADDRESS_REFUSED", "INVALID_URL"}, host
    for url in ("file:///etc/passwd", "gopher://a.example/", "ftp://a.example/"):
        with pytest.raises(NodeFault):
            await guard("93.184.215.14").check_url(url)
    await guard("93.184.215.14").check_url("https://a.example/")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with web_server() as inside, web_server() as server, open_http(OutboundGuard([server.allowed])) as http:
        server.answer("/go", status=302, headers={"Location": f"{inside.url}/secret", "Set-Cookie": "a=b"})
        with pytest.raises(NodeFault) as refused:
            async with http.send(OutboundRequest("GET", f"{server.url}/go")):
                pass
        assert refused.value.code == "ADDRESS_REFUSED"
        async with http.send(OutboundRequest("GET", f"{server.url}/again")) as answer:
            assert answer.status == 200, "the variable of a proxy is not followed"
        assert inside.asked == []
        assert "Cookie" not in server.asked[-1].headers


def test_line_16_data_is_rendered_once_and_bombs_end_in_a_second() -> None:
    assert render("x {{ input.template }}") == "x {{ 7*7 }}"
    assert render("{{ 7*7 }}") == 49
    for bomb in BOMBS:
        began = time.thread_time()
        with pytest.raises(TemplateFault):
            render(bomb)
        assert time.thread_time() - began < 1.0, bomb[:40]


async def test_line_17_values_are_bound_and_names_are_those_of_the_table(other: Other) -> None:
    for hostile in HOSTILE:
        await other.write({"sku": "a", 'odd "name': hostile})
        assert await other.connection.fetchval('SELECT "odd ""name" FROM sales.orders') == hostile
        await other.connection.execute("DELETE FROM sales.orders")
        assert (await other.refused({"sku": "a"}, table=hostile)).code == "TABLE_NOT_FOUND"
        assert (await other.refused({"sku": "a", hostile: 1})).code == "INVALID_ROW"
    for value in ("a\0b", ["a"], {"a": 1}):
        assert (await other.refused({"sku": value})).code == "INVALID_ROW"


def test_line_18_a_sealed_value_opens_for_its_own_object_and_tenant_only() -> None:
    """The search for canaries in tables, events, logs and errors is `tests/acceptance/test_canary.py`."""
    vault, tenant, secret = Vault([ENCRYPTION_KEY]), UUID(int=1), UUID(int=2)
    sealed = vault.seal("canary-1", workspace_id=tenant, object_id=secret)
    assert b"canary" not in sealed
    assert vault.open(sealed, workspace_id=tenant, object_id=secret) == "canary-1"
    for workspace, of in ((UUID(int=3), secret), (tenant, UUID(int=3))):
        with pytest.raises(SecretUnreadable):
            vault.open(sealed, workspace_id=workspace, object_id=of)
    for changed in (sealed[:-1], sealed[:-1] + bytes([sealed[-1] ^ 1]), b"\x02" + sealed[1:]):
        with pytest.raises(SecretUnreadable):
            vault.open(changed, workspace_id=tenant, object_id=secret)


def test_line_19_names_are_never_templates_and_an_answer_of_a_model_is_data() -> None:
    named = [(kind.kind, leaf) for kind in BUILT_IN for leaf in leaves(shape_of(kind.config)) if leaf.reference_to]
    assert len(named) >= 6
    assert [kind for kind, leaf in named if leaf.is_template] == [], (
        "no output chooses a connection, table or collection"
    )
    wired = compile_config(HTTP_REQUEST, {"url": "https://a.example/{{ nodes.ask.output.text }}"})
    told = "{{ secrets.KEY }}{{ 7*7 }}"
    scope: Any = {"input": None, "nodes": {"ask": {"output": {"text": told}}}}
    assert wired.secret_names == frozenset()
    assert wired.describe(scope) == {"url": f"https://a.example/{told}"}
    fixed = compile_config(HTTP_REQUEST, {"url": "https://a.example/"})
    assert fixed.references == frozenset()


def leaves(shape: Shape) -> Iterator[Leaf]:
    if isinstance(shape, Leaf):
        yield shape
    elif isinstance(shape, Items):
        yield from leaves(shape.of)
    else:
        for field in shape.of.values():
            yield from leaves(field.shape)
