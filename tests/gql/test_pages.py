from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from starlette.applications import Starlette

from gql.pages import routes
from runtime.settings import ApiSettings, Settings
from tests.support.serving import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SCRIPT = b"console.log('anabranch');\n" * 100


def settings(*, is_enabled: bool = True) -> Settings:
    return Settings(api=ApiSettings(is_graphiql_enabled=is_enabled))


@pytest.fixture
def static(tmp_path: Path) -> Path:
    assets = tmp_path / "assets"
    assets.mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>Pages</title>")
    (tmp_path / "graphiql.html").write_text("<!doctype html><title>Anabranch</title>")
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / ".build").write_text("a hash")
    (assets / "app-1a2b3c.js").write_bytes(SCRIPT)
    (assets / "app-1a2b3c.js.gz").write_bytes(gzip.compress(SCRIPT))
    (assets / "style-4d5e6f.css").write_text("body {}")
    return tmp_path


@pytest.fixture
async def client(static: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        serving(Starlette(routes=routes(settings(), static))) as url,
        aiohttp.ClientSession(url, auto_decompress=False, skip_auto_headers=["Accept-Encoding"]) as session,
    ):
        yield session


async def test_graphiql_is_a_page_that_may_reach_only_its_own_server(client: aiohttp.ClientSession) -> None:
    async with client.get("/graphiql") as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        assert await response.text() == "<!doctype html><title>Anabranch</title>"
        policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["worker-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert "http" not in response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", ["/", "/workflows/wf_1", "/runs/run_1"])
async def test_one_page_answers_for_every_address_of_the_pages(client: aiohttp.ClientSession, path: str) -> None:
    async with client.get(path) as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        assert await response.text() == "<!doctype html><title>Pages</title>"
        assert "script-src 'self';" in response.headers["Content-Security-Policy"]
        assert response.headers["Cache-Control"] == "no-cache"


async def test_a_file_with_a_hashed_name_may_be_kept_for_ever(client: aiohttp.ClientSession) -> None:
    async with client.get("/static/assets/style-4d5e6f.css") as response:
        assert response.status == 200
        assert response.content_type == "text/css"
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert await response.read() == b"body {}"


async def test_a_script_is_sent_compressed_to_who_takes_that(client: aiohttp.ClientSession) -> None:
    async with client.get("/static/assets/app-1a2b3c.js", headers={"Accept-Encoding": "br, gzip"}) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert response.headers["Vary"] == "Accept-Encoding"
        assert response.content_type == "text/javascript"
        assert gzip.decompress(await response.read()) == SCRIPT


@pytest.mark.parametrize("accepted", ["", "identity", "gzip;q=0"])
async def test_a_script_is_sent_plain_to_who_does_not(client: aiohttp.ClientSession, accepted: str) -> None:
    async with client.get("/static/assets/app-1a2b3c.js", headers={"Accept-Encoding": accepted}) as response:
        assert "Content-Encoding" not in response.headers
        assert response.content_type == "text/javascript"
        assert await response.read() == SCRIPT


@pytest.mark.parametrize(
    "path",
    [
        "/static/assets/missing.js",
        "/static/assets/app-1a2b3c.js.gz",
        "/static/assets/",
        "/static/assets/..%2f.build",
        "/static/.build",
        "/static/graphiql.html",
        "/static/index.html",
        "/static/manifest.json",
        "/index.html",
        "/runs",
        "/elsewhere",
    ],
)
async def test_nothing_but_built_files_is_served_and_a_miss_is_not_kept(
    client: aiohttp.ClientSession, path: str
) -> None:
    async with client.get(path, headers={"Accept-Encoding": "gzip"}) as response:
        assert response.status == 404
        assert "Cache-Control" not in response.headers


async def test_an_unchanged_file_is_not_sent_again(client: aiohttp.ClientSession) -> None:
    async with client.get("/static/assets/style-4d5e6f.css") as response:
        etag = response.headers["ETag"]
    async with client.get("/static/assets/style-4d5e6f.css", headers={"If-None-Match": etag}) as response:
        assert response.status == 304
        assert "immutable" in response.headers["Cache-Control"]


@pytest.mark.parametrize("path", ["/", "/graphiql"])
async def test_without_a_build_the_page_says_what_to_run(tmp_path: Path, path: str) -> None:
    async with serving(Starlette(routes=routes(settings(), tmp_path))) as url, aiohttp.ClientSession(url) as session:
        async with session.get(path) as response:
            assert response.status == 503
            assert "<code>make web</code>" in await response.text()
            assert "script-src 'self'" in response.headers["Content-Security-Policy"]
        async with session.get("/static/assets/app.js") as response:
            assert response.status == 404


async def test_graphiql_can_be_switched_off_and_the_pages_stay(static: Path) -> None:
    app = Starlette(routes=routes(settings(is_enabled=False), static))
    async with serving(app) as url, aiohttp.ClientSession(url) as session:
        for path, status in {"/": 200, "/static/assets/style-4d5e6f.css": 200, "/graphiql": 404}.items():
            async with session.get(path) as response:
                assert response.status == status


@pytest.mark.parametrize("is_enabled", [True, False])
async def test_the_pages_are_told_where_graphiql_is_not_served(static: Path, *, is_enabled: bool) -> None:
    (static / "index.html").write_text((Path(__file__).parents[2] / "web/index.html").read_text())
    app = Starlette(routes=routes(settings(is_enabled=is_enabled), static))
    async with serving(app) as url, aiohttp.ClientSession(url) as session, session.get("/") as response:
        assert ('<html lang="en" data-graphiql="off">' in await response.text()) is not is_enabled
        assert "script-src 'self'" in response.headers["Content-Security-Policy"]
