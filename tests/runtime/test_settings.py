from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from domain.prices import ModelPrice
from runtime.settings import Settings
from tests.support.env_example import env_example, settings_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def clean_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run each test where there is no `.env`, and without settings of the machine."""
    monkeypatch.chdir(tmp_path)
    for variable, _, _ in settings_of(Settings, "ANABRANCH_"):
        monkeypatch.delenv(variable, raising=False)


def test_the_example_file_says_every_setting_with_its_docstring_and_default() -> None:
    assert (ROOT / ".env.example").read_text() == env_example(), "run `make env-example`"


def test_every_setting_has_a_docstring() -> None:
    assert [variable for variable, field, _ in settings_of(Settings, "ANABRANCH_") if not field.description] == []


def test_the_example_file_with_every_line_in_force_gives_the_defaults(tmp_path: Path) -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    (tmp_path / ".env").write_text("\n".join(line.removeprefix("# ") for line in lines if line.startswith("# ANABR")))
    assert Settings() == Settings.model_construct()


def test_nested_settings_are_written_with_two_underscores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANABRANCH_LLM__BASE_URL", "http://127.0.0.1:9000/v1")
    monkeypatch.setenv("ANABRANCH_API__MAX_DEPTH", "7")
    settings = Settings()
    assert settings.llm.base_url == "http://127.0.0.1:9000/v1"
    assert settings.api.max_depth == 7
    assert settings.api.max_aliases == Settings().api.max_aliases


def test_a_file_named_env_is_read_and_a_variable_wins_over_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ANABRANCH_PORT=8100\nANABRANCH_HOST=0.0.0.0\n")
    monkeypatch.setenv("ANABRANCH_PORT", "8200")
    settings = Settings()
    assert (settings.port, settings.host, settings.is_loopback) == (8200, "0.0.0.0", False)  # noqa: S104


@pytest.mark.parametrize("written", ["127.0.0.1:80, db:5432", '["127.0.0.1:80", "db:5432"]', "127.0.0.1:80,db:5432,"])
def test_a_list_is_separated_by_commas_or_json(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    for variable in ("OUTBOUND__ALLOWED", "API__ALLOWED_ORIGINS", "TOKEN_KEYS", "ENCRYPTION_KEYS"):
        monkeypatch.setenv(f"ANABRANCH_{variable}", written)
    settings = Settings()
    expected = ("127.0.0.1:80", "db:5432")
    assert settings.outbound.allowed == settings.api.allowed_origins == expected
    assert tuple(key.get_secret_value() for key in settings.token_keys) == expected
    assert tuple(key.get_secret_value() for key in settings.encryption_keys) == expected


def test_an_empty_variable_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANABRANCH_DATABASE_URL", "")
    monkeypatch.setenv("ANABRANCH_PORT", "")
    assert (Settings().database_url, Settings().port) == (None, 8000)


def test_keys_and_passwords_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANABRANCH_DATABASE_URL", "postgresql://ada:hidden@db/anabranch")
    monkeypatch.setenv("ANABRANCH_LLM__API_KEY", "hidden")
    assert "hidden" not in repr(Settings())


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PORT", "many"), ("ENGINE", "steam"), ("API__MAX_DETPH", "7"), ("SIGNUP", "closed"), ("TOKEN_KEYS", "[1")],
)
def test_a_value_that_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(f"ANABRANCH_{variable}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_prices_are_read_as_exact_numbers_of_one_currency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANABRANCH_LLM__PRICES", '{"qwen-plus": {"input": "0.4", "output": 1.2}}')
    price = Settings().llm.price_list.find("qwen-plus")
    assert price == ModelPrice(Decimal("0.4"), Decimal("1.2"), "USD")
    two = '{"a": {"input": 1, "output": 1, "currency": "CNY"}, "b": {"input": 1, "output": 1, "currency": "USD"}}'
    for wrong in (two, '{"a": {"input": -1, "output": 1}}', '{"a": {"input": 1, "output": 1, "currency": "usd"}}'):
        monkeypatch.setenv("ANABRANCH_LLM__PRICES", wrong)
        with pytest.raises(ValidationError):
            Settings()


@pytest.mark.parametrize(
    "given", ["flows.example.com", "https://flows.example.com/", "ftp://flows.example.com", "https://a b"]
)
def test_an_address_for_links_is_one_that_links_can_begin_with(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANABRANCH_PUBLIC_URL", "https://flows.example.com:8443")
    assert Settings().address("http://127.0.0.1:8000") == "https://flows.example.com:8443"
    monkeypatch.setenv("ANABRANCH_PUBLIC_URL", given)
    with pytest.raises(ValidationError):
        Settings()
