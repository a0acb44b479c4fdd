"""A process for tests of the supervisor: `fails` ends at once, `deaf` ignores SIGTERM, `plain` does as it is told."""

from __future__ import annotations

import os
import signal
import sys
import threading

from runtime.child_process import end_with_parent, keep_standard_output


def main() -> None:
    """Behave as the first argument says."""
    behaviour = sys.argv[1]
    say_ready = keep_standard_output()
    if behaviour == "fails":
        sys.exit(3)
    if behaviour == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    say_ready("ready")
    threading.Event().wait()


if __name__ == "__main__":
    main()
