from __future__ import annotations

import pytest

from domain.http_headers import is_header_of_authors, is_header_value


@pytest.mark.parametrize("name", ["Authorization", "x-a", "Content-Type", "Idempotency-Key", "Cookie", "a" * 256])
def test_ordinary_headers_may_be_set(name: str) -> None:
    assert is_header_of_authors(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b",
        "a:",
        "é",
        "a\n",
        "Host",
        "HOST",
        "Content-Length",
        "transfer-encoding",
        "Connection",
        "Proxy-X",
        "TE",
        "a" * 257,
    ],
)
def test_headers_that_frame_or_route_a_message_may_not(name: str) -> None:
    assert not is_header_of_authors(name)


@pytest.mark.parametrize(
    ("value", "is_fine"), [("", True), ("a\tb é 😀", True), ("a\r", False), ("a\nb", False), ("\0", False)]
)
def test_a_value_has_no_line_breaks(value: str, is_fine: bool) -> None:
    assert is_header_value(value) is is_fine
