from __future__ import annotations

import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import NodeFault
from domain.json_codec import MAX_OUTPUT_BYTES, decode, encode


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("a\0", "output contains the character U+0000, which cannot be stored."),
        ({"a": [{"b": "x\0"}]}, "output.a[0].b contains the character U+0000, which cannot be stored."),
        ({"a\0b": 1}, "output.'a\\x00b' has a name that contains the character U+0000, which cannot be stored."),
        (["ok", "\ud800"], "output[1] contains a lone surrogate, which is not Unicode text."),
        ({"\udc00": 1}, "output.'\\udc00' has a name that contains a lone surrogate, which is not Unicode text."),
        ({"a": math.nan}, "output.a is NaN or infinite, which JSON does not know."),
        ([None, -math.inf], "output[1] is NaN or infinite, which JSON does not know."),
        ({"n": 2**64}, "output.n is an integer of more than 64 bit."),
        ({"n": -(2**63) - 1}, "output.n is an integer of more than 64 bit."),
        ({"f": len}, "output.f is not JSON but builtin_function_or_method."),
        ({"f": b"x"}, "output.f is not JSON but bytes."),
        ({1: 2}, "output has a name that is not a text."),
    ],
)
def test_what_the_database_cannot_keep_is_refused_by_its_path(value: Any, message: str) -> None:
    with pytest.raises(NodeFault) as fault:
        encode(value)
    assert (fault.value.code, fault.value.message) == ("INVALID_OUTPUT", message)
    assert not fault.value.is_retryable


@pytest.mark.parametrize(
    "value",
    [None, "\\u0000", "null", {"null": "nan"}, [None, 1.5, {"a": None}], 2**64 - 1, -(2**63), "😀", {"": ""}, 1e308],
)
def test_what_only_looks_suspicious_is_written(value: Any) -> None:
    assert decode(encode(value)) == value


def test_four_mebibytes_are_the_most() -> None:
    assert len(encode("x" * (MAX_OUTPUT_BYTES - 2))) == MAX_OUTPUT_BYTES
    with pytest.raises(NodeFault, match="4194305 bytes"):
        encode("x" * (MAX_OUTPUT_BYTES - 1))


def test_what_is_nested_too_deeply_is_refused() -> None:
    value: Any = None
    for _ in range(10_000):
        value = [value]
    with pytest.raises(NodeFault, match="nested more than 250 levels"):
        encode(value)


def test_keys_keep_their_order_and_numbers_their_kind() -> None:
    data = encode({"b": 1, "a": 1.0, "c": {"z": 10**18, "y": 0.1}})
    assert data == b'{"b":1,"a":1.0,"c":{"z":1000000000000000000,"y":0.1}}'
    assert [type(value) for value in decode(data).values()] == [int, float, dict]  # type: ignore[union-attr]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text(st.characters(exclude_categories=())), inner, max_size=4)
        ),
        max_leaves=10,
    )
)
def test_a_value_comes_back_equal_or_is_refused(value: Any) -> None:
    try:
        data = encode(value)
    except NodeFault:
        return
    assert decode(data) == value
    assert b"\\u0000" not in data.replace(b"\\\\", b"")


def test_an_output_of_200_bytes_is_encoded_in_microseconds() -> None:
    # A tenth of the measured speed: 2 µs.
    value = {"text": "x" * 100, "numbers": [1, 2, 3.5], "more": {"a": "hello world", "b": True}, "rest": "y" * 30}
    best = min(_duration(value, 500) for _ in range(10))
    assert best / 500 < 20e-6


def _duration(value: Any, count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        encode(value)
    return time.perf_counter() - started
