"""``nearcast down``: ends the system; films that play go on from edges elsewhere."""

from __future__ import annotations

import click

from nearcast.cli import reach, talk


@click.command("down")
def command() -> None:
    """End the system. Running ingests stop, and go on with the next `nearcast up`."""
    from nearcast.system import start

    ended = start.stop(reach.home())
    talk.say(f"{ended} processes ended" if ended else "nothing was running")
