"""Commands that people are told to type: as they can be typed here, whether or not `anabranch` is on the PATH."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path


def program() -> str:
    """Return how this command is called from here."""
    if shutil.which("anabranch"):
        return "anabranch"
    installed = Path(sys.executable).with_name("anabranch")
    try:
        return str(installed.relative_to(Path.cwd()))
    except ValueError:
        return str(installed)


def run_example(name: str, options: str = "") -> str:
    """Return how an example is run from here; it is copied first where the folder of examples is not at hand."""
    path = f"examples/{name}.yaml"
    copied = "" if Path(path).is_file() else f"{program()} new {name} && "
    return " ".join(f"{copied}{program()} run {f'{name}.yaml' if copied else path} {options} --watch".split())
