"""The first process of a system: starts the nursery, which has the most to load, and becomes the supervisor meanwhile."""

import os
import socket
import subprocess
import sys


def main() -> int:
    """The body of ``python -m nearcast.system.launch``. Answers with the exit status."""
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-m", "nearcast.system.nursery", "-" * 200]  # room for the names of its forks
        nursery = subprocess.Popen(command, stdin=theirs.fileno(), start_new_session=True, env=dict(os.environ))
    import nearcast.base  # noqa: F401  (before structlog: see there)
    from nearcast.system.supervisor import run

    return run((nursery, ours))


if __name__ == "__main__":
    sys.exit(main())
