"""``nearcast backup``: everything but the films in one file, while all goes on running."""

from __future__ import annotations

import time
from pathlib import Path

import click

from nearcast.base.units import bytes_text
from nearcast.cli import reach, talk


@click.command("backup")
@click.argument("archive", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--secrets", is_flag=True, help="Save the secrets too. Whoever has such a file can read every licence key: keep it safe.")
def command(archive: Path, secrets: bool) -> None:
    """Save accounts, catalog, licence keys and bookmarks to the file ARCHIVE. The films lie in origin/ and never change: copy them."""
    from nearcast.control.store.backup import backup
    from nearcast.system import settings
    from nearcast.system.dns import lacks_key, signs
    from nearcast.system.stores import backup_members

    home = reach.home()
    whole = settings.load(home)
    index = backup(backup_members(home, whole), archive, now_s=time.time(), secrets=secrets)
    for each in index.entries:
        talk.say(f"  {each.name}  {bytes_text(each.size_bytes)}")
    if lacks_key(home, whole):
        talk.say("secrets/dns.pem, which signs the zone, is not there: nothing of it was saved (it is made when the name server starts)")
    elif signs(whole) and not secrets:
        talk.say("the key that signs the zone (secrets/dns.pem) is not in it: the parent zone's DS holds for that key alone (--secrets)")
    talk.answer(str(archive))
