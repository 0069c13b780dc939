"""``nearcast dns``: what the zone above ours needs to know of our name servers."""

from __future__ import annotations

import click

from nearcast.base.errors import BadInput
from nearcast.cli import reach, talk


class NoZone(BadInput):
    """There is no zone of ours, or it is not signed."""

    code = "NC0254"
    cure = "set [steering.dns] zone, and start again"


@click.group("dns")
def command() -> None:
    """Delegate the zone to our name servers."""


@command.command("ds")
def ds() -> None:
    """Print the DS record for the parent zone. Makes the key if there is none yet."""
    last = _records()[-1]
    if " IN DS " not in last:
        raise NoZone("answers are not signed", hint="set [steering.dns] dnssec = true, and start again")
    talk.answer(last)


@command.command("delegation")
def delegation() -> None:
    """Print everything that the parent zone needs, as lines of a zone file: NS, glue, and DS where answers are signed."""
    for line in _records():
        talk.answer(line)


def _records() -> list[str]:
    from nearcast.steering.dns import delegation as records
    from nearcast.steering.dns import dnssec
    from nearcast.system import settings
    from nearcast.system.dns import key_path

    home = reach.home()
    found = settings.load(home).steering.dns
    if not found.zone:
        raise NoZone("no zone is set")
    home.make()
    if dnssec.make(key_path(home)) and found.dnssec:
        talk.say(f"a new signing key was made: {key_path(home)}; if the parent zone has a DS already, put back the key that it is for")
    return records.records(found, dnssec.load(key_path(home)))
