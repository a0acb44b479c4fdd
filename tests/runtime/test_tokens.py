from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import jwt
import pytest

from domain.errors import SetupFault, Unauthenticated
from domain.ids import SessionId, UserId
from runtime.tokens import AccessTokens, hash_opaque, make_opaque, setup_token

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)
KEY, OLD, FOREIGN = "k" * 32, "o" * 32, "f" * 32
USER, SESSION = UserId(UUID(int=1)), SessionId(UUID(int=2))


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> AccessTokens:
    return AccessTokens([KEY], clock=clock)


def forged(
    tokens: AccessTokens,
    *,
    key: str = KEY,
    algorithm: str = "HS256",
    without: str | None = None,
    claims: Mapping[str, object] | None = None,
) -> str:
    """A real token, changed in one respect and signed again."""
    real, _ = tokens.issue(USER, SESSION)
    payload = jwt.decode(real, options={"verify_signature": False}) | dict(claims or {})
    payload.pop(without or "", None)
    head = {"kid": jwt.get_unverified_header(real)["kid"]}
    return jwt.encode(payload, key, algorithm=algorithm, headers=head)


def test_a_token_says_who_and_until_when(tokens: AccessTokens) -> None:
    token, expires_at = tokens.issue(USER, SESSION)
    claims = tokens.verify(token)
    assert (claims.user_id, claims.session_id, claims.expires_at) == (USER, SESSION, expires_at)
    assert expires_at == datetime(2026, 11, 22, 12, 15, tzinfo=UTC)


def test_a_token_works_for_15_minutes_and_not_a_second_longer(tokens: AccessTokens, clock: Clock) -> None:
    token, expires_at = tokens.issue(USER, SESSION)
    clock.now = expires_at - timedelta(seconds=1)
    assert tokens.verify(token).user_id == USER
    clock.now = expires_at
    with pytest.raises(Unauthenticated):
        tokens.verify(token)


def test_what_the_forger_starts_from_is_valid(tokens: AccessTokens) -> None:
    assert tokens.verify(forged(tokens)).user_id == USER


def test_an_unsigned_token_is_refused(tokens: AccessTokens) -> None:
    real, _ = tokens.issue(USER, SESSION)
    kid = jwt.get_unverified_header(real)["kid"]
    for algorithm in ("none", "None", "NONE", "HS256"):
        header = base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "typ": "JWT", "kid": kid}).encode())
        unsigned = f"{header.rstrip(b'=').decode()}.{real.split('.')[1]}."
        with pytest.raises(Unauthenticated):
            tokens.verify(unsigned)


def test_a_token_signed_with_another_key_is_refused(tokens: AccessTokens) -> None:
    with pytest.raises(Unauthenticated):
        tokens.verify(forged(tokens, key=FOREIGN))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_is_refused_even_with_the_right_key(algorithm: str, clock: Clock) -> None:
    tokens = AccessTokens(["k" * 64], clock=clock)
    with pytest.raises(Unauthenticated):
        tokens.verify(forged(tokens, key="k" * 64, algorithm=algorithm))


@pytest.mark.parametrize("kid", ["", "unknown", 7, None, ["x"], {"x": 1}])
def test_an_unknown_kid_is_refused(tokens: AccessTokens, kid: object) -> None:
    real, _ = tokens.issue(USER, SESSION)
    header = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": kid}).encode()).rstrip(b"=").decode()
    with pytest.raises(Unauthenticated):
        tokens.verify(".".join([header, *real.split(".")[1:]]))


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "sid", "iat", "nbf", "exp", "jti"])
def test_a_token_without_one_of_its_claims_is_refused(tokens: AccessTokens, claim: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens.verify(forged(tokens, without=claim))


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "somebody"},
        {"aud": "another-api"},
        {"exp": int(NOW.timestamp()) - 1},
        {"exp": "2099-01-01"},
        {"exp": 1e300},
        {"exp": True},
        {"nbf": int(NOW.timestamp()) + 60},
        {"nbf": None},
        {"sub": "ada"},
        {"sid": 7},
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(tokens: AccessTokens, claims: dict[str, object]) -> None:
    with pytest.raises(Unauthenticated):
        tokens.verify(forged(tokens, claims=claims))


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "\0", "é", "x" * 5_000, "\ud800"])
def test_what_is_no_token_is_refused(tokens: AccessTokens, text: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens.verify(text)


def test_every_changed_letter_of_the_signed_part_is_noticed(tokens: AccessTokens) -> None:
    token, _ = tokens.issue(USER, SESSION)
    end = token.rindex(".")
    for place in range(0, end, 7):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(Unauthenticated):
            tokens.verify(changed)


def test_after_a_rotation_old_tokens_work_and_new_ones_are_signed_with_the_new_key(clock: Clock) -> None:
    old, rotated = AccessTokens([OLD], clock=clock), AccessTokens([KEY, OLD], clock=clock)
    assert rotated.verify(old.issue(USER, SESSION)[0]).user_id == USER
    token, _ = rotated.issue(USER, SESSION)
    assert AccessTokens([KEY], clock=clock).verify(token).user_id == USER
    with pytest.raises(Unauthenticated):
        old.verify(token)


@pytest.mark.parametrize("keys", [[], ["short"], [KEY, "short"]])
def test_keys_that_could_be_guessed_stop_the_start(keys: list[str], clock: Clock) -> None:
    with pytest.raises(SetupFault):
        AccessTokens(keys, clock=clock)


def test_opaque_tokens_differ_and_only_their_hash_is_stored() -> None:
    first, second = make_opaque(), make_opaque()
    assert first != second
    assert len(first) >= 43
    assert hash_opaque(first) != hash_opaque(second)
    assert first.encode() not in hash_opaque(first)
    assert hash_opaque("\ud800")


def test_the_set_up_token_is_the_same_in_every_process_and_says_nothing_of_the_key() -> None:
    assert setup_token(KEY) == setup_token(KEY) != setup_token(OLD)
    assert len(setup_token(KEY)) == 32
