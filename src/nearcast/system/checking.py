"""One thing that ``nearcast doctor`` looked at, and how programs are asked for their version."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from nearcast.base.errors import NearcastError


class Check(Struct, frozen=True, kw_only=True):
    """``state``: good; note (works, but); bad (something will not work). ``cure`` says what to do."""

    name: str
    state: Literal["good", "note", "bad"]
    found: str
    cure: str = ""


def attempt(name: str, look: Callable[[], str]) -> Check:
    """Good with what ``look`` found, bad with what it raised."""
    try:
        return Check(name=name, state="good", found=look())
    except NearcastError as error:
        return Check(name=name, state="bad", found=error.message, cure=error.hint)
    except (OSError, subprocess.SubprocessError) as error:
        return Check(name=name, state="bad", found=f"does not run: {error}", cure="`make up` brings what is missing")


def version(command: list[str]) -> str:
    """The first line that a program says of its version."""
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    return next((line.strip()[:80] for line in (done.stdout + done.stderr).splitlines() if line.strip()), command[0])
