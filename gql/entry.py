"""Where the `anabranch` command begins: before its modules are read, which takes long enough to be interrupted."""

import signal
import sys

_INTERRUPTED = 130


def main() -> None:
    """Run the command; Ctrl-C while its modules are still read is told in one line, too."""
    try:
        from gql.cli import main as run  # noqa: PLC0415 -- see above
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one must not interrupt the exit
        sys.stderr.write("Interrupted.\n")
        sys.exit(_INTERRUPTED)
    run()
