"""As whom a process goes on that root started, once it has what only root may take (a port below 1024): a user who may do little.

What it reads then, it reads below its working directory: the folders above that may be closed to this user (path_resolution(7)).
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import structlog

from nearcast.base.errors import BadInput, Internal
from nearcast.delivery.edge import worker
from nearcast.delivery.edge.worker import Worker

_PR_SET_NO_NEW_PRIVS = 38
LATE = ("encodings.idna", "encodings.ascii", "encodings.latin_1", "linecache", "traceback", "sysconfig")
"""Python loads these when they are first needed, when its library may be out of reach."""
_log = structlog.get_logger("unprivileged")


class NoSuchUser(BadInput):
    """The user named for a process does not exist."""

    code = "NC0235"
    cure = "name another user, or leave it empty"


class StillPrivileged(Internal):
    """The rights of root could not be given up."""

    code = "NC0236"
    cure = 'see what keeps root from setuid here (a container without CAP_SETUID, CAP_SETGID); with user = "root" they are kept'


def choose(wanted: str) -> Worker | None:
    """``wanted``, else the first of the users that nginx's workers run as; None where we are not root, or are to stay it.

    Raises NoSuchUser.
    """
    if os.geteuid() != 0:
        return None
    if wanted:
        found = worker.find_user(wanted)
        if found is None:
            raise NoSuchUser(f"there is no user {wanted} on this machine")
        return found if found.uid else None
    known = [found for name in worker.USERS if (found := worker.find_user(name))]
    return known[0] if known and worker.capable(Path("/proc/self/status").read_text()) else None


def forbid_gain() -> None:
    """No program that this thread or one it starts executes gets more rights than they have (no_new_privs, prctl(2)). Raises OSError."""
    system = ctypes.CDLL(None, use_errno=True)
    if system.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def become(user: Worker, folder: Path) -> None:
    """Go to ``folder``, and be ``user`` from now on, in every thread and for good. Raises StillPrivileged."""
    for each in LATE:
        __import__(each)
    try:
        os.chdir(folder)
        os.setgroups([])
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)
    except OSError as error:
        raise StillPrivileged(f"cannot become {user.user}: {error.strerror or error}") from error
    if {*os.getresuid()} != {user.uid} or {*os.getresgid()} != {user.gid} or os.getgroups():
        raise StillPrivileged(f"we are not {user.user} alone")
    _log.info("rights of root are given up", user=user.user)
