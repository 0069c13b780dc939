"""A gateway in memory, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from obstore.store import MemoryStore

from nearcast.base.clock import VirtualClock
from nearcast.control.gateway.application import application
from nearcast.control.gateway.settings import GatewaySettings
from nearcast.control.gateway.wire import Application
from tests.fakes import World, film

POSTER = b"\xff\xd8\xff poster"
SPRITE = b"\xff\xd8\xff sprite" * 50


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def world(clock: VirtualClock) -> World:
    return World(film(), film("t_other", name="Another Story"), film("t_new", name="New", state="processing"), clock=clock)


@pytest.fixture
async def store(world: World) -> MemoryStore:
    made = MemoryStore()
    manifest = world.catalog.held["t_film"].manifest
    assert manifest is not None
    assert manifest.poster is not None
    assert manifest.thumbnails is not None
    await made.put_async(f"titles/t_film/{manifest.poster.name}", POSTER)
    await made.put_async(f"titles/t_film/{manifest.thumbnails.file.name}", SPRITE)
    return made


@pytest.fixture
def web_root(tmp_path: Path) -> Path:
    root = tmp_path / "dist"
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text("<!doctype html><title>Nearcast</title>" + " " * 2000)
    (root / "assets" / "app-B3kd92Lm.js").write_text("let answer = 42;\n" * 200)
    (root / "icon.svg").write_text("<svg/>")
    (root / ".secret").write_text("no")
    (tmp_path / "outside.txt").write_text("outside")
    (root / "leak.txt").symlink_to(tmp_path / "outside.txt")
    return root


@pytest.fixture
def app(world: World, store: MemoryStore, web_root: Path, clock: VirtualClock) -> Application:
    settings = GatewaySettings(proxies=("10.0.0.0/8",), content_origins=("http://127.0.0.1:8101",))
    return application(settings, world.clients, store, world.keys, clock, web_root)


def client_of(app: Application, *, token: str = "", peer: str = "127.0.0.1", base: str = "http://films.example.org") -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app, client=(peer, 4711)), base_url=base, headers=headers)


@pytest.fixture
async def anybody(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as found:
        yield found


@pytest.fixture
async def viewer(app: Application, world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app, token=world.accounts.token("viewer")) as found:
        yield found


@pytest.fixture
async def admin(app: Application, world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app, token=world.accounts.token("admin")) as found:
        yield found
