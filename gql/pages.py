"""The pages and GraphiQL, built from `web/` into `gql/static`; they reach no host but this one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import NotModifiedResponse, StaticFiles

if TYPE_CHECKING:
    import os

    from starlette.requests import Request
    from starlette.staticfiles import PathLike
    from starlette.types import Scope

    from runtime.settings import Settings

STATIC = Path(__file__).parent / "static"
APP_PATHS = ("/", "/workflows/{id}", "/runs/{id}")

# Monaco, GraphiQL's editor, writes `<style>` elements and draws with data URIs; graphs are placed by `style` attributes;
# scripts and workers are files of ours.
# `connect-src 'self'` covers `wss:` and `ws:` of the same host and port.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
ASSET_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Cross-Origin-Resource-Policy": "same-origin",
    # A worker takes its policy from its own file.
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}
# Our own table: the standard library's reads the system's files, in the event loop, when it is first asked.
MEDIA_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".woff2": "font/woff2",
}
_ROOT = '<html lang="en">'
NOT_BUILT = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="color-scheme" content="light dark">
    <title>Anabranch: not built</title>
    <style>body { font-family: system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem }</style>
  </head>
  <body>
    <h1>The pages are not built</h1>
    <p>Run <code>make web</code> in the repository, then reload. The API at <code>/graphql</code> works without them.</p>
  </body>
</html>
"""


def routes(settings: Settings, static: Path = STATIC) -> list[BaseRoute]:
    """Return the routes of the pages, and of GraphiQL unless it is switched off."""

    # Not coroutines: Starlette runs them in a thread, since they look at the disk.
    def app(_: Request) -> Response:
        if settings.api.is_graphiql_enabled:
            return _page(static / "index.html")
        return _without_graphiql(static / "index.html")

    def graphiql(_: Request) -> Response:
        return _page(static / "graphiql.html")

    return [
        # One page for all these addresses: it reads the rest itself.
        *(Route(path, app) for path in APP_PATHS),
        *([Route("/graphiql", graphiql)] if settings.api.is_graphiql_enabled else []),
        Mount("/static/assets", Assets(directory=static / "assets", check_dir=False)),
    ]


def _page(file: Path) -> Response:
    if not file.is_file():
        return HTMLResponse(NOT_BUILT, status_code=503, headers=PAGE_HEADERS)
    return FileResponse(file, media_type="text/html", headers=PAGE_HEADERS)


def _without_graphiql(file: Path) -> Response:
    """Answer with a page that is told not to link GraphiQL."""
    if not file.is_file():
        return _page(file)
    html = file.read_text().replace(_ROOT, f'{_ROOT[:-1]} data-graphiql="off">', 1)
    return HTMLResponse(html, headers=PAGE_HEADERS)


class Assets(StaticFiles):
    """Files with a hash in their name, which never change: sent compressed where the build wrote a `.gz` beside them."""

    async def check_config(self) -> None:
        """Take a folder that is not there (yet) for an empty one: `make web` may follow the start of the server."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with a file.

        Raises:
            HTTPException: 404 where there is none; such an answer may not be kept, so it carries no cache header.
        """
        if path.endswith(".gz"):
            raise HTTPException(status_code=404)
        response = await self._compressed(path, scope) or await super().get_response(path, scope)
        response.headers.update(ASSET_HEADERS)
        return response

    def file_response(
        self, full_path: PathLike, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Answer with the file at a path, or that it has not changed."""
        suffix = Path(str(full_path).removesuffix(".gz")).suffix
        media_type = MEDIA_TYPES.get(suffix, "application/octet-stream")
        response = FileResponse(full_path, status_code=status_code, stat_result=stat_result, media_type=media_type)
        if self.is_not_modified(response.headers, Headers(scope=scope)):
            return NotModifiedResponse(response.headers)
        return response

    async def _compressed(self, path: str, scope: Scope) -> Response | None:
        accepted = {part.strip() for part in Headers(scope=scope).get("accept-encoding", "").split(",")}
        if "gzip" not in accepted:
            return None
        try:
            response = await super().get_response(f"{path}.gz", scope)
        except HTTPException:
            return None
        response.headers["Content-Encoding"] = "gzip"
        return response
