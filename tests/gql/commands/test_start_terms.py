from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.cli import anabranch, api, sent, signed_in
from tests.support.fake_api import RUN, FakeApi

if TYPE_CHECKING:
    from tests.support.cli import Command

__all__ = ["anabranch", "api", "signed_in"]


def test_the_terms_of_a_start_are_sent_and_a_run_that_was_there_is_told(signed_in: Command, api: FakeApi) -> None:
    known: dict[str, Any] = {"id": "wf_9", "slug": "x", "revision": 4, "inputSchema": {}, "document": ""}
    api.answers["FindWorkflow"] = {"workflows": {"nodes": [known]}}
    answer: dict[str, Any] = {"run": {"id": RUN, "status": "RUNNING"}, "isExisting": True, "userErrors": []}
    api.answers["StartRun"] = {"startRun": answer}
    terms = (
        "--key monday --on-conflict cancel-existing --priority 1 --concurrency-key acme --label team=docs --label n=a=b"
    )
    status, out, _ = signed_in("run", "x", *terms.split())
    assert (status, out) == (0, f"The key stands for {RUN}; anabranch watch {RUN}\n")
    [started] = sent(api, "StartRun")
    assert started["input"] == {
        "workflowId": "wf_9",
        "input": {},
        "useDraft": False,
        "idempotencyKey": "monday",
        "onConflict": "CANCEL_EXISTING",
        "priority": 1,
        "concurrencyKey": "acme",
        "labels": [{"name": "team", "value": "docs"}, {"name": "n", "value": "a=b"}],
    }


def test_a_label_without_a_value_starts_nothing(signed_in: Command, api: FakeApi) -> None:
    status, _, err = signed_in("run", "x", "--label", "team")
    assert (status, err) == (1, "--label 'team' is not of the form name=value.\n")
    assert sent(api, "StartRun") == []
