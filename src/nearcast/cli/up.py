"""``nearcast up``: starts what is not running, waits until it is ready, and prints one link."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nearcast.base.errors import NearcastError
from nearcast.base.paths import Home
from nearcast.base.supervise import SystemStatus
from nearcast.cli import reach, talk
from nearcast.model.services import Accounts, LinkQuestion

if TYPE_CHECKING:
    from nearcast.system.settings import Settings

READY_TIMEOUT_S = 90.0


@click.command("up")
@click.option("--foreground", is_flag=True, help="Stay, show the log, and end the system on ctrl-C.")
@click.option(
    "--public", metavar="NAME", help="Serve others under this name, with TLS (own authority, or the configuration's certificate)."
)
@click.option("--no-demo", is_flag=True, help="Do not ingest the demo film.")
@click.option("--config", "config_path", type=click.Path(dir_okay=False, path_type=Path), help="A configuration file elsewhere.")
def command(foreground: bool, public: str | None, no_demo: bool, config_path: Path | None) -> None:
    """Start the system and print a one-time sign-in link.

    What already runs goes on. Films, accounts and bookmarks are kept in the home folder from one start to the next.
    """
    from nearcast.system import demo, places, settings, start, supervisor

    home = reach.home()
    options = {"NEARCAST_NETWORK__PUBLIC_NAME": public} if public is not None else {}
    if config_path is not None:
        options["NEARCAST_CONFIG"] = str(config_path.absolute())
    running = start.running(home)
    os.environ.update(options)
    whole = settings.load(home, os.environ if running is None else None)
    if running is None:
        start.check_protected(whole)
        start.prepare(home, options)
        if places.public(whole):
            from nearcast.system import tls

            tls.prepare(home, whole)
        if whole.network.internal_host:
            from nearcast.system import peers

            peers.need(home)  # once, before several processes do
        start.check_ports(home, whole)
        if foreground:
            sys.exit(_stay(home, whole, no_demo))
        child = start.launch(home, {})
        start.wait_ready(home, READY_TIMEOUT_S, child, _teller())
    else:
        start.wait_ready(home, READY_TIMEOUT_S)
        wanted = {each.name: each.fingerprint for each in supervisor.commands(home, whole)}
        if not start.fits(running, wanted):
            talk.say("note: the system runs with an earlier configuration; `nearcast down` and `nearcast up` bring the new one")
    if whole.demo.film and not no_demo:
        demo.start(home)
    talk.answer(sign_in_link(whole))


def sign_in_link(whole: Settings, email: str = "") -> str:
    """A fresh one-time link of the running system."""
    from nearcast.system import places

    found = reach.converse(lambda system: system.client(Accounts).link(LinkQuestion(email=email)))
    return f"{places.gateway_url(whole)}/#/link/{found.link}"


def _stay(home: Home, whole: Settings, no_demo: bool) -> int:
    """Supervise in this process; a helper prints the link once everything is ready."""
    import threading

    from nearcast.system import demo, start, supervisor

    def greet() -> None:
        try:
            start.wait_ready(home, READY_TIMEOUT_S, told=_teller())
            if whole.demo.film and not no_demo:
                demo.start(home)
            talk.answer(sign_in_link(whole))
        except NearcastError as error:
            talk.complain(error)

    start.note_start(home, os.getpid())
    threading.Thread(target=greet, daemon=True).start()
    return supervisor.run()


class _Teller:
    """Says each process once, when it gets ready; only where a person watches."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, status: SystemStatus) -> None:
        for each in status.processes:
            if each.state == "ready" and each.name not in self._said:
                self._said.add(each.name)
                talk.say(f"  {click.style('✓', fg='green')} {each.name}")
            elif each.state == "backoff" and f"{each.name}{each.restarts}" not in self._said:
                self._said.add(f"{each.name}{each.restarts}")
                talk.say(f"  {click.style('…', fg='yellow')} {each.name}: {each.last_exit}; trying again")


def _teller() -> _Teller | None:
    return _Teller() if talk.interactive() else None
