from __future__ import annotations

import pytest
from anabranch_texts.stream_text import KIND, StreamTextOutput

from anabranch import NodeFault
from anabranch.testing import Answer, RecordingContext, ScriptedHttp, configure, faults_of

ADDRESS = "https://example.com/poem"


def test_the_kind_is_sound() -> None:
    assert faults_of(KIND) == []


async def test_a_text_is_shown_piece_by_piece_and_returned_whole() -> None:
    whole = "ein Fluß\nzweimal".encode()
    http = ScriptedHttp([Answer([whole[:8], whole[8:]])])  # cut in the middle of the ß
    ctx = RecordingContext(client=http)
    result = await KIND.run(configure(KIND, {"address": ADDRESS}), ctx)
    assert result.output == StreamTextOutput(text="ein Fluß\nzweimal", lines=2)
    assert [text for _, text in ctx.emitted] == ["ein Flu", "ß\nzweimal"]
    assert ctx.moves == 2
    assert http.requests[0].headers == []


async def test_the_token_is_a_secret_that_is_sent_as_a_header() -> None:
    http = ScriptedHttp([Answer([b"x"])])
    values = {"address": ADDRESS, "token": "{{ secrets.POEMS }}"}
    await KIND.run(configure(KIND, values, secrets={"POEMS": "s3cret"}), RecordingContext(client=http))
    assert http.requests[0].headers == [("Authorization", "Bearer s3cret")]


@pytest.mark.parametrize(
    ("status", "code", "is_retryable"),
    [(401, "TOKEN_REFUSED", False), (404, "NOT_AVAILABLE", False), (503, "NOT_AVAILABLE", True)],
)
async def test_other_answers_fail_with_their_codes(status: int, code: str, is_retryable: bool) -> None:
    ctx = RecordingContext(client=ScriptedHttp([Answer(status=status)]))
    with pytest.raises(NodeFault) as caught:
        await KIND.run(configure(KIND, {"address": ADDRESS}), ctx)
    assert (caught.value.code, caught.value.is_retryable) == (code, is_retryable)
    assert ctx.emitted == []
