"""``nearcast restore``: brings a backup back, into a system that does not run."""

from __future__ import annotations

from pathlib import Path

import click

from nearcast.base.errors import Conflict
from nearcast.cli import reach, talk

_MISSING = (
    "secrets/dns.pem, which signs the zone, is missing: the name server would make another key at its start, and while the parent zone has "
    "a DS of the old one, nobody who validates would believe its answers. Bring it back first: "
)
_HELD = "this archive holds it (--secrets). "
_ELSEWHERE = "from a backup with --secrets, or from another host that answers for the zone. "
_LOST = "If it is lost, take the DS out of the parent zone, and put in the new one (`nearcast dns ds`) once its TTL is over."


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
    from nearcast.system.dns import key_path, lacks_key
    from nearcast.system.stores import backup_members

    home = reach.home()
    if start.running(home) or start.left_over(home):
        raise StillUp(f"the system in {home.root} is running")
    home.make()
    whole = settings.load(home)
    index = restore(archive, backup_members(home, whole), secrets=secrets)
    back = [each for each in index.entries if secrets or each.kind != "secret"]
    talk.say(f"{len(back)} files are back")
    if lacks_key(home, whole):
        held = any(each.name == key_path(home).name for each in index.entries)
        talk.say(_MISSING + (_HELD if held else _ELSEWHERE) + _LOST)
