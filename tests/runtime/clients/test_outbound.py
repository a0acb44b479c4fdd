from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from domain.errors import NodeFault
from runtime.clients.outbound import OutboundGuard, is_public, origin_of, parse_url

if TYPE_CHECKING:
    from collections.abc import Sequence

PUBLIC = "93.184.215.14"


def guard(*answers: str, allowed: Sequence[str] = (), refused: Sequence[str] = ()) -> OutboundGuard:
    """Make a guard whose names all resolve to these addresses."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        del port
        if not answers:
            raise OSError(host)
        return answers

    return OutboundGuard(allowed, refused, resolve)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.0.0.1:8080/",
        "http://127.1/",
        "http://127.0.1/",
        "http://127.255.255.254/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://017700000001/",
        "http://00000177.0.0.1/",
        "http://127.0.0.1./",
        "http://①②⑦.⓪.⓪.①/",
        "http://127。0。0。1/",
        "http://\uff11\uff12\uff17.0.0.1/",
        "http://0.0.0.0/",
        "http://0/",
        "http://0x0/",
        "http://0.0.0.1/",
        "http://10.0.0.1/",
        "http://10.255.255.255/",
        "http://0xa000001/",
        "http://172.16.0.1/",
        "http://172.31.255.255/",
        "http://192.168.0.1/",
        "http://3232235521/",
        "http://169.254.169.254/latest/meta-data/",
        "http://0xa9fea9fe/",
        "http://2852039166/",
        "http://169.254.1/",
        "http://100.64.0.1/",
        "http://100.127.255.255/",
        "http://192.0.0.1/",
        "http://192.0.2.1/",
        "http://198.18.0.1/",
        "http://198.51.100.1/",
        "http://203.0.113.1/",
        "http://224.0.0.1/",
        "http://240.0.0.1/",
        "http://255.255.255.255/",
        "http://[::1]/",
        "http://[::]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[::127.0.0.1]/",
        "http://[::7f00:1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[64:ff9b::10.0.0.1]/",
        "http://[64:ff9b:1::1]/",
        "http://[2002:7f00:1::]/",
        "http://[2002:a00:1::1]/",
        "http://[2001:0:7f00:1::1]/",
        "http://[2001:db8::1]/",
        "http://[fc00::1]/",
        "http://[fd12:3456:789a::1]/",
        "http://[fe80::1]/",
        "http://[fec0::1]/",
        "http://[ff02::1]/",
        "http://[100::1]/",
        "http://[5f00::1]/",
        "http://[fd00:ec2::254]/",
    ],
)
async def test_an_address_that_is_not_public_is_refused_in_every_spelling(url: str) -> None:
    with pytest.raises(NodeFault) as fault:
        await guard(PUBLIC).check_url(url)
    assert fault.value.code == "ADDRESS_REFUSED"
    assert not fault.value.is_retryable


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "http:/example.com/",
        "http://",
        "http:///x",
        "http://:80/",
        "http://?x",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "unix:///var/run/docker.sock",
        "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
        "data:text/plain,hi",
        "javascript://example.com/",
        "jar:http://example.com!/",
        "http://user@example.com/",
        "http://user:password@example.com/",
        "http://example.com@127.0.0.1/",
        "http://127.0.0.1@example.com/",
        "http://@example.com/",
        "http://127.0.0.1%2f@example.com/",
        "http://127%2e0%2e0%2e1/",
        "http://[fe80::1%25eth0]/",
        "http://[::1/",
        "http://[::g]/",
        "http://exa mple.com/",
        "http://example.com\\@127.0.0.1/",
        "http:\\\\127.0.0.1\\",
        "http://example.com\r\nHost: x/",
        "http://example.com:0/",
        "http://example.com:99999/",
        "http://example.com:-1/",
        "http://example.com:x/",
        "http://256.256.256.256/",
        "http://1.2.3.4.5/",
        "http://exa$mple.com/",
        "http://<script>/",
        " http://example.com/",
        "http://" + "a" * 9_000,
    ],
)
async def test_what_is_no_plain_http_url_is_refused(url: str) -> None:
    with pytest.raises(NodeFault) as fault:
        await guard(PUBLIC).check_url(url)
    assert fault.value.code == "INVALID_URL"


@pytest.mark.parametrize(
    "answers",
    [
        ["127.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["10.1.2.3"],
        ["169.254.169.254"],
        ["fe80::1%eth0"],
        ["64:ff9b::a00:1"],
        [PUBLIC, "192.168.1.1"],
        ["2606:4700::1111", "::1"],
    ],
)
@pytest.mark.parametrize("host", ["localhost", "localhost.", "LOCALHOST", "rebinding.example.com"])
async def test_a_name_is_refused_if_any_of_its_addresses_is_not_public(host: str, answers: list[str]) -> None:
    with pytest.raises(NodeFault) as fault:
        await guard(*answers).check_url(f"http://{host}/")
    assert fault.value.code == "ADDRESS_REFUSED"
    assert not any(answer in fault.value.message for answer in answers)


async def test_public_addresses_are_given_back_as_they_resolved() -> None:
    assert await guard(PUBLIC, "2606:4700::1111").addresses("example.com", 443) == [PUBLIC, "2606:4700::1111"]
    assert await guard().addresses("8.8.8.8", 53) == ["8.8.8.8"]
    assert await guard().addresses("[64:ff9b::808:808]", 80) == ["64:ff9b::808:808"]


async def test_a_name_without_addresses_may_be_tried_again() -> None:
    with pytest.raises(NodeFault) as fault:
        await guard().check_url("http://gone.example.com/")
    assert (fault.value.code, fault.value.is_retryable) == ("CONNECTION_FAILED", True)


async def test_exactly_the_allowed_host_and_port_may_be_private() -> None:
    open_guard = guard("127.0.0.1", allowed=["127.0.0.1:8080", "ollama:11434", "[::1]:80", "Box.Lan:1"])
    for url in ("http://127.0.0.1:8080/", "http://ollama:11434/v1", "http://[::1]/", "http://box.lan:1/"):
        await open_guard.check_url(url)
    for url in (
        "http://127.0.0.1:8081/",
        "http://127.0.0.2:8080/",
        "http://localhost:8080/",
        "http://evil.example.com:8080/",
        "http://ollama:11435/",
        "http://[::1]:8080/",
    ):
        with pytest.raises(NodeFault, match="ANABRANCH_OUTBOUND__ALLOWED"):
            await open_guard.check_url(url)


async def test_what_is_refused_for_ever_is_not_reached_by_being_allowed() -> None:
    closed = guard("127.0.0.1", allowed=["127.0.0.1:5432", "db:5432"], refused=["127.0.0.1:5432"])
    for url in ("http://127.0.0.1:5432/", "http://db:5432/", "http://2130706433:5432/"):
        with pytest.raises(NodeFault) as fault:
            await closed.check_url(url)
        assert fault.value.code == "ADDRESS_REFUSED"


@pytest.mark.parametrize("entry", ["", "localhost", ":80", "localhost:", "localhost:x"])
def test_an_entry_that_is_no_host_and_port_is_a_mistake_at_start(entry: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        OutboundGuard([entry])


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://Example.COM", "http://example.com"),
        ("https://example.com:443/x?y#z", "https://example.com"),
        ("http://example.com:443/", "http://example.com:443"),
        ("HTTPS://bücher.example/", "https://xn--bcher-kva.example"),
        ("http://[2606:4700::1111]:8080/", "http://[2606:4700::1111]:8080"),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: str) -> None:
    assert origin_of(parse_url(url)) == origin


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450:4001:81b::200e", "::ffff:8.8.8.8"]
)
def test_ordinary_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))
