from __future__ import annotations

import pytest

from domain.connections import (
    HttpAuthScheme,
    HttpAuthSettings,
    OpenaiCompatibleSettings,
    addresses,
    check_cap,
    check_connection_name,
    check_secret_name,
    check_secret_value,
    check_settings,
)
from domain.errors import InvalidInput, LimitExceeded

ORIGINS = ("https://api.example.com",)


@pytest.mark.parametrize("name", ["KEY", "_K9", "A" * 64])
def test_names_of_secrets_are_what_templates_can_say(name: str) -> None:
    assert check_secret_name(name) == name


@pytest.mark.parametrize("name", ["", "key", "9KEY", "MY-KEY", "KEY ", "KEY\n", "A" * 65, "SCHLÜSSEL"])
def test_other_names_of_secrets_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        check_secret_name(name)


def test_a_secret_holds_64_kib_of_utf_8() -> None:
    assert check_secret_value("é" * 32_768)
    with pytest.raises(LimitExceeded) as caught:
        check_secret_value("é" * 32_768 + "x")
    assert (caught.value.limit, caught.value.actual) == (65_536, 65_537)


@pytest.mark.parametrize("value", ["", "half \ud83d"])
def test_values_that_are_none_are_refused(value: str) -> None:
    with pytest.raises(InvalidInput):
        check_secret_value(value)


@pytest.mark.parametrize("name", ["", "-x", ".x", "a b", "a" * 65, "ä"])
def test_other_names_of_connections_are_refused(name: str) -> None:
    assert check_connection_name("Local-1.x_y") == "Local-1.x_y"
    with pytest.raises(InvalidInput):
        check_connection_name(name)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("https://Example.com/v1/", "https://example.com/v1"),
        ("https://example.com:443/v1", "https://example.com/v1"),
        ("http://example.com:8080", "http://example.com:8080"),
        ("https://[2001:DB8::1]:8443/v1", "https://[2001:db8::1]:8443/v1"),
    ],
)
def test_base_urls_are_stored_in_one_form(given: str, stored: str) -> None:
    assert check_settings(OpenaiCompatibleSettings(given), None) == OpenaiCompatibleSettings(stored)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/v1",
        "ftp://example.com",
        "file:///etc/passwd",
        "https://",
        "https://user@example.com/v1",
        "https://:secret@example.com/v1",
        "https://example.com/v1?key=1",
        "https://example.com/v1#part",
        "https://exa mple.com",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com/\r\nX: y",
        "https://[::1",
        "https://e.com/\ud800",
        "https://" + "x" * 2_048,
    ],
)
def test_base_urls_that_are_none_or_hide_something_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_settings(OpenaiCompatibleSettings(url), None)
    assert caught.value.path == ["input", "settings", "openaiCompatible", "baseUrl"]


@pytest.mark.parametrize("credential", ["", "a\nb", "a\r\nX-Evil: 1", "nul\0", "half\ud800"])
def test_a_credential_cannot_start_another_header(credential: str) -> None:
    with pytest.raises(InvalidInput):
        check_settings(OpenaiCompatibleSettings("https://example.com"), credential)
    with pytest.raises(InvalidInput):
        check_settings(HttpAuthSettings(HttpAuthScheme.BEARER, ORIGINS), credential)


def test_origins_are_normalised_and_named_once() -> None:
    given = HttpAuthSettings(
        HttpAuthScheme.BEARER, ("https://API.example.com/", "https://api.example.com:443", "http://b:81")
    )
    settings = check_settings(given, "token")
    assert isinstance(settings, HttpAuthSettings)
    assert settings.allowed_origins == ("https://api.example.com", "http://b:81")
    assert [address for address, _ in addresses(settings)] == list(settings.allowed_origins)


@pytest.mark.parametrize("origins", [(), ("https://a",) * 21, ("https://a/path",), ("*",), ("https://a?x=1",)])
def test_a_credential_is_never_sent_everywhere(origins: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput):
        check_settings(HttpAuthSettings(HttpAuthScheme.BEARER, origins), "token")


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (HttpAuthSettings(HttpAuthScheme.BASIC, ORIGINS), "username"),
        (HttpAuthSettings(HttpAuthScheme.BASIC, ORIGINS, username="a:b"), "username"),
        (HttpAuthSettings(HttpAuthScheme.BEARER, ORIGINS, username="ada"), "username"),
        (HttpAuthSettings(HttpAuthScheme.HEADER, ORIGINS), "parameter"),
        (HttpAuthSettings(HttpAuthScheme.BEARER, ORIGINS, parameter="X"), "parameter"),
        (HttpAuthSettings(HttpAuthScheme.HEADER, ORIGINS, parameter="X Y"), "parameter"),
        (HttpAuthSettings(HttpAuthScheme.HEADER, ORIGINS, parameter="Host"), "parameter"),
        (HttpAuthSettings(HttpAuthScheme.QUERY, ORIGINS, parameter=""), "parameter"),
    ],
)
def test_each_scheme_has_its_own_arguments(settings: HttpAuthSettings, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_settings(settings, "token")
    assert caught.value.path == ["input", "settings", "httpAuth", field]


def test_http_auth_without_a_credential_is_refused() -> None:
    with pytest.raises(InvalidInput):
        check_settings(HttpAuthSettings(HttpAuthScheme.BEARER, ORIGINS), None)


@pytest.mark.parametrize("cap", [0, -1, 100_001])
def test_caps_have_bounds(cap: int) -> None:
    assert check_cap(None, "maxConcurrent") is None
    assert check_cap(8, "maxConcurrent") == 8
    with pytest.raises(InvalidInput):
        check_cap(cap, "maxConcurrent")
