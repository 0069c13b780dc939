"""nginx.conf of one edge: what it says, gathered from settings, machine and parents, and put in place once nginx approves of it."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from nearcast.base.errors import BadInput
from nearcast.delivery.edge import nginx
from nearcast.delivery.edge.memory import Window
from nearcast.delivery.edge.process import Nginx, open_files_max
from nearcast.delivery.edge.worker import Worker
from nearcast.delivery.settings import EdgeSettings

MEMORY_BYTES = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
_SAFE = re.compile(r'[^"$\\{}\x00-\x1f\x7f]+')


class BadFolder(BadInput):
    """A path for an edge holds letters that its nginx.conf cannot carry."""

    code = "NC2005"
    cure = 'choose a path without " $ \\ { } and control characters'


class ConfFile:
    """``conf/nginx.conf`` below ``folder``, which ``process`` judges. Blocking. Raises BadFolder for a path that it cannot carry."""

    def __init__(self, settings: EdgeSettings, folder: Path, process: Nginx, build: nginx.Build) -> None:
        self._settings, self._folder, self._process, self._build = settings, folder, process, build
        self._threads = False
        check_paths(str(folder), *_files(settings))

    def text(self, content: nginx.Content, window: Window, worker: Worker | None) -> str:
        """What the file is to say now."""
        settings = self._settings
        self._threads = nginx.reads_block(_stored_bytes(self._folder / "placed"), MEMORY_BYTES, self._threads)
        wanted = settings.connections_max * nginx.FILES_PER_CONNECTION + nginx.FILES_RESERVED
        machine = nginx.Machine(
            build=self._build,
            worker_user=f"{worker.user} {worker.group}" if worker else "",
            open_files_max=open_files_max(wanted),
            landing=str(window.landing),
            landing_bytes=window.size_bytes,
            admitted=str(window.admitted),
            processors=os.cpu_count() or 1,
            threads=self._threads,
        )
        text = nginx.configuration(settings, self._folder, content, machine)
        return text + stamps(_files(settings))

    def write(self, text: str) -> bool:
        """Put the configuration in place, after nginx itself has approved of it; False where it was there already."""
        return put(self._process, self._folder / "conf" / "nginx.conf", text)


def check_paths(*paths: str) -> None:
    """Raises BadFolder for one that nginx.conf cannot carry."""
    for each in paths:
        if each and not _SAFE.fullmatch(each):
            raise BadFolder(f"{each!r} cannot stand in a configuration of nginx")


def put(process: Nginx, path: Path, text: str) -> bool:
    """Have ``text`` at ``path`` once nginx has approved of it; False where it was there already. Blocks. Raises BadFolder, NginxRefused."""
    if path.exists() and path.read_text() == text:
        process.check(path)
        return False
    fresh = path.with_suffix(".conf.new")
    try:
        fresh.touch(mode=0o600)
        fresh.write_text(text)
        process.check(fresh)
        fresh.replace(path)
    except OSError as error:
        raise BadFolder(f"{path}: {error.strerror}", hint="free or add space; see that the edge may write there") from error
    return True


def stamps(files: tuple[str, ...]) -> str:
    """Comments that change with the files: a renewed certificate changes the configuration's text, so that nginx is told to read it."""
    paths = [Path(each) for each in files if each]
    return "".join(f"# {path.name} of {path.stat().st_mtime_ns}\n" for path in dict.fromkeys(paths) if path.exists())


def _files(settings: EdgeSettings) -> tuple[str, ...]:
    """Certificates and keys that stand in the configuration; empty where there is none."""
    return (settings.tls_certificate, settings.tls_key, settings.parent_ca, settings.parent_certificate, settings.parent_key)


def _stored_bytes(folder: Path) -> int:
    """Bytes of the files in the folders of ``folder``."""
    total = 0
    for title in os.scandir(folder):
        with contextlib.suppress(OSError):  # taken away meanwhile
            total += sum(each.stat().st_size for each in os.scandir(title))
    return total
