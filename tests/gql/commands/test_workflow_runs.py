from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.cli import anabranch, api, signed_in
from tests.support.fake_api import RUN, FakeApi, event, node_event, story

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., tuple[int, str, str]]

__all__ = ["anabranch", "api", "signed_in"]


def test_what_a_run_has_used_is_told_before_its_output_with_the_cost_where_it_is_known(
    signed_in: Command, api: FakeApi
) -> None:
    _, out, _ = signed_in("watch", RUN)
    assert out[out.index("Tokens") :].splitlines()[:2] == ["Tokens: 7 in, 2 out", "{"]
    api.events[-1]["usage"] |= {"cost": "0.0000052", "currency": "U\x1bD"}
    _, out, _ = signed_in("watch", RUN)
    assert "Tokens: 7 in, 2 out, 0.0000052 U\N{REPLACEMENT CHARACTER}D\n" in out


def test_a_run_that_failed_has_used_what_the_server_says_after_its_end(signed_in: Command, api: FakeApi) -> None:
    error = {"code": "MODEL_UNAVAILABLE", "message": "No answer.", "nodeKey": "ask", "attempt": 3}
    api.events = [*story()[:3], node_event(4, "NodeFailed", error=error), event(5, "RunFailed", error=error)]
    api.answers["RunUsage"] = {
        "run": {"usage": {"inputTokens": 9, "outputTokens": 0, "totalTokens": 9, "cost": "7", "currency": "CNY"}}
    }
    status, out, _ = signed_in("watch", RUN)
    assert (status, out.splitlines()[-1]) == (1, "Tokens: 9 in, 0 out, 7 CNY")
