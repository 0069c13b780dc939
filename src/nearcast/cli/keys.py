"""``nearcast keys``: the keys that protect the licences."""

from __future__ import annotations

import asyncio

import click

from nearcast.cli import reach, talk


@click.group("keys")
def command() -> None:
    """Change the keys that protect the licences."""


@command.command("rotate")
def rotate() -> None:
    """Bring in a fresh master key of the licences, and seal every title's keys anew under it.

    Films and sessions go on; no film is encrypted anew. May be killed and run again. Copy secrets/license-master.key to the other
    hosts that run `play`, and save the secrets again: with an older copy, what a newer backup of the database holds does not open.
    """
    from nearcast.system import rotation

    changed = asyncio.run(rotation.rotate(reach.home()))
    talk.say(f"{changed} keys are sealed under a new master key; save the secrets: nearcast backup --secrets FILE")
