"""``nearcast edge``: one edge, an agent and its nginx."""

from __future__ import annotations

import os
import sys

import click

from nearcast.base.errors import NotFound
from nearcast.cli import reach


class UnknownAppliance(NotFound):
    """The configuration has no appliance of this name."""

    code = "NC0213"
    exit_code = 2
    cure = "add it under [[appliances]] in the configuration"


@click.command("edge")
@click.argument("appliance")
def command(appliance: str) -> None:
    """Run the edge APPLIANCE of the configuration in the foreground: its agent and its nginx."""
    from nearcast.system import serve, settings
    from nearcast.system.table import EDGE_PREFIX

    home = reach.home()
    known = [each.id for each in settings.load(home).appliances]
    if appliance not in known:
        raise UnknownAppliance(f"there is no appliance {appliance}", hint=f"there are: {', '.join(known) or 'none'}")
    os.environ["NEARCAST_HOME"] = str(home.root)
    home.make()
    sys.exit(serve.run([EDGE_PREFIX + appliance]))
