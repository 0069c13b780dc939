"""How a command reaches the running system: its home, and one conversation with its services."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from nearcast.base.errors import RemoteUnavailable, Unavailable
from nearcast.base.paths import Home, find_home

if TYPE_CHECKING:
    from nearcast.system.part import System

T = TypeVar("T")


class NotRunning(Unavailable):
    """The command needs a running system, and there is none in this home folder."""

    code = "NC0207"
    cure = "start it with `nearcast up`; another home folder is named by NEARCAST_HOME"


def home() -> Home:
    """The home folder that this command works in."""
    return find_home(os.environ, Path.cwd(), Path.home())


def converse(talk: Callable[[System], Awaitable[T]]) -> T:
    """Run ``talk`` with clients of the running system. Raises NotRunning when there is none."""
    from nearcast.system.serve import open_system

    here = home()
    if not here.secrets.exists():
        raise NotRunning(f"there is no system in {here.root}")
    system = open_system(here)

    async def body() -> T:
        try:
            return await talk(system)
        finally:
            await system.channels.close()

    try:
        return asyncio.run(body())
    except RemoteUnavailable:  # something did answer
        raise
    except Unavailable as error:
        from nearcast.system import start

        if start.running(here) is None and not start.left_over(here) and not system.settings.network.addresses:
            raise NotRunning(f"no system runs in {here.root}") from error
        raise
