"""``nearcast serve``: runs processes of the table by hand, on this host or another."""

from __future__ import annotations

import os
import sys

import click

from nearcast.cli import reach


@click.command("serve")
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
def command(names: tuple[str, ...]) -> None:
    """Run the processes NAME… in the foreground: browse, play, record, fleet, steer, origin, gateway; an edge as edge-ID; and
    where they are configured, a door as door-ID, a worker of the name server as dns-N, and anycast.

    Several names share one process. Where they and the others run stands in `[network] addresses`; on another host,
    secrets/ must be the same.
    """
    from nearcast.system import serve, settings

    home = reach.home()
    serve.known_processes(settings.load(home), names)  # what a person mistyped is told to them, not to a log
    os.environ["NEARCAST_HOME"] = str(home.root)
    home.make()
    sys.exit(serve.run(names))
