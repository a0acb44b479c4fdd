from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.errors import SignatureRefused
from domain.signatures import SignedHeaders, key_text, sign, verify

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, TIMESTAMP, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}'
NOW = datetime.fromtimestamp(int(TIMESTAMP), UTC)
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
"""What the libraries of Standard Webhooks are tested with."""


def headers(
    id_: str | None = ID, timestamp: str | None = TIMESTAMP, signature: str | None = SIGNATURE
) -> SignedHeaders:
    return SignedHeaders(id_, timestamp, signature)


def refusal(given: SignedHeaders, body: bytes = BODY, now: datetime = NOW, key: str = KEY) -> str:
    with pytest.raises(SignatureRefused) as refused:
        verify(key, given, body, now)
    return refused.value.code


def test_the_signature_is_the_one_that_published_libraries_make() -> None:
    assert sign(KEY, ID, TIMESTAMP, BODY) == SIGNATURE
    assert verify(KEY, headers(), BODY, NOW) == ID


def test_a_new_key_is_written_as_libraries_take_it() -> None:
    key = key_text(bytes(range(32)))
    assert key == "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    assert verify(key, headers(signature=sign(key, ID, TIMESTAMP, BODY)), BODY, NOW) == ID


def test_one_right_signature_among_several_is_enough() -> None:
    assert verify(KEY, headers(signature=f"v1a,abc v1,d3Jvbmc= {SIGNATURE}"), BODY, NOW) == ID
    assert refusal(headers(signature=f"{'v1,x ' * 20}{SIGNATURE}")) == "SIGNATURE_INVALID"


@pytest.mark.parametrize("missing", ["id_", "timestamp", "signature"])
def test_a_call_without_one_of_the_headers_is_refused(missing: str) -> None:
    assert refusal(headers(**{missing: None})) == "SIGNATURE_MISSING"


@pytest.mark.parametrize(
    ("given", "body"),
    [
        (headers("msg_other"), BODY),
        (headers(timestamp="1614265331"), BODY),
        (headers(), BODY + b" "),
        (headers(signature=""), BODY),
        (headers(signature=SIGNATURE.removeprefix("v1,")), BODY),
        (headers(signature=SIGNATURE.replace("v1,", "v2,")), BODY),
        (headers(signature="v1,é"), BODY),
        (headers(""), BODY),
        (headers("a b"), BODY),
        (headers("x" * 256), BODY),
        (headers(timestamp="now"), BODY),
        (headers(timestamp="-1"), BODY),
        (headers(timestamp="1" * 13), BODY),
        (headers(timestamp="\uff11614265330"), BODY),
    ],
)
def test_whatever_was_not_signed_like_this_is_refused(given: SignedHeaders, body: bytes) -> None:
    assert refusal(given, body) == "SIGNATURE_INVALID"


def test_the_same_bytes_cannot_be_read_as_another_id_timestamp_and_body() -> None:
    signature = sign(KEY, "a", TIMESTAMP, f"{TIMESTAMP}.5".encode())
    assert signature == sign(KEY, f"a.{TIMESTAMP}", TIMESTAMP, b"5")
    assert verify(KEY, headers("a", signature=signature), f"{TIMESTAMP}.5".encode(), NOW) == "a"
    assert refusal(headers(f"a.{TIMESTAMP}", signature=signature), b"5") == "SIGNATURE_INVALID"


@pytest.mark.parametrize(("off_s", "is_taken"), [(300, True), (-300, True), (301, False), (-301, False)])
def test_a_timestamp_is_taken_within_five_minutes_either_way(off_s: int, is_taken: bool) -> None:
    now = NOW + timedelta(seconds=off_s)
    if is_taken:
        assert verify(KEY, headers(), BODY, now) == ID
    else:
        assert refusal(headers(), now=now) == "TIMESTAMP_OUTSIDE_WINDOW"


def test_whoever_has_no_key_is_not_told_about_the_clock() -> None:
    late = NOW + timedelta(hours=1)
    assert refusal(headers(), now=late, key=key_text(b"x" * 32)) == "SIGNATURE_INVALID"
