from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from gql.demo.corpus import MIN_DOCUMENTS, python_version, read_library

ROOT = Path(__file__).parents[3]


def test_the_library_has_enough_modules_classes_and_functions_to_search_in() -> None:
    documents = read_library()
    kinds = Counter(document.kind for document in documents)
    assert len(documents) >= MIN_DOCUMENTS
    assert min(kinds["module"], kinds["class"], kinds["function"]) > 40


def test_it_is_the_same_whenever_it_is_read_and_no_document_comes_twice() -> None:
    documents = read_library()
    assert documents == read_library()
    assert len({document.name for document in documents}) == len(documents)


def test_a_document_says_what_it_is_about_and_is_short_enough_for_one_chunk() -> None:
    for document in read_library():
        assert document.text.startswith(f"{document.name}: ")
        assert len(document.name) + 5 < len(document.text) < 600


def test_it_becomes_an_input_with_a_key_of_its_own_and_metadata_to_filter_by() -> None:
    [found] = [document for document in read_library() if document.name == "asyncio.wait"]
    given = found.to_input()
    assert given["text"].startswith("asyncio.wait: Wait for the Futures or Tasks")
    assert {name: value for name, value in given.items() if name != "text"} == {
        "externalId": "asyncio.wait",
        "metadata": {"name": "asyncio.wait", "kind": "function", "module": "asyncio", "python": python_version()},
    }


def test_reading_prints_nothing_warns_of_nothing_and_opens_nothing() -> None:
    program = """
import sys, warnings
warnings.simplefilter("error")
opened = []
sys.addaudithook(lambda name, args: opened.append((name, args)) if name.startswith(("socket.", "subprocess.")) else None)
from gql.demo.corpus import read_library
read_library()
assert opened == [], opened
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_python_without_docstrings_is_told_of() -> None:
    program = "from gql.demo.corpus import read_library; read_library()"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-OO", "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "SetupFault: This Python has only" in done.stderr
