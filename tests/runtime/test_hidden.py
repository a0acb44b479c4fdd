from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from typing import Any
from urllib.parse import quote

import pytest
from structlog.testing import capture_logs
from uuid_utils.compat import uuid7

from domain.connections import HttpAuthScheme, HttpAuthSettings
from domain.errors import NodeFault
from domain.ids import ConnectionId
from domain.kinds import Result
from domain.rate_limits import Caps
from domain.run import DeltaChannel
from runtime.attempt import NodeAttempt
from runtime.connections import _credential as credential_of
from runtime.deltas import DeltaStream
from runtime.execute import Failed, Succeeded, execute_node
from runtime.hidden import Hidden
from tests.runtime.test_execute import WORKSPACE, Secretive, node

SECRET = 'pa"ss/wörd\\+1-long'


class Knowing(Secretive):
    """Services with one secret that is worth hiding."""

    async def secrets(self, workspace_id: Any, names: Any) -> Any:
        """Return the secret."""
        del workspace_id, names
        return {"KEY": SECRET}


async def executed(step: Any, stream: DeltaStream | None = None) -> Any:
    attempt = NodeAttempt(Knowing(), WORKSPACE, "run/a/-", stream)
    return await execute_node(node(step, value="{{ secrets.KEY }}"), {"input": None, "nodes": {}}, attempt, None)


@pytest.mark.parametrize(
    "repeated",
    [SECRET, json.dumps(SECRET), json.dumps(SECRET, ensure_ascii=False), quote(SECRET, safe=""), quote(SECRET)],
)
async def test_an_output_that_repeats_a_secret_shows_a_mask_in_its_place(repeated: str) -> None:
    async def step(_ctx: Any) -> Result:
        return Result({"body": [f"Bearer {repeated}!", {repeated: 1}], "n": 12345678})

    outcome = await executed(step)
    assert isinstance(outcome, Succeeded)
    shown = repeated.replace(repeated.strip('"'), "•••")
    assert json.loads(outcome.output) == {"body": [f"Bearer {shown}!", {shown: 1}], "n": 12345678}


async def test_a_secret_in_base64_is_found_and_so_are_the_digits_of_one() -> None:
    hidden = Hidden([SECRET, "12345678", "short", None])
    assert hidden.text(b64encode(SECRET.encode()).decode()).startswith("•••")
    assert hidden.json([12345678, 1.5, True, None, "short"]) == ["•••", 1.5, True, None, "short"]


async def test_errors_and_the_log_of_a_kind_that_fails_do_not_repeat_a_secret() -> None:
    async def refused(_ctx: Any) -> Result:
        raise NodeFault("NO", f"The peer says: {SECRET}")

    async def broken(_ctx: Any) -> Result:
        raise RuntimeError(SECRET)

    outcome = await executed(refused)
    assert isinstance(outcome, Failed)
    assert outcome.fault.message == "The peer says: •••"
    with capture_logs() as logs:
        await executed(broken)
    assert "RuntimeError: •••" in logs[0]["exception"]
    assert SECRET not in str(logs)


async def test_streamed_pieces_do_not_repeat_a_secret() -> None:
    sent: list[str] = []
    stream = DeltaStream("a", None, 1, lambda delta: sent.append(delta.text))

    async def step(ctx: Any) -> Result:
        await ctx.emit(f"<{SECRET}>", DeltaChannel.TEXT)
        return Result(None)

    await executed(step, stream)
    assert sent == ["<•••>"]


async def test_a_node_without_secrets_is_not_looked_through() -> None:
    attempt = NodeAttempt(Knowing(), WORKSPACE, "run/a/-", None)
    await execute_node(node(value="x"), {"input": None, "nodes": {}}, attempt, None)
    assert attempt.hidden is None


def test_the_end_of_a_piece_that_may_begin_a_secret_waits_for_the_next() -> None:
    hidden = Hidden(["sk-canary-1"])
    shown, held = "", ""
    for piece in ("It is sk", "-can", "ary-1, no, sk-", "other s"):
        text, held = hidden.cut(held + piece)
        shown += text
    assert (shown, held) == ("It is •••, no, sk-other ", "s")


async def test_the_password_in_a_basic_header_is_hidden_too_however_a_peer_writes_it() -> None:
    pair = f"ada:{SECRET}"
    header = b64encode(pair.encode()).decode()

    class Known(Knowing):
        async def credential(self, workspace_id: Any, connection: str) -> Any:
            del workspace_id
            settings = HttpAuthSettings(HttpAuthScheme.BASIC, ("https://a.example",), "ada")
            return credential_of(settings, SECRET, Caps(ConnectionId(uuid7()), connection))

    repeated = [SECRET, quote(SECRET, safe=""), json.dumps(SECRET)[1:-1], b64encode(SECRET.encode()).decode()]
    repeated += [pair, quote(pair), header, header.rstrip("="), urlsafe_b64encode(pair.encode()).decode()]

    async def step(ctx: Any) -> Result:
        await ctx.credential("api")
        return Result({"body": repeated})

    outcome = await execute_node(
        node(step), {"input": None, "nodes": {}}, NodeAttempt(Known(), WORKSPACE, "run/a/-", None), None
    )
    assert isinstance(outcome, Succeeded)
    assert {told.rstrip("=") for told in json.loads(outcome.output)["body"]} == {"•••"}


def test_a_short_value_leaves_names_of_fields_as_they_are_and_hides_no_long_one_in_them() -> None:
    long_ = "api_token-and-much-more"
    hidden = Hidden(["api_token", long_])
    assert hidden.json({"api_token": "api_token", f"<{long_}>": 1}) == {"api_token": "•••", "<•••>": 1}


@pytest.mark.parametrize(("password", "alone"), [("api_token", False), ("twelve-chars", True)])
async def test_a_short_password_of_a_basic_header_is_hidden_in_the_pair_and_its_base64_only(
    password: str, *, alone: bool
) -> None:
    settings = HttpAuthSettings(HttpAuthScheme.BASIC, ("https://a.example",), "ada")
    credential = credential_of(settings, password, Caps(ConnectionId(uuid7()), "api"))
    sent = credential.headers["Authorization"]
    hidden = Hidden([sent, sent.partition(" ")[2], *credential.parts])
    assert hidden.text(f"{sent} ada:{password} {b64encode(f'ada:{password}'.encode()).decode()}") == "••• ••• •••"
    assert hidden.text(password) == ("•••" if alone else password)
