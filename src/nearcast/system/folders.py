"""Where the files of each appliance and of steering lie, and which places are none for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from nearcast.base.config import Unfitting
from nearcast.base.paths import Home
from nearcast.delivery.settings import EdgeSettings

SYSTEM = ("bin", "boot", "dev", "etc", "lib", "lib64", "proc", "root", "run", "sbin", "sys", "usr")
"""Folders of the machine (FHS 3.0)."""
WHOLE = ("bin", "boot", "etc", "lib", "lib64", "proc", "sbin", "sys")
"""Of these nothing below them either: in the others homes lie, memory, and what is mounted."""


def below_home(home: Home, text: str) -> Path:
    """A path of the configuration: it starts at the home folder unless it is absolute."""
    return home.root / Path(text).expanduser()


def edge_folder(home: Home, appliance: EdgeSettings) -> Path:
    return below_home(home, appliance.folder) if appliance.folder else home.edges / appliance.id


def view_folder(home: Home) -> Path:
    """The health view of this host; it means nothing after a restart of the machine but who there was.

    It lies below the table, so that who may not go through the home folder any more has both below its working directory.
    """
    return routes_folder(home) / "view"


def routes_folder(home: Home) -> Path:
    """The compiled route table of this host."""
    return home.data / "steering"


def misplaced(home: Home, appliances: Sequence[EdgeSettings]) -> Iterator[Unfitting]:
    """Appliances whose folder is another's, the system's or the machine's: what is not assigned there they delete."""
    folders = [edge_folder(home, each).resolve() for each in appliances]
    for index, (each, folder) in enumerate(zip(appliances, folders, strict=True)):
        path = ("appliances", index, "folder")
        for other, taken in zip(appliances[:index], folders[:index], strict=True):
            if folder == taken or folder in taken.parents or taken in folder.parents:
                yield Unfitting(path, f"{each.id} and {other.id} would share {folder}", "give each appliance a folder of its own")
        if found := unfit(home, folder):
            yield Unfitting(path, f"{folder} {found}", "name a folder that is to hold nothing but this appliance's files")


def unfit(home: Home, folder: Path) -> str:
    """Why a folder (resolved) is no place for films; empty where it is one."""
    root = home.root.resolve()
    ours = [each.resolve() for each in (home.data, home.origin, home.work, home.uploads, home.logs, home.secrets, home.cache, home.run)]
    if folder in (root, home.edges.resolve()) or folder in root.parents:
        return "holds more than the appliance"
    if any(folder == each or each in folder.parents for each in ours):
        return "is a folder of the system itself"
    if any(each.exists() and not each.is_dir() for each in (folder, *folder.parents)):
        return "is no folder, or below a file"
    if root in folder.parents:
        return ""
    if folder.parts[1] in (SYSTEM if len(folder.parts) == 2 else WHOLE):
        return "is a folder of the machine"
    return ""
