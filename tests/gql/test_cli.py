from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer

from domain.document import load
from gql import cli, command_options
from tests.support.cli import STORED, anabranch, api, sent, signed_in
from tests.support.fake_api import RUN, FakeApi, event, node_event, opened, story

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., tuple[int, str, str]]

__all__ = ["anabranch", "api", "signed_in"]

ROOT = Path(__file__).parents[2]
HELLO = ROOT / "examples" / "hello.yaml"
COMMANDS = {
    "dev",
    "demo",
    "new",
    "collection",
    "serve",
    "worker",
    "migrate",
    "login",
    "run",
    "watch",
    "cancel",
    "pause",
    "resume",
    "approve",
    "user",
    "schema",
    "doctor",
    "ls",
    "runs",
    "rerun",
    "export",
    "import",
    "keys",
}
TREE: Any = typer.main.get_command(cli.app)
LEAVES = {name: command for name, command in TREE.commands.items() if name not in {"user", "collection", "keys"}} | {
    **{f"user {name}": TREE.commands["user"].commands[name] for name in ("create", "reset-password")},
    "collection ingest": TREE.commands["collection"].commands["ingest"],
    "keys rotate": TREE.commands["keys"].commands["rotate"],
}


def test_there_are_the_designed_commands_and_no_others() -> None:
    assert set(TREE.commands) == COMMANDS


@pytest.mark.parametrize("name", LEAVES)
def test_the_help_of_every_command_names_the_variable_of_every_option(name: str, anabranch: Command) -> None:
    status, out, err = anabranch(*name.split(), "--help")
    assert (status, err) == (0, "")
    assert str(LEAVES[name].help).split(".")[0].split("\n")[0] in out
    options = [option for option in LEAVES[name].params if option.param_type_name == "option"]
    for option in options:
        assert option.envvar is not None, option.name
        assert option.help, option.name
        assert option.envvar in "".join(out.split()).replace("│", ""), option.name


def test_the_version_is_that_of_the_installed_distribution(anabranch: Command) -> None:
    status, out, _ = anabranch("--version")
    assert status == 0
    assert out.split()[0] == "anabranch"
    assert out.split()[1][0].isdigit()


def test_help_does_not_load_the_server() -> None:
    script = "import sys, gql.cli; print([m for m in ('strawberry', 'aiohttp', 'sqlalchemy', 'uvicorn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=30)  # noqa: S603
    assert done.stdout.strip() == b"[]"


# ── errors ──


def test_wrong_usage_is_one_sentence_and_status_2(anabranch: Command) -> None:
    status, out, err = anabranch("run", "hello", "--nonsense")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "--nonsense" in err


def test_a_variable_of_a_setting_that_is_not_acceptable_is_named(
    anabranch: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANABRANCH_RUNS__POLL_S", "often")
    status, _, err = anabranch("watch", RUN)
    assert status == 1
    assert err.startswith("ANABRANCH_RUNS__POLL_S is not acceptable: ")
    assert err.count("\n") == 1


def test_a_fault_of_ours_is_one_sentence_too(anabranch: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(command_options, "settings", broken)
    status, _, err = anabranch("watch", RUN)
    assert status == 1
    assert err == "ZeroDivisionError: by zero (a fault of Anabranch; ANABRANCH_TRACEBACK=1 shows where)\n"


def test_no_server_is_one_sentence_and_status_1(anabranch: Command) -> None:
    status, _, err = anabranch("watch", RUN, "--url", "http://127.0.0.1:9")
    assert status == 1
    assert err.startswith("No answer from http://127.0.0.1:9 (")
    assert err.count("\n") == 1


def test_an_address_that_is_none_is_refused(anabranch: Command) -> None:
    assert anabranch("watch", RUN, "--url", "localhost")[0] == 1


def test_who_is_not_signed_in_is_told_how(api: FakeApi, anabranch: Command) -> None:
    status, _, err = anabranch("watch", RUN, "--url", api.url)
    assert status == 1
    assert "anabranch login" in err


def test_the_problems_of_a_file_are_named_with_line_and_column(
    signed_in: Command, api: FakeApi, tmp_path: Path
) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("name: Broken\nnodes:\n  a:\n    transform: {}\nedges:\n  - a >> b\n")
    status, out, err = signed_in("run", str(file))
    assert (status, out) == (1, "")
    assert f"{file}:6:5: " in err
    assert "Traceback" not in err
    assert sent(api, "CreateWorkflow") == []


@pytest.mark.parametrize(
    ("content", "message"), [(None, "No such file or directory"), (b"\xff\xfe", "not a text in UTF-8")]
)
def test_a_file_that_cannot_be_read_is_told(
    content: bytes | None, message: str, signed_in: Command, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "x.yaml").write_bytes(content)
    status, _, err = signed_in("run", "x.yaml")
    assert status == 1
    assert message in err


# ── run ──


def test_running_a_file_makes_the_workflow_and_starts_it(signed_in: Command, api: FakeApi) -> None:
    status, out, err = signed_in("run", str(HELLO))
    assert (status, err) == (0, "")
    assert f"Started {RUN}" in out
    [created] = sent(api, "CreateWorkflow")
    assert created["input"] == load(HELLO.read_text()).to_input()
    assert sent(api, "StartRun") == [{"input": {"workflowId": "wf_1", "input": {"server": api.url}, "useDraft": True}}]


def test_running_a_changed_file_updates_the_workflow_on_its_revision(signed_in: Command, api: FakeApi) -> None:
    known = {"id": "wf_9", "slug": "hello", "name": "Hello", "revision": 4, "inputSchema": None, "document": "old"}
    api.answers["FindWorkflow"] = {"workflows": {"nodes": [known]}}
    status, out, _ = signed_in("run", str(HELLO))
    assert status == 0
    assert "Workflow hello, revision 2 (updated)" in out
    [updated] = sent(api, "UpdateWorkflow")
    assert (updated["input"]["id"], updated["input"]["expectedRevision"]) == ("wf_9", 4)
    assert sent(api, "CreateWorkflow") == []


def test_running_an_unchanged_file_makes_no_new_revision(signed_in: Command, api: FakeApi) -> None:
    known = {"id": "wf_9", "slug": "hello", "revision": 4, "inputSchema": None, "document": HELLO.read_text()}
    api.answers["FindWorkflow"] = {"workflows": {"nodes": [known]}}
    status, out, _ = signed_in("run", str(HELLO))
    assert status == 0
    assert "Workflow hello, revision 4 (unchanged)" in out
    assert sent(api, "UpdateWorkflow") == sent(api, "CreateWorkflow") == []


def test_a_stored_workflow_that_cannot_be_run_is_told_with_its_problems(signed_in: Command, api: FakeApi) -> None:
    problem: dict[str, Any] = {
        "severity": "ERROR",
        "code": "X",
        "message": "No such node.",
        "nodeKey": "a",
        "path": [],
        "hint": "Add it.",
    }
    workflow = STORED | {"isRunnable": False, "problems": [problem, problem | {"severity": "WARNING", "nodeKey": "b"}]}
    api.answers["CreateWorkflow"] = {"createWorkflow": {"workflow": workflow, "userErrors": []}}
    status, _, err = signed_in("run", str(HELLO))
    assert status == 1
    assert err == "hello is stored but cannot be run:\n  node a: No such node. Add it.\n"
    assert sent(api, "StartRun") == []


def test_inputs_are_read_as_the_schema_says(signed_in: Command, api: FakeApi) -> None:
    schema = {"properties": {"zip": {"type": "string"}, "server": {}}}
    known = {"id": "wf_9", "slug": "x", "revision": 4, "inputSchema": schema, "document": ""}
    api.answers["FindWorkflow"] = {"workflows": {"nodes": [known]}}
    given = [
        "--input",
        "zip=12345",
        "-i",
        "n=3",
        "-i",
        "q=a=b",
        "-i",
        "server=http://other",
        "--input-json",
        '{"n": 1, "m": [2]}',
    ]
    status, _, _ = signed_in("run", "x", *given)
    assert status == 0
    [started] = sent(api, "StartRun")
    expected = {"n": 3, "m": [2], "zip": "12345", "q": "a=b", "server": "http://other"}
    assert started["input"] == {"workflowId": "wf_9", "input": expected, "useDraft": False}


@pytest.mark.parametrize(("options", "given"), [((), "12"), (("--draft",), 12)])
def test_of_a_slug_the_published_version_is_run_unless_the_draft_is_asked_for(
    options: tuple[str, ...], given: object, signed_in: Command, api: FakeApi
) -> None:
    published = {"inputSchema": {"properties": {"zip": {"type": "string"}}}}
    known = {"id": "wf_9", "slug": "x", "revision": 4, "inputSchema": {}, "document": "", "publishedVersion": published}
    api.answers["FindWorkflow"] = {"workflows": {"nodes": [known]}}
    status, _, _ = signed_in("run", "x", "-i", "zip=12", *options)
    assert status == 0
    [started] = sent(api, "StartRun")
    assert started["input"] == {"workflowId": "wf_9", "input": {"zip": given}, "useDraft": bool(options)}


@pytest.mark.parametrize("wrong", [["-i", "novalue"], ["--input-json", "[1]"], ["--input-json", "{"]])
def test_an_input_that_cannot_be_read_starts_nothing(wrong: list[str], signed_in: Command, api: FakeApi) -> None:
    status, _, err = signed_in("run", str(HELLO), *wrong)
    assert status == 1
    assert "--input" in err
    assert sent(api, "StartRun") == []


def test_an_unknown_slug_is_told(signed_in: Command) -> None:
    status, _, err = signed_in("run", "nowhere")
    assert (status, err) == (1, "There is no workflow 'nowhere'; a file is named with its suffix .yaml.\n")


def test_watching_prints_the_text_as_it_grows_and_the_output_where_nobody_looks_at_a_screen(
    signed_in: Command, api: FakeApi
) -> None:
    api.answers["OpenRun"] = {"run": opened(cursor="c1")}
    status, out, err = signed_in("run", str(HELLO), "--watch")
    assert (status, err) == (0, "")
    lines = [line.split(" s  ", 1)[1] for line in out.splitlines() if " s  " in line]
    assert lines == [
        "run started",
        "ask: started",
        "ask: + 'Hello world'",
        "ask: SUCCEEDED in 1200 ms, 9 tokens",
        "run SUCCEEDED",
    ]
    assert json.loads(out[out.index("{") :]) == {"answer": "Hello world"}


def test_a_run_that_fails_is_status_1_with_its_error(signed_in: Command, api: FakeApi) -> None:
    error = {"code": "MODEL_UNAVAILABLE", "message": "No \x1b[31manswer.", "nodeKey": "ask", "attempt": 3}
    failed = [*story()[:3], node_event(4, "NodeFailed", attempt=3, error=error), event(5, "RunFailed", error=error)]
    api.events = failed
    status, out, _ = signed_in("watch", RUN)
    assert status == 1
    assert "run FAILED: MODEL_UNAVAILABLE: No \N{REPLACEMENT CHARACTER}[31manswer." in out
    assert "\x1b" not in out


def test_watching_a_finished_run_shows_it_without_a_socket(signed_in: Command, api: FakeApi) -> None:
    done = opened("SUCCEEDED", "c7", {"key": "ask", "status": "SUCCEEDED", "attempt": 1, "partialText": "Hello world"})
    api.answers["OpenRun"] = {"run": done | {"output": {"answer": "Hello world"}}}
    status, out, _ = signed_in("watch", RUN)
    assert status == 0
    assert "✔ Ask" in out
    assert '"answer": "Hello world"' in out
    assert api.sockets == 0


def test_a_connection_that_breaks_is_told_and_made_again(signed_in: Command, api: FakeApi) -> None:
    api.breaks = [2, 1]
    status, out, _ = signed_in("watch", RUN)
    assert status == 0
    assert out.count("Connection lost") == 2
    assert [line for line in out.splitlines() if "+ '" in line] == [
        "  4.000 s  ask: + 'Hello '",
        "  5.000 s  ask: + 'world'",
    ]


def test_an_unknown_run_is_told(signed_in: Command, api: FakeApi) -> None:
    api.answers["OpenRun"] = {"run": None}
    assert signed_in("watch", RUN)[::2] == (1, f"There is no run {RUN}.\n")


def test_canceling_sends_the_reason_and_prints_the_status(signed_in: Command, api: FakeApi) -> None:
    status, out, _ = signed_in("cancel", RUN, "--reason", "Wrong question")
    assert (status, out) == (0, f"{RUN} is CANCELING.\n")
    assert sent(api, "CancelRun") == [{"id": RUN, "reason": "Wrong question"}]


def test_interrupting_a_watch_is_status_130_and_leaves_the_run_alone(api: FakeApi, tmp_path: Path) -> None:
    api.breaks = ["hang"]
    seen = subprocess.PIPE
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "ANABRANCH_API_KEY": "first"}
    command = [sys.executable, "-m", "gql.cli", "watch", RUN, "--url", api.url, "--data-dir", str(tmp_path)]
    # Whoever started these tests in the background may have had SIGINT ignored, which children inherit.
    hear = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(  # noqa: S603
        command,
        stdout=seen,
        stderr=seen,
        env=environment,
        cwd=ROOT,
        preexec_fn=hear,  # noqa: PLW1509
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()
    assert b"run started" in first
    assert process.returncode == 130
    assert f"anabranch watch {RUN}".encode() in out
    assert err == b""
    assert sent(api, "CancelRun") == []


# ── who ──


def test_a_run_that_is_not_yet_canceling_is_said_to_be_asked(signed_in: Command, api: FakeApi) -> None:
    api.answers["CancelRun"] = {"cancelRun": {"run": {"id": RUN, "status": "RUNNING"}, "userErrors": []}}
    assert signed_in("cancel", RUN)[1] == f"{RUN} is asked to stop; until it does it is RUNNING.\n"


QUESTION = {"id": "approval_1", "nodeKey": "ask", "title": "Well?", "status": "OPEN"}
APPROVED: dict[str, Any] = {"answerApproval": {"approval": {"id": "approval_1", "title": "Well?"}, "userErrors": []}}


def test_approve_answers_the_one_question_that_a_run_asks(signed_in: Command, api: FakeApi) -> None:
    closed = QUESTION | {"id": "approval_0", "status": "ANSWERED"}
    api.answers["OpenQuestions"] = {"run": {"approvals": {"nodes": [closed, QUESTION]}}}
    api.answers["AnswerApproval"] = APPROVED
    status, out, _ = signed_in("approve", RUN, "reject", "--value", "score=3", "--value", "note=too short")
    assert (status, out) == (0, "Answered 'Well?' with reject.\n")
    given = {"id": "approval_1", "action": "reject", "values": {"score": 3, "note": "too short"}}
    assert sent(api, "AnswerApproval") == [given]


FORM = {"properties": {"age": {"type": "string"}, "size": {"enum": ["1", 2]}, "score": {"type": "integer"}}}
TYPED = [part for pair in ("age=5", "size=1", "score=3", "more=[1]") for part in ("--value", pair)]


@pytest.mark.parametrize("named", [RUN, "approval_1"])
def test_approve_gives_text_as_it_is_typed_where_the_form_wants_text(
    signed_in: Command, api: FakeApi, named: str
) -> None:
    api.answers["OpenQuestions"] = {"run": {"approvals": {"nodes": [QUESTION | {"form": FORM}]}}}
    api.answers["Form"] = {"approval": {"form": FORM}}
    api.answers["AnswerApproval"] = APPROVED
    assert signed_in("approve", named, "approve", *TYPED)[0] == 0
    values = {"age": "5", "size": "1", "score": 3, "more": [1]}
    assert sent(api, "AnswerApproval") == [{"id": "approval_1", "action": "approve", "values": values}]


def test_approve_takes_the_id_of_a_question_and_no_values(signed_in: Command, api: FakeApi) -> None:
    api.answers["AnswerApproval"] = APPROVED
    assert signed_in("approve", "approval_7", "approve")[0] == 0
    assert sent(api, "AnswerApproval") == [{"id": "approval_7", "action": "approve", "values": None}]


def test_approve_says_which_questions_there_are_when_it_is_not_clear(signed_in: Command, api: FakeApi) -> None:
    other = QUESTION | {"id": "approval_2", "nodeKey": "more", "title": "Really?"}
    api.answers["OpenQuestions"] = {"run": {"approvals": {"nodes": [QUESTION, other]}}}
    status, _, told = signed_in("approve", RUN, "approve")
    assert status == 1
    assert told.splitlines()[1:] == ["  approval_1  ask: Well?", "  approval_2  more: Really?"]
    api.answers["OpenQuestions"] = {"run": {"approvals": {"nodes": []}}}
    assert signed_in("approve", RUN, "approve")[2] == f"The run {RUN} asks nothing now.\n"
    assert sent(api, "AnswerApproval") == []
