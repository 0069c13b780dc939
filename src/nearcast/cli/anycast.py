"""``nearcast anycast``: how this host's service addresses are announced, and how they are drained."""

from __future__ import annotations

import time

import click

from nearcast.base.errors import NotFound
from nearcast.cli import reach, talk


class NothingAnnounced(NotFound):
    """This host announces no service addresses."""

    code = "NC0255"
    exit_code = 3
    cure = "set [anycast] asn, addresses and routers, and start it: `nearcast up`, or `nearcast serve anycast` on a host that has joined"


@click.group("anycast")
def command() -> None:
    """Show how this host's service addresses are announced to the routers, or drain them."""


@command.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """Show what is announced, since when and why, and the sessions with the routers."""
    from nearcast.system import anycast

    found = anycast.status(reach.home())
    if found is None:
        raise NothingAnnounced("no announcer of this host tells anything")
    if as_json:
        talk.answer_json(found)
        return
    told = f"MED {found.offer.med}, {found.offer.prepends} prepends" if found.offer else "withdrawn"
    why = f": {found.why}" if found.why else ""
    talk.answer(f"{', '.join(found.addresses)}  {found.phase} for {time.time() - found.since:.0f} s, {told}{why}")
    for router, up in found.sessions.items():
        bfd = f", BFD {'up' if found.bfd[router] else 'down'}" if router in found.bfd else ""
        talk.answer(f"  {router}  BGP {'up' if up else 'down'}{bfd}")


@command.command("drain")
@click.option("--undo", is_flag=True, help="Announce them again.")
def drain(undo: bool) -> None:
    """Announce this host's service addresses as the least wanted, and a while later not at all. It outlives restarts."""
    from nearcast.system import anycast, settings

    home = reach.home()
    path = anycast.drain_path(home)
    if undo:
        path.unlink(missing_ok=True)
        talk.say("the service addresses are announced again")
        return
    announces = anycast.status(home) is not None
    if not announces and not settings.load(home).anycast.asn:  # else what is set up one day would drain from the first moment
        raise NothingAnnounced("this host announces no service addresses that could drain")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    when = "drain" if announces else "will drain once their announcer runs, which it does not now"
    talk.say(f"the service addresses {when}; --undo takes it back")
