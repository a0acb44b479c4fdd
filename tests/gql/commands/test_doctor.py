from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from gql.commands import doctor
from gql.commands.doctor import Finding
from runtime.settings import EmbeddingSettings, LlmSettings, Settings
from tests.support.local_embedder import embedding_settings

if TYPE_CHECKING:
    from pathlib import Path


def of_model(base_url: str | None, model: str | None = None) -> Settings:
    return Settings().model_copy(update={"llm": LlmSettings(base_url=base_url, model=model)})


async def endpoint(status: int, body: object) -> tuple[web.AppRunner, str]:
    async def models(request: web.Request) -> web.Response:
        return web.json_response(body, status=status) if request.path == "/v1/models" else web.Response(status=404)

    app = web.Application()
    app.router.add_get("/{path:.*}", models)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/v1"


def test_an_old_python_is_found() -> None:
    assert doctor.check_python((3, 11, 2)).advice is None
    assert "3.11" in (doctor.check_python((3, 10, 9)).advice or "")


def test_a_data_directory_that_is_not_there_yet_is_fine(tmp_path: Path) -> None:
    assert doctor.check_data_dir(tmp_path / "a" / "b").advice is None
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_data_directory_is_found(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    assert "is not a directory" in (doctor.check_data_dir(tmp_path / "data").advice or "")


def test_a_data_directory_that_everybody_may_write_is_found(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert doctor.check_data_dir(tmp_path).advice == f"Everybody may write there: chmod o-w {tmp_path}"


@pytest.mark.parametrize("name", ["developer.json", "token.keys"])
def test_keys_and_passwords_that_others_may_read_are_found(name: str, tmp_path: Path) -> None:
    secret = tmp_path / name
    secret.touch(mode=0o600)
    assert doctor.check_data_dir(tmp_path).advice is None
    secret.chmod(0o640)
    assert (doctor.check_data_dir(tmp_path).advice or "").endswith(f"chmod 600 {secret}")


def test_a_full_disk_is_found(tmp_path: Path) -> None:
    assert doctor.check_disk(tmp_path / "not" / "there", enough_bytes=1).advice is None
    assert "Make room" in (doctor.check_disk(tmp_path, enough_bytes=2**80).advice or "")


def test_pages_that_are_not_built_are_found(tmp_path: Path) -> None:
    assert "make web" in (doctor.check_pages(tmp_path).advice or "")
    (tmp_path / "graphiql.html").touch()
    assert doctor.check_pages(tmp_path).advice
    (tmp_path / "index.html").touch()
    assert doctor.check_pages(tmp_path) == Finding("Pages", "built")


def test_the_small_embedding_model_is_enough() -> None:
    found = doctor.check_embedder(of_model(None))
    assert (found.advice, "`dev` and `demo` use the small model" in found.found) == (None, True)


def test_the_configured_embedding_model_is_loaded(tmp_path: Path) -> None:
    settings = of_model(None).model_copy(update={"embedding": embedding_settings()})
    assert doctor.check_embedder(settings).advice is None
    broken = EmbeddingSettings(model="mine", model_path=tmp_path)
    found = doctor.check_embedder(settings.model_copy(update={"embedding": broken}))
    assert found.advice == "Correct ANABRANCH_EMBEDDING__MODEL_PATH."
    assert "it lacks config.json, model.onnx" in found.found


async def test_without_an_endpoint_the_local_model_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await doctor.check_model(of_model(None))).advice is None

    def missing() -> str:
        return "pip install it"

    monkeypatch.setattr(doctor, "find_missing", missing)
    advice = (await doctor.check_model(of_model(None))).advice or ""
    assert "ANABRANCH_LLM__BASE_URL" in advice
    assert "pip install it" in advice


@pytest.mark.parametrize(
    ("status", "body", "advice"),
    [
        (200, {"data": [{"id": "smol"}]}, None),
        (200, {"data": [{"id": "other"}]}, "Set ANABRANCH_LLM__MODEL to one of: other."),
        (200, ["no list of models"], None),
        (401, {}, "Correct ANABRANCH_LLM__API_KEY."),
        (404, {}, "Correct ANABRANCH_LLM__BASE_URL; it ends in /v1."),
    ],
)
async def test_the_configured_endpoint_is_asked(status: int, body: object, advice: str | None) -> None:
    runner, url = await endpoint(status, body)
    try:
        assert (await doctor.check_model(of_model(url, "smol"))).advice == advice
    finally:
        await runner.cleanup()
        await asyncio.sleep(0)  # the sockets close in the loop's next turn


async def test_an_endpoint_that_does_not_answer_is_found() -> None:
    found = await doctor.check_model(of_model("http://127.0.0.1:9/v1"))
    assert found.advice == "Correct ANABRANCH_LLM__BASE_URL, or start it."
