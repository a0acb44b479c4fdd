"""The GraphQL documents of each test, found in the source text without running anything."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

from tests.support.selections import executable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_Name = tuple[str, str]
"""A module, and what is defined at its top."""


@dataclass(frozen=True)
class _Module:
    name: str
    tree: ast.Module

    @cached_property
    def definitions(self) -> Mapping[str, ast.stmt]:
        """Functions and constants; of classes nothing is followed: who names one does not use all of it."""
        found: dict[str, ast.stmt] = {}
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found[node.name] = node
            elif isinstance(node, ast.Assign):
                found |= {target.id: node for target in node.targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found[node.target.id] = node
        return found

    @cached_property
    def imports(self) -> Mapping[str, _Name]:
        """Names that stand for what another module defines."""
        return {
            alias.asname or alias.name: (node.module, alias.name)
            for node in self.tree.body
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }


def documents_of_tests(folder: Path) -> Mapping[str, frozenset[str]]:
    """Return the documents of each test, by its id such as `tests/gql/test_nodes.py::test_one`."""
    modules: dict[str, _Module] = {}
    for path in sorted(folder.rglob("*.py")):
        if "node_modules" not in path.parts:
            name = ".".join(path.relative_to(folder.parent).with_suffix("").parts)
            modules[name] = _Module(name, ast.parse(path.read_text(encoding="utf-8")))
    found: dict[str, frozenset[str]] = {}
    for module in modules.values():
        for name in module.definitions:
            if name.startswith("test_") and module.name.rpartition(".")[2].startswith("test_"):
                reached = _reached(modules, (module.name, name))
                texts = frozenset(text for one in reached for text in _texts(modules[one[0]].definitions[one[1]]))
                found[f"{module.name.replace('.', '/')}.py::{name}"] = texts
    return found


def _reached(modules: Mapping[str, _Module], start: _Name) -> set[_Name]:
    reached, open_ = {start}, [start]
    while open_:
        module_name, name = open_.pop()
        module = modules[module_name]
        for used in _used(module.definitions[name]):
            target = (module_name, used) if used in module.definitions else module.imports.get(used)
            is_known = target is not None and target[0] in modules and target[1] in modules[target[0]].definitions
            # A test is not a helper, and a constant of the same name as a test's variable is rare.
            if target is not None and is_known and target not in reached:
                reached.add(target)
                open_.append(target)
    return reached


@cache  # a helper is reached from many tests
def _used(node: ast.stmt) -> frozenset[str]:
    """Names that are read, and arguments, which are fixtures."""
    found: set[str] = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load):
            found.add(inner.id)
        elif isinstance(inner, ast.arg):
            found.add(inner.arg)
    return frozenset(found)


@cache
def _texts(node: ast.stmt) -> frozenset[str]:
    constants = (inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant))
    return frozenset(value for value in constants if isinstance(value, str) and executable(value))
