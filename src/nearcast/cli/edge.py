"""``nearcast edge``: one edge, an agent and its nginx; and how an edge of another host joins."""

from __future__ import annotations

import os
import sys
import time

import click

from nearcast.base.errors import NotFound
from nearcast.cli import reach, talk
from nearcast.model.services import Discovery, OrderQuestion
from nearcast.model.site import Order


class UnknownAppliance(NotFound):
    """The configuration has no appliance of this name."""

    code = "NC0213"
    exit_code = 2
    cure = "add it under [[appliances]] in the configuration"


class Verbs(click.Group):
    """``nearcast edge fra-1`` is short for ``nearcast edge run fra-1``, and so is ``nearcast edge`` where there is but one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = args[0] if args else ""
        if first not in self.commands and not first.startswith("-"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group("edge", cls=Verbs)
def command() -> None:
    """Run an edge, invite one from another host, or join as one. `nearcast edge ID` runs the edge ID."""


@command.command("run")
@click.argument("appliance", default="")
def run(appliance: str) -> None:
    """Run the edge APPLIANCE of the configuration in the foreground: its agent and its nginx. With one edge, its name may be left out."""
    from nearcast.system import serve, settings
    from nearcast.system.table import EDGE_PREFIX

    home = reach.home()
    known = [each.id for each in settings.load(home).appliances]
    if not appliance and len(known) == 1:
        appliance = known[0]
    if appliance not in known:
        said = f"there is no appliance {appliance}" if appliance else "name the appliance to run"
        raise UnknownAppliance(said, hint=f"there are: {', '.join(known) or 'none'}")
    os.environ["NEARCAST_HOME"] = str(home.root)
    home.make()
    sys.exit(serve.run([EDGE_PREFIX + appliance]))


@command.command("invite")
@click.argument("appliance", metavar="ID")
@click.option("--site", required=True, help="The site that it stands in, one of [steering.sites].")
@click.option("--public", metavar="NAME", default="", help="Host name or address under which viewers reach it: it then serves with TLS.")
@click.option("--at", metavar="HOST", default="", help="How the edge reaches this host, where [network] internal_host is not it.")
@click.option("--minutes", type=click.FloatRange(0, 10080, min_open=True), default=60.0, show_default=True, help="How long it is good for.")
def invite(appliance: str, site: str, public: str, at: str, minutes: float) -> None:
    """Print a token with which one edge of another host may join, once, under the name ID: `nearcast edge join TOKEN` there."""
    from nearcast.system import inviting

    talk.answer(inviting.token(reach.home(), appliance, site, public_name=public, at=at, ttl_s=60 * minutes))
    talk.say(f"good for {minutes:g} minutes, once; on the other host: nearcast edge join TOKEN")


@command.command("dismiss")
@click.argument("appliance", metavar="ID")
def dismiss(appliance: str) -> None:
    """Shut out the edge ID, which had joined from another host: it is neither heard nor told anything, and gets no new certificate.

    To be done on the main host. An edge of the same name may be invited anew; the old one stays out.
    """
    from nearcast.system import dismissal

    dismissal.dismiss(reach.home(), appliance, time.time())
    talk.say(f"{appliance} is out; until its certificate ends it can still read the origin, unless you close origin_port to its host")


@command.command("join")
@click.argument("token")
@click.option("--port", type=click.IntRange(1, 65535), default=8101, show_default=True, help="Where its nginx serves viewers.")
@click.option("--listen", multiple=True, metavar="ADDRESS", help="Addresses to serve at; else all with a public name, loopback without.")
def join(token: str, port: int, listen: tuple[str, ...]) -> None:
    """Become an edge of the system that printed TOKEN. Then `nearcast edge` runs it."""
    from nearcast.system import joiner

    home = reach.home()
    joined = joiner.join(home, token, joiner.Place(port=port, listen=listen))
    talk.say(f"{home.root} is now the edge {joined.id} at {joined.site}; `nearcast edge` runs it")
    talk.answer(joined.id)


@command.command("drain")
@click.argument("appliance", metavar="ID")
@click.option("--undo", is_flag=True, help="Let it have new viewers again.")
def drain(appliance: str, undo: bool) -> None:
    """Send no new viewers to the edge ID; who watches goes on. To be undone with --undo, however long it takes."""
    _order(OrderQuestion(appliance=appliance, draining=not undo))
    talk.say(f"{appliance} takes new viewers again" if undo else f"{appliance} drains: no new viewers, and who watches goes on")


@command.command("rotate-key")
@click.argument("appliance", metavar="ID")
def rotate_key(appliance: str) -> None:
    """Give the edge ID a new key for the paths it serves. Films in course go on: the key before stays good beside it."""
    order = _order(OrderQuestion(appliance=appliance, rotate_key=True))
    talk.say(f"{appliance} goes over to its key of generation {order.key_generation}; rotate again to shut out paths under the one before")


def _order(question: OrderQuestion) -> Order:
    return reach.converse(lambda system: system.client(Discovery).order(question))
