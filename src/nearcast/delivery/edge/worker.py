"""As whom nginx's workers run. They read what strangers send, so that root's nginx gives them a user who may do little.

Such a user must get to the films, so the folders on the way are looked at first: below a home that is closed to others (0700) it
cannot, and the workers stay root, which the log tells.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path

import structlog
from msgspec import Struct

from nearcast.base.errors import BadInput

USERS = ("www-data", "nginx", "nobody")
"""In this order: Debian's for web servers, nginx's own packages', everybody's."""
CAPABILITIES = (0, 6, 7)
"""CAP_CHOWN, CAP_SETGID and CAP_SETUID (capabilities(7)): containers may be root without them."""
_log = structlog.get_logger("edge")


class WorkerBarred(BadInput):
    """The user named for an edge's nginx workers does not exist, or cannot get to the edge's files."""

    code = "NC2006"
    cure = "name another user, or lay the edge's folder where that user may go (chmod o+x the folders above it)"


class Worker(Struct, frozen=True):
    """User and group of the workers, by name and number."""

    user: str
    group: str
    uid: int
    gid: int


def bars(mode: int, owner: int, group: int, worker: Worker) -> bool:
    """Whether a folder of this mode keeps ``worker`` from going through it (path_resolution(7))."""
    if worker.uid == owner:
        return not mode & stat.S_IXUSR
    if worker.gid == group:
        return not mode & stat.S_IXGRP
    return not mode & stat.S_IXOTH


def barred_at(folder: Path, worker: Worker) -> Path | None:
    """The first of the folders above ``folder`` through which ``worker`` may not go; None where the way is free."""
    for each in reversed(folder.parents):
        found = each.stat()
        if bars(found.st_mode, found.st_uid, found.st_gid, worker):
            return each
    return None


def choose(folder: Path, wanted: str) -> Worker | None:
    """Who is to work in ``folder``: ``wanted``, else the first of USERS that can, else root; None where nginx is not root's anyway.

    Raises WorkerBarred when ``wanted`` is not there or cannot get to the folder.
    """
    if os.geteuid() != 0:
        return None
    if wanted:
        named = find_user(wanted)
        if named is None:
            raise WorkerBarred(f"there is no user {wanted} on this machine")
        if bar := barred_at(folder, named) if named.uid else None:
            raise WorkerBarred(f"{wanted} may not go through {bar}, and so not to {folder}")
        return named
    known = [found for name in USERS if (found := find_user(name))] if capable(Path("/proc/self/status").read_text()) else []
    for each in known:
        if barred_at(folder, each) is None:
            return each
    at = str(barred_at(folder, known[0])) if known else ""
    _log.warning("nginx's workers run as root: no other user can, or may go to the films", barred_at=at)
    return Worker("root", grp.getgrgid(0).gr_name, 0, 0)


def capable(status: str) -> bool:
    """Whether a process of this /proc/PID/status may give files and processes to another user."""
    effective = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    return all(int(effective, 16) >> each & 1 for each in CAPABILITIES)


def hand_over(worker: Worker, *, kept: Iterable[Path], passed: Iterable[Path]) -> None:
    """Let ``worker`` write what is ``kept`` by nginx (its cache), and pass through folders (``passed``) that others may not look into."""
    for folder in kept:
        if folder.stat().st_uid != worker.uid:  # the first time, or after another user's
            for root, folders, files in os.walk(folder):
                for name in (".", *folders, *files):
                    os.chown(Path(root) / name, worker.uid, worker.gid, follow_symlinks=False)
    for folder in passed:
        os.chown(folder, -1, worker.gid)
        folder.chmod(0o710)


def find_user(name: str) -> Worker | None:
    """A user of this machine; None where there is none of this name."""
    try:
        found = pwd.getpwnam(name)
        return Worker(found.pw_name, grp.getgrgid(found.pw_gid).gr_name, found.pw_uid, found.pw_gid)
    except KeyError:
        return None
