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
    from nearcast.system.stores import backup_members

    home = reach.home()
    index = backup(backup_members(home, settings.load(home)), archive, now_s=time.time(), secrets=secrets)
    for each in index.entries:
        talk.say(f"  {each.name}  {bytes_text(each.size_bytes)}")
    talk.answer(str(archive))
