"""`make audit`: what is known of faults in the locked packages, of Python and of npm, where that data can be had.

A known fault ends with status 1. Data that is not to be had is told, and is no failure: CI may run without it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tests.support.node import find_node

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parents[2]
_TIMEOUT_S = 300


def audit_python(lock: Path) -> list[str]:
    """Return what is known against the packages of a lock file, and say how many could be asked about."""
    program = Path(sys.executable).with_name("pip-audit")
    command = [
        str(program),
        "-r",
        str(lock),
        "--require-hashes",
        "--disable-pip",
        "--progress-spinner",
        "off",
        "--format",
        "json",
    ]
    packages = (_json(command, lock.parent) or {}).get("dependencies", [])
    asked = [package for package in packages if "skip_reason" not in package]
    _say(lock, len(asked), len(packages))
    return [
        f"{lock.name}: {package['name']} {package['version']}: {fault['id']}, mended in {', '.join(fault['fix_versions'])}"
        for package in asked
        for fault in package["vulns"]
    ]


def audit_npm(lock: Path) -> list[str]:
    """Return what is known against the packages of an npm lock file."""
    node = find_node()
    told = _json([*node.npm, "audit", "--json", "--package-lock-only"], lock.parent, node.environment) or {}
    count = len(json.loads(lock.read_text())["packages"]) - 1
    _say(lock, count if "vulnerabilities" in told else 0, count)
    return [
        f"{lock.parent.name}: {name}: {fault['severity']}, {fault['range']}"
        for name, fault in told.get("vulnerabilities", {}).items()
    ]


def _json(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> dict[str, Any] | None:
    try:
        done = subprocess.run(  # noqa: S603 -- our own command
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
        found: Any = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def _say(lock: Path, asked: int, count: int) -> None:
    where = lock.relative_to(ROOT).as_posix()
    if asked:
        sys.stdout.write(f"audit: {where}: {asked} of {count} packages compared with what is known of their faults\n")
    else:
        sys.stdout.write(f"audit: {where}: skipped, the package registry has no data on faults or does not answer\n")


def main() -> int:
    """Audit every lock file; return 1 if something is known against a package."""
    listed = subprocess.run(
        ["git", "ls-files", "*package-lock.json"],  # noqa: S607
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    found = [
        fault
        for name in ("runtime.txt", "dev.txt", "build.txt")
        for fault in audit_python(ROOT / "requirements" / name)
    ]
    found += [fault for name in listed.stdout.split() for fault in audit_npm(ROOT / name)]
    for fault in found:
        sys.stderr.write(f"audit: {fault}\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
