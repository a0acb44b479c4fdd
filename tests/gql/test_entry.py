from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import builtins, signal, os
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
real = builtins.__import__
def interrupted(name, *rest, **more):
    if name == "gql.cli":
        os.kill(os.getpid(), signal.SIGINT)
    return real(name, *rest, **more)
builtins.__import__ = interrupted
from gql.entry import main
main()
"""


def test_ctrl_c_while_modules_are_read_is_one_line() -> None:
    done = subprocess.run(  # noqa: S603 -- ours
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")
