"""What a process publishes for all others of the host, whoever they run as: one that gave its rights up reads it, too.

Files may be read by everybody and folders passed, whatever the umask. So nothing secret lies in them; who may not see them at all is kept
out by a folder above.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

FILE, FOLDER = 0o644, 0o755


def make_folder(path: Path) -> None:
    """Also one that is there already. Raises OSError."""
    path.mkdir(parents=True, exist_ok=True)
    show(path)


def show(what: Path | int) -> None:
    """A file or folder, or a descriptor of one; one that is gone by now is none. What else its owner allows stays. Raises OSError.

    Another user's stays as it is: who may not read it then says so.
    """
    with contextlib.suppress(FileNotFoundError, PermissionError):
        mode = os.stat(what).st_mode
        wanted = FOLDER if stat.S_ISDIR(mode) else FILE
        if mode & wanted != wanted:
            os.chmod(what, stat.S_IMODE(mode) | wanted)
