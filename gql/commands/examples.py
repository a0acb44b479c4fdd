"""`new`: the examples that come with Anabranch, listed and copied."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from domain.document import load
from domain.errors import DocumentFault, SetupFault
from gql.client.faults import ClientFault
from gql.commands.calling import program
from gql.printing import print_lines

if TYPE_CHECKING:
    from rich.console import Console

_SUFFIX = ".yaml"


@dataclass(frozen=True, slots=True)
class Example:
    """A workflow file and what it shows, in a sentence."""

    name: str
    path: Path
    about: str


def find_folder() -> Path:
    """Return where the examples lie: in the repository, or in the installed package.

    Raises:
        SetupFault: in neither.
    """
    gql = Path(__file__).parents[1]
    for folder in (gql.parent / "examples", gql / "examples"):
        if any(folder.glob(f"*{_SUFFIX}")):
            return folder
    raise SetupFault("The examples are not there: this installation is not complete; install Anabranch again.")


def find_example(name: str) -> Path:
    """Return the path of an example by its name, with or without its suffix.

    Raises:
        ClientFault: there is none of this name.
        SetupFault: the installation has no examples.
    """
    folder = find_folder()
    paths = {path.stem: path for path in sorted(folder.glob(f"*{_SUFFIX}"))}
    found = paths.get(name.removesuffix(_SUFFIX))
    if found is None:
        raise ClientFault(f"There is no example {name!r}; there are {', '.join(paths)}.")
    return found


def list_examples() -> list[Example]:
    """Return all examples by name.

    Raises:
        SetupFault: the installation has no examples.
    """
    return [Example(path.stem, path, _about(path)) for path in sorted(find_folder().glob(f"*{_SUFFIX}"))]


def _about(path: Path) -> str:
    try:
        text = " ".join((load(path.read_text(encoding="utf-8")).description or "").split())
    except DocumentFault:  # its kinds may belong to a plug-in that is not installed
        return ""
    sentence, dot, _ = text.partition(". ")
    return sentence + dot.strip()


def print_examples(console: Console) -> None:
    """Print every example with what it shows."""
    examples = list_examples()
    grid = Table.grid(padding=(0, 2))
    for example in examples:
        grid.add_row(Text(example.name, "bold"), Text(example.about))
    print_lines(console, grid)
    console.print(f"\nCopy one: {program()} new {examples[0].name}", markup=False, highlight=False, soft_wrap=True)


def copy_example(name: str, target: Path | None, *, is_forced: bool) -> Path:
    """Copy an example and return where to; into the current directory under its own name if no target is given.

    Raises:
        ClientFault: there is no such example, the file is there already, or it cannot be written.
    """
    source = find_example(name)
    path = target or Path(source.name)
    if path.is_dir():
        path /= source.name
    try:
        with path.open("wb" if is_forced else "xb") as file:
            file.write(source.read_bytes())
    except FileExistsError:
        raise ClientFault(f"{path} is there already; --force overwrites it.") from None
    except OSError as error:
        raise ClientFault(f"{path} cannot be written: {error.strerror}.") from error
    return path
