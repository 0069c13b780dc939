"""What the tests of the data services share: a migrated store in a moment, and publications to put into it."""

from __future__ import annotations

import random
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from nearcast.base.ids import RandomBytes
from nearcast.control.accounts.settings import AccountsSettings
from nearcast.control.store import Store, sqlite_url
from nearcast.control.store.migrate import migrate
from nearcast.control.store.settings import StoreSettings
from nearcast.model.manifest import Manifest
from nearcast.model.rendition import File, Rendition, TextTrack
from nearcast.model.session import SessionCapability
from nearcast.model.title import Metadata, Publication, TitleState

ROOT = bytes(range(32))
CHEAP = AccountsSettings(argon2_time_cost=1, argon2_memory_kib=8, argon2_lanes=1)
FAST = StoreSettings(synchronous="normal", readers=2)


@cache
def _template() -> Path:
    path = Path(mkdtemp(prefix="nearcast-test-")) / "template.db"
    migrate(sqlite_url(path))
    return path


def new_database(folder: Path) -> Path:
    """A migrated, empty database: copied, since migrating takes longer than most tests."""
    return Path(shutil.copyfile(_template(), folder / "nearcast.db"))


def new_store(folder: Path, settings: StoreSettings = FAST) -> Store:
    return Store(sqlite_url(new_database(folder)), settings)


def seeded(seed: int = 1) -> RandomBytes:
    source = random.Random(seed)
    return source.randbytes


def file(name: str, extension: str = "mp4", size_bytes: int = 1000) -> File:
    return File(root=name.encode().hex().ljust(64, "0")[:64], extension=extension, size_bytes=size_bytes)


def rendition(height: int, name: str = "") -> Rendition:
    """``height`` 0: sound."""
    what = name or f"r{height}"
    return Rendition(
        kind="video" if height else "audio",
        file=file(what),
        playlist=file(what + "p", "m3u8"),
        codec="avc1.64001f" if height else "mp4a.40.2",
        bitrate_bps=1_000_000,
        peak_bitrate_bps=1_500_000,
        duration_s=600.0,
        init_range=(0, 99),
        index_range=(100, 199),
        width=height * 16 // 9,
        height=height,
        language="und" if height else "en",
    )


def manifest(title_id: str, generation: int = 1, *, complete: bool = True, heights: tuple[int, ...] = (360, 1080)) -> Manifest:
    return Manifest(
        title_id=title_id,
        generation=generation,
        complete=complete,
        duration_s=600.0,
        created_at=1.0,
        video=tuple(rendition(each) for each in heights),
        audio=(rendition(0),),
        text=(TextTrack(file=file("t", "vtt"), playlist=file("tp", "m3u8"), language="fr", label="Français"),),
        poster=file("poster", "jpg"),
        pssh="cHNzaA==",
    )


def publication(
    title_id: str = "t_one",
    name: str = "One",
    *,
    generation: int = 1,
    state: TitleState = "complete",
    genres: tuple[str, ...] = ("Drama",),
    synopsis: str = "",
    year: int | None = None,
    credit: str = "",
    heights: tuple[int, ...] = (360, 1080),
) -> Publication:
    return Publication(
        title_id=title_id,
        metadata=Metadata(name=name, synopsis=synopsis, year=year, genres=genres, credit=credit),
        state=state,
        manifest=manifest(title_id, generation, complete=state == "complete", heights=heights) if state != "processing" else None,
        source_sha256="ab" * 32,
    )


def session(
    title_id: str = "t_one", *, expires_at: float = 2e9, account_id: str = "a_me", profile_id: str = "p_me", device_id: str = "device"
) -> SessionCapability:
    return SessionCapability(
        account_id=account_id,
        profile_id=profile_id,
        title_id=title_id,
        device_id=device_id,
        max_height=1080,
        key_labels=("AUDIO", "SD", "HD"),
        issued_at=0.0,
        expires_at=expires_at,
        client_address="192.0.2.1",
        nonce="n",
    )
