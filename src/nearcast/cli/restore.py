"""``nearcast restore``: brings a backup back, into a system that does not run."""

from __future__ import annotations

from pathlib import Path

import click

from nearcast.base.errors import Conflict
from nearcast.cli import reach, talk


class StillUp(Conflict):
    """A backup cannot be restored under a running system."""

    code = "NC0214"
    cure = "`nearcast down` first"


@click.command("restore")
@click.argument("archive", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--secrets", is_flag=True, help="Bring the secrets back too.")
def command(archive: Path, secrets: bool) -> None:
    """Bring the backup ARCHIVE back. What it replaces stays beside it as ….before-restore."""
    from nearcast.control.store.backup import restore
    from nearcast.system import settings, start
    from nearcast.system.stores import backup_members

    home = reach.home()
    if start.running(home) or start.left_over(home):
        raise StillUp(f"the system in {home.root} is running")
    home.make()
    index = restore(archive, backup_members(home, settings.load(home)), secrets=secrets)
    talk.say(f"{len(index.entries)} files are back")
