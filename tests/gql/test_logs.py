from __future__ import annotations

import json
import logging

import pytest
import structlog

from gql.logs import configure_logs
from tests.support.logs import logs_as_before

__all__ = ["logs_as_before"]

pytestmark = pytest.mark.usefixtures("logs_as_before")


def test_both_kinds_of_loggers_write_one_json_line_each_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(is_for_people=False)
    structlog.get_logger("runtime.local").info("claimed", runs=3)
    logging.getLogger("gql.http").warning("odd %s", "thing")
    logging.getLogger("asyncio").info("chatter of others")
    out, err = capsys.readouterr()
    first, second = [json.loads(line) for line in err.splitlines()]
    assert out == ""
    assert (first["event"], first["runs"], first["level"], first["logger"]) == ("claimed", 3, "info", "runtime.local")
    assert (second["event"], second["level"], second["logger"]) == ("odd thing", "warning", "gql.http")
    assert first["timestamp"].endswith("Z")


@pytest.mark.parametrize("is_for_people", [True, False])
def test_a_message_cannot_break_out_of_its_line(is_for_people: bool, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(is_for_people=is_for_people)
    logging.getLogger("gql").warning("one\nINFO forged\x1b[2J %s", "\r\x9bx")
    _, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert "\x1b[2J" not in err
    assert "\x9b" not in err


def test_a_fault_is_logged_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(is_for_people=False)
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        logging.getLogger("gql.presenting").exception("internal error", extra={"error_id": "e-1"})
    _, err = capsys.readouterr()
    assert "ZeroDivisionError" in json.loads(err)["exception"]


def test_a_traceback_is_cut_in_the_middle_when_its_error_is_long(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(is_for_people=False)
    try:
        {"a": 1}.pop("begin" + "x" * 10_000_000 + "end")
    except KeyError:
        logging.getLogger("gql.presenting").exception("internal error")
    _, err = capsys.readouterr()
    told = json.loads(err)["exception"]
    assert len(told) < 40_000
    assert told.startswith("Traceback")
    assert "begin" in told
    assert told.endswith("end'")
