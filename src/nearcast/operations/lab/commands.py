"""Runs `ip`, `tc`, `iptables` and `ethtool`, and gets into namespaces: what a person could type, so that it can be tried by hand."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from nearcast.base.errors import NearcastError

P = ParamSpec("P")
R = TypeVar("R")
NAMESPACES = Path("/run/netns")
CLONE_NEWNET = 0x40000000
TIMEOUT_S = 20.0
SEARCHED = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"


class CommandFailed(NearcastError):
    """A network command was refused by this machine."""

    code = "NC0260"
    cure = "`nearcast lab status` says what this machine can do; `nearcast lab down` removes what is left"


def environment() -> dict[str, str]:
    """This process's, with the folders in which Debian keeps network tools."""
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{SEARCHED}"}


def run(arguments: Sequence[str], *, text: str = "", check: bool = True) -> str:
    """What the command printed. ``text`` goes to its standard input. Raises CommandFailed with its words."""
    try:
        done = subprocess.run(
            list(arguments), input=text, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=environment()
        )
    except FileNotFoundError as error:
        raise CommandFailed(f"{arguments[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"`{' '.join(arguments)}` does not end") from error
    if check and done.returncode:
        raise CommandFailed(f"`{' '.join(arguments)}`: {(done.stderr or done.stdout).strip()[:400]}")
    return done.stdout


def batch(namespace: str, lines: Sequence[str]) -> None:
    """Lines for `ip`, all in one process, in one namespace."""
    run(["ip", "-n", namespace, "-batch", "-"], text="\n".join(lines) + "\n")


def into(namespace: str) -> list[str]:
    """What goes before a command that is to run in a namespace."""
    return ["ip", "netns", "exec", namespace]


def _enter(namespace: str) -> None:
    """Move this thread into a namespace (setns(2)); sockets that it opens stay there, whoever uses them."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(NAMESPACES / namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(descriptor, CLONE_NEWNET):
            raise CommandFailed(f"cannot enter {namespace}: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(descriptor)


class Inside:
    """A thread that lives in a namespace and does there what it is asked to. Close it before the namespace goes."""

    def __init__(self, namespace: str) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, initializer=_enter, initargs=(namespace,), thread_name_prefix=namespace)

    def call(self, work: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R:
        """``work`` done there: its answer, or what it raised."""
        return self.begin(work, *arguments, **options).result()

    def begin(self, work: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> Future[R]:
        """The same, without waiting for it; what else is asked waits its turn."""
        return self._thread.submit(work, *arguments, **options)

    def close(self) -> None:
        self._thread.shutdown(wait=True)

    def __enter__(self) -> Inside:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
