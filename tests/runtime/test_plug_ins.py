from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

import pytest

from domain.errors import SetupFault
from domain.kinds import Config, NodeContext, NodeKind, Result
from gql.commands.doctor import Finding, check_plug_ins
from runtime import plug_ins
from runtime.nodes import transform
from runtime.plug_ins import ENTRY_POINT_GROUP, find_plug_ins
from runtime.registry import BUILT_IN, load_registry

if TYPE_CHECKING:
    from pathlib import Path


class PluginConfig(Config):
    """A plug-in's configuration."""


class TransformField(Config):
    """Has the name of a part of TRANSFORM."""


class OtherConfig(Config):
    """A configuration with a part that is called like another's."""

    part: TransformField | None = None
    """The part."""


async def run(config: object, ctx: NodeContext) -> Result:
    del config, ctx
    return Result()


def computed(config: object, ctx: NodeContext) -> Any:
    del config, ctx


PLUGIN = NodeKind("PLUGIN", "plugin", "Plug-in", "Does nothing.", PluginConfig, None, run)
NO_KIND = "not a kind"
NOT_SOUND = NodeKind("NOT_SOUND", "notSound", "Not sound", "Has no `async def`.", PluginConfig, None, computed)
SAME_KIND = NodeKind("TRANSFORM", "transform", "Mine", "Takes a name.", PluginConfig, None, run)
SAME_TYPE = NodeKind("OTHER", "other", "O", "Takes a type.", OtherConfig, None, run, nested=(TransformField,))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    found: list[EntryPoint] = []

    def entry_points(*, group: str) -> list[EntryPoint]:
        assert group == "anabranch.node_kinds"
        return found

    monkeypatch.setattr(plug_ins, "entry_points", entry_points)
    return found


def entry(target: str) -> EntryPoint:
    return EntryPoint("mine", target if ":" in target else f"{__name__}:{target}", ENTRY_POINT_GROUP)


def test_installed_plug_ins_bring_their_kinds(installed: list[EntryPoint]) -> None:
    installed.append(entry("PLUGIN"))
    loaded = load_registry()
    assert loaded.by_name("plugin") is PLUGIN
    assert list(loaded) == [*BUILT_IN, PLUGIN]


BROKEN = {
    "NO_KIND": "is no NodeKind but str",
    "missing": "cannot be imported (AttributeError: ",
    "no_such_module:KIND": "cannot be imported (ModuleNotFoundError: No module named 'no_such_module')",
    "NOT_SOUND": "is not sound: `run` is no `async def`.",
    "SAME_KIND": "cannot be taken in: There is a kind TRANSFORM already.",
    "SAME_TYPE": "cannot be taken in: TRANSFORM has a type TransformField already",
}


@pytest.mark.parametrize("target", BROKEN)
def test_a_plug_in_that_cannot_be_taken_is_told_in_one_sentence_with_what_to_do(
    installed: list[EntryPoint], target: str
) -> None:
    installed.append(entry(target))
    with pytest.raises(SetupFault) as caught:
        load_registry()
    assert caught.value.message.startswith(f"The plug-in mine = {installed[0].value} {BROKEN[target]}")
    assert caught.value.message.endswith(" Repair or uninstall it.")


def test_a_plug_in_that_ends_the_process_when_it_is_imported_does_not(
    installed: list[EntryPoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ends_the_process.py").write_text("import sys\nsys.exit(3)\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    installed.append(entry("ends_the_process:KIND"))
    with pytest.raises(SetupFault, match="SystemExit: 3"):
        load_registry()
    assert "ends_the_process" not in sys.modules


def test_two_plug_ins_of_one_kind_are_refused(installed: list[EntryPoint]) -> None:
    installed += [entry("PLUGIN"), EntryPoint("twin", f"{__name__}:PLUGIN", ENTRY_POINT_GROUP)]
    with pytest.raises(SetupFault, match=r"plug-in twin .* There is a kind PLUGIN already"):
        load_registry()


def test_the_doctor_names_every_plug_in_and_what_is_wrong_with_it(installed: list[EntryPoint]) -> None:
    assert check_plug_ins(find_plug_ins()) == [Finding("Plug-ins", "none installed")]
    installed += [entry("PLUGIN"), EntryPoint("twin", f"{__name__}:PLUGIN", ENTRY_POINT_GROUP)]
    sound, broken = check_plug_ins(find_plug_ins())
    assert (sound.found, sound.advice) == (f"PLUGIN (mine = {__name__}:PLUGIN)", None)
    assert "There is a kind PLUGIN already" in broken.found
    assert broken.advice


def test_a_kind_that_stands_twice_among_the_built_in_ones_is_told(installed: list[EntryPoint]) -> None:
    installed.append(EntryPoint("mine", "runtime.nodes.transform:KIND", ENTRY_POINT_GROUP))
    assert transform.KIND in BUILT_IN
    with pytest.raises(SetupFault, match="TRANSFORM"):
        load_registry()
