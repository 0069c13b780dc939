"""MAC keys: generations, what is kept of them, and a rotation under load."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import httpx
import pytest

from nearcast.base.clock import SystemClock
from nearcast.delivery.edge.keys import EdgeKeys, KeyFile, MacKey
from nearcast.delivery.edge.process import NginxRefused
from nearcast.delivery.edge.server import Server
from nearcast.policy import capability

from ..making import ROOT, TOKEN, film, publish, until
from .serving import DataPath, serving_alone


def key(generation: int) -> str:
    return capability.edge_key(ROOT, "fra-1", generation)


def test_only_newer_keys_come_in_front() -> None:
    first = EdgeKeys(current=MacKey(0, key(0)))
    assert first.all == (MacKey(0, key(0)),)
    third = first.rotated(1, key(1)).rotated(2, key(2))
    assert third == EdgeKeys(current=MacKey(2, key(2)), previous=MacKey(1, key(1)))
    assert third.rotated(1, key(1)) is third
    assert third.rotated(2, "another") is third


def test_they_are_kept_for_their_owner_alone_and_not_for_another_system(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    assert KeyFile(path, key(0)).load() == EdgeKeys(current=MacKey(0, key(0)))
    keys = EdgeKeys(current=MacKey(0, key(0))).rotated(1, key(1))
    for _ in range(2):
        KeyFile(path, key(0)).save(keys)
    assert path.stat().st_mode & 0o777 == 0o600
    assert KeyFile(path, key(0)).load() == keys
    other = "f" * 64
    assert KeyFile(path, other).load() == EdgeKeys(current=MacKey(0, other))
    path.write_text("{")
    assert KeyFile(path, key(0)).load() == EdgeKeys(current=MacKey(0, key(0)))


async def test_the_present_generation_and_the_one_before_are_taken(tmp_path: Path) -> None:
    async with serving_alone(tmp_path) as edge:
        data = film(1000)
        item = await publish(edge.origin.store, data)
        edge.place(item, data)

        async def statuses() -> list[int]:
            return [(await edge.get(edge.path(item.file.name, generation=each))).status_code for each in range(4)]

        assert await statuses() == [200, 403, 403, 403]
        await edge.server.set_keys(edge.server.keys.rotated(1, key(1)))
        assert await statuses() == [200, 200, 403, 403]
        await edge.server.set_keys(edge.server.keys.rotated(2, key(2)))
        assert await statuses() == [403, 200, 200, 403]
        crossed = edge.path(item.file.name, generation=2).replace("/v1k2/", "/v1k1/")
        assert (await edge.get(crossed)).status_code == 403
        another = Server(edge.settings, tmp_path, edge.key, TOKEN, edge.origin.url, SystemClock())
        assert another.keys == edge.server.keys, "an agent that starts anew goes on with them"
        await another.leave()


async def test_a_rotation_that_nginx_refuses_leaves_the_keys_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving_alone(tmp_path) as edge:
        before = edge.server.keys

        def refuse(*_: object) -> None:
            raise NginxRefused("no")

        with monkeypatch.context() as patched:
            patched.setattr(edge.server.nginx, "check", refuse)
            with pytest.raises(NginxRefused):
                await edge.server.set_keys(before.rotated(1, key(1)))
        assert edge.server.keys == before
        assert KeyFile(tmp_path / "conf" / "keys.json", edge.key).load() == before
        await edge.server.set_keys(before.rotated(1, key(1)))


async def test_no_request_is_dropped_by_a_rotation(tmp_path: Path) -> None:
    """Players that keep their connection and players that do not, over two rotations. Nobody asks twice."""
    async with serving_alone(tmp_path) as edge:
        data = film(200_000)
        item = await publish(edge.origin.store, data)
        edge.place(item, data)
        absent = await publish(edge.origin.store, film(90_000, 2))
        ended = asyncio.Event()
        done = {"kept": 0, "fresh": 0, "absent": 0}

        async def play(kind: str, name: str, size_bytes: int, generation: int) -> None:
            limits = httpx.Limits(max_keepalive_connections=0 if kind == "fresh" else 1)
            async with httpx.AsyncClient(trust_env=False, base_url=edge.settings.public_address, limits=limits) as client:
                for turn in itertools.count():
                    if ended.is_set():
                        return
                    start = turn * 1000 % size_bytes
                    answer = await client.get(edge.path(name, generation=generation), headers={"range": f"bytes={start}-"})
                    assert (answer.status_code, len(answer.content)) == (206, size_bytes - start)
                    done[kind] += 1
                    await asyncio.sleep(0.01 * (turn % 7))

        players = [asyncio.create_task(play("kept", item.file.name, len(data), 1)) for _ in range(8)] if await _rotate(edge, 1) else []
        players += [asyncio.create_task(play("fresh", item.file.name, len(data), 1)) for _ in range(4)]
        players += [asyncio.create_task(play("absent", absent.file.name, 90_000, 1)) for _ in range(2)]
        workers = edge.server.nginx.workers()
        await until(lambda: min(done.values()) > 10)
        await _rotate(edge, 2)
        assert not set(workers) & set(edge.server.nginx.workers())
        before = dict(done)
        await until(lambda: all(done[kind] > before[kind] + 10 for kind in done))
        ended.set()
        await asyncio.gather(*players)


async def _rotate(edge: DataPath, generation: int) -> bool:
    await edge.server.set_keys(edge.server.keys.rotated(generation, key(generation)))
    return True
