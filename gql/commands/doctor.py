"""`doctor`: looks at all that Anabranch needs on this machine and says what to do about what is missing."""

from __future__ import annotations

import asyncio
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import orjson

from domain.errors import AnabranchError, SetupFault
from gql.pages import STATIC
from runtime import local_embedder
from runtime.clients.local_embeddings import DEFAULT_MODEL, FastembedModel
from runtime.databases import is_migrated
from runtime.local_model import find_missing
from runtime.plug_ins import PlugIn, find_plug_ins
from runtime.registry import BUILT_IN, take_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from runtime.settings import Settings

_OLDEST_PYTHON = (3, 11)
_ENOUGH_BYTES = 1024**3
_TIMEOUT_S = 10.0
_DATABASE_TIMEOUT_S = 120.0
_OK = 200
_PRIVATE = ("key", "token", "developer.json")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `advice` says what to do, None when all is well."""

    subject: str
    found: str
    advice: str | None = None


async def doctor(settings: Settings, console: Console) -> int:
    """Print what every check found; return 0 when nothing is missing, else 1."""
    findings = [
        check_python(sys.version_info[:3]),
        await asyncio.to_thread(check_data_dir, settings.data_dir),
        await asyncio.to_thread(check_disk, settings.data_dir),
    ]
    with console.status("Asking the database …"):
        findings += await check_database(settings)
    with console.status("Asking the model …"):
        findings.append(await check_model(settings))
    findings.append(await asyncio.to_thread(check_embedder, settings))
    findings += await asyncio.to_thread(check_plug_ins, find_plug_ins())
    findings.append(await asyncio.to_thread(check_pages, STATIC))
    for finding in findings:
        sign = "[red]✘[/]" if finding.advice else "[green]✔[/]"
        console.print(sign, end=" ")
        console.print(f"{finding.subject}: {finding.found}", markup=False, highlight=False, soft_wrap=True)
        if finding.advice:
            console.print(f"  → {finding.advice}", markup=False, highlight=False, soft_wrap=True)
    return 1 if any(finding.advice for finding in findings) else 0


def check_python(version: tuple[int, int, int]) -> Finding:
    """Whether this Python is new enough."""
    text = ".".join(str(part) for part in version)
    advice = None if version[:2] >= _OLDEST_PYTHON else "Install Python 3.11 or newer and run `make setup` again."
    return Finding("Python", text, advice)


def check_data_dir(data_dir: Path) -> Finding:
    """Whether the data directory can be written, and its keys are readable by their owner alone."""
    existing = next(path for path in (data_dir.absolute(), *data_dir.absolute().parents) if path.exists())
    if not existing.is_dir():
        return Finding("Data directory", str(data_dir), f"{existing} is not a directory; set ANABRANCH_DATA_DIR.")
    if not _can_write(existing):
        return Finding("Data directory", str(data_dir), f"{existing} cannot be written; set ANABRANCH_DATA_DIR.")
    if existing == data_dir.absolute() and existing.stat().st_mode & 0o002:
        return Finding("Data directory", str(data_dir), f"Everybody may write there: chmod o-w {data_dir}")
    open_files = [file for file in private_files(data_dir) if file.stat().st_mode & 0o077]
    if open_files:
        names = " ".join(str(file) for file in open_files)
        return Finding("Data directory", str(data_dir), f"Others may read keys or passwords there: chmod 600 {names}")
    return Finding("Data directory", f"{data_dir}{'' if data_dir.exists() else ' (will be made)'}")


def private_files(data_dir: Path) -> list[Path]:
    """Return the files of the data directory that only their owner may read: keys and the developer's account."""
    if not data_dir.is_dir():
        return []
    return sorted(file for file in data_dir.iterdir() if file.is_file() and any(word in file.name for word in _PRIVATE))


def _can_write(folder: Path) -> bool:
    probe = folder / ".anabranch-doctor"
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError:
        return False
    return True


def check_disk(data_dir: Path, enough_bytes: int = _ENOUGH_BYTES) -> Finding:
    """Whether there is room for the data."""
    existing = next(path for path in (data_dir.absolute(), *data_dir.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    advice = None if free >= enough_bytes else f"Make room: {enough_bytes / 1024**3:.0f} GiB at least."
    return Finding("Disk", f"{free / 1024**3:.1f} GiB free", advice)


async def check_database(settings: Settings) -> list[Finding]:
    """Whether the database answers, and has the schema of this version."""
    kind = "the configured PostgreSQL" if settings.database_url else "embedded PostgreSQL"
    try:
        async with asyncio.timeout(_DATABASE_TIMEOUT_S):
            is_current = await is_migrated(settings)
    except TimeoutError:
        return [Finding("Database", f"{kind} did not answer in time", "Look at its log, or at ANABRANCH_DATABASE_URL.")]
    except AnabranchError as error:
        advice = (
            "Start it, or correct ANABRANCH_DATABASE_URL."
            if settings.database_url
            else "Make room for it there, or set ANABRANCH_DATA_DIR."
        )
        return [Finding("Database", f"{kind}: {error.message}", advice)]
    return [Finding("Database", f"{kind} answers"), _judge_schema(settings, is_current=is_current)]


def _judge_schema(settings: Settings, *, is_current: bool) -> Finding:
    if is_current:
        return Finding("Migrations", "current")
    if settings.database_url is None:
        return Finding("Migrations", "the next start brings the database to the newest schema")
    return Finding("Migrations", "the database has not the newest schema", "Run `anabranch migrate`.")


async def check_model(settings: Settings) -> Finding:
    """Whether the configured model endpoint answers; without one, whether the local model can be started."""
    base_url = settings.llm.base_url
    if base_url is None:
        missing = await asyncio.to_thread(find_missing)
        if missing is None:
            return Finding("Model", "no endpoint configured; `dev` and `demo` use the local model, which is installed")
        advice = f"Set ANABRANCH_LLM__BASE_URL and ANABRANCH_LLM__MODEL. {missing}"
        return Finding("Model", "no endpoint configured, and no local model", advice)
    key = settings.llm.api_key
    headers = {"authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    url = f"{base_url.rstrip('/')}/models"
    try:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as http, http.get(url, headers=headers) as answer:
            return _judge_model(settings, answer.status, await answer.content.read(1_048_576))
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        why = str(error) or type(error).__name__
        return Finding("Model", f"{base_url} does not answer ({why})", "Correct ANABRANCH_LLM__BASE_URL, or start it.")


def _judge_model(settings: Settings, status: int, body: bytes) -> Finding:
    base_url, wanted = settings.llm.base_url, settings.llm.model
    if status in {401, 403}:
        return Finding("Model", f"{base_url} refuses the key (HTTP {status})", "Correct ANABRANCH_LLM__API_KEY.")
    if status != _OK:
        return Finding("Model", f"{base_url} answers HTTP {status}", "Correct ANABRANCH_LLM__BASE_URL; it ends in /v1.")
    try:
        names = [str(one["id"]) for one in orjson.loads(body)["data"]]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        names = []
    if wanted and names and wanted not in names:
        some = ", ".join(names[:5])
        return Finding("Model", f"{base_url} has no model {wanted!r}", f"Set ANABRANCH_LLM__MODEL to one of: {some}.")
    return Finding("Model", f"{base_url} answers{f', {wanted}' if wanted else ''}")


def check_embedder(settings: Settings) -> Finding:
    """Whether the embedding model is here and can be loaded; nothing is downloaded."""
    path, name = settings.embedding.model_path, settings.embedding.model or DEFAULT_MODEL
    if path is None:
        missing = local_embedder.find_missing()
        if settings.embedding.model is None and missing is None:
            return Finding(
                "Embeddings", f"{name} if asked for; `dev` and `demo` use the small model, which is installed"
            )
        return Finding("Embeddings", f"{name}, downloaded when a collection first needs it")
    try:
        FastembedModel(name, path, settings.data_dir).load()
    except AnabranchError as error:
        return Finding("Embeddings", error.message, "Correct ANABRANCH_EMBEDDING__MODEL_PATH.")
    return Finding("Embeddings", f"{name} in {path}")


def check_plug_ins(found: Sequence[PlugIn]) -> list[Finding]:
    """Which node kinds installed packages bring, and what is wrong with each that cannot be taken."""
    kinds = list(BUILT_IN)
    findings: list[Finding] = []
    for plug_in in found:
        try:
            kinds.append(take_in(plug_in, kinds))
            findings.append(Finding("Plug-in", f"{kinds[-1].kind} ({plug_in.source})"))
        except SetupFault as fault:
            findings.append(Finding("Plug-in", fault.message, "The server does not start until then."))
    return findings or [Finding("Plug-ins", "none installed")]


def check_pages(static: Path) -> Finding:
    """Whether the pages and GraphiQL are built."""
    if (static / "index.html").is_file() and (static / "graphiql.html").is_file():
        return Finding("Pages", "built")
    return Finding("Pages", "The pages are not built", "Run `make web`; the API works without them.")
