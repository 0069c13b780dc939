"""Load: the decision by figures, and what nginx tells and refuses by it, without a new configuration."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from nearcast.delivery.edge.load import AIM, BITRATE_KBPS_MIN, FULL, NORMAL, SHARES, LoadState, decide
from nearcast.delivery.edge.signals import figures

from ..making import film, publish
from .serving import serving_alone

GIGABIT = 1e9
figure = st.floats(0, 1e12, allow_nan=False)


@given(sent=figure, limit=figure, connections=st.integers(0, 10**7), most=st.integers(0, 10**6), states=st.integers(0, 3))
def test_whatever_the_figures_the_state_is_one_that_nginx_can_be_told(
    sent: float, limit: float, connections: int, most: int, states: int
) -> None:
    state = NORMAL
    for _ in range(states + 1):
        state = decide(sent, limit, connections, most, state)
        assert 0 <= state.refused < SHARES
        assert (state.refused > 0) == (state.level == "full")
        assert bool(figures(state)) <= (state.level != "normal")
        assert state.mb_kbps == 0 or state.mb_kbps >= BITRATE_KBPS_MIN


def test_levels_do_not_flutter() -> None:
    levels, state = [], NORMAL
    for share in (0.5, 0.79, 0.81, 0.75, 0.71, 0.69, 0.75, 0.99, 0.93, 0.91, 0.83, 0.6):
        state = decide(share * GIGABIT, GIGABIT, 100, 1000, state)
        levels.append(state.level)
    assert levels == ["normal", "normal", "high", "high", "high", "normal", "normal", "full", "full", "full", "high", "normal"]


def test_connections_count_as_throughput_does() -> None:
    assert decide(0, GIGABIT, 850, 1000).level == "high"
    assert decide(0, 0, 990, 1000).level == "full"
    assert decide(1e12, 0, 1, 0).level == "normal", "a limit that is not known is none"


def test_players_are_told_their_fair_share() -> None:
    state = decide(0.85 * GIGABIT, GIGABIT, 400, 10_000)
    assert state.mb_kbps == 4600  # 200 playbacks of 0.92 Gbit/s
    assert state.etp_kbps == 4600
    assert figures(state) == "etp=4600;mb=4600"
    assert figures(decide(0, 0, 900, 1000)) == "", "of a throughput that is not known nothing is said"
    assert figures(decide(GIGABIT, GIGABIT, 400, 10_000)).endswith(";du")


def test_what_is_refused_brings_the_load_to_where_it_should_be() -> None:
    """Offered 1.6 times the limit, and later less: the share that is let in settles near AIM, and goes back when it is over."""
    state, offered = NORMAL, 1.6
    for _ in range(12):
        let_in = offered * (SHARES - state.refused) / SHARES
        state = decide(let_in * GIGABIT, GIGABIT, 500, 10_000, state)
    assert state.level == "full"
    assert abs(offered * (SHARES - state.refused) / SHARES - AIM) < 1.6 / SHARES
    for _ in range(12):
        state = decide(0.5 * (SHARES - state.refused) / SHARES * GIGABIT, GIGABIT, 500, 10_000, state)
    assert state == LoadState(utilisation=0.5)


async def test_players_hear_of_it_and_some_are_sent_elsewhere(tmp_path: Path) -> None:
    async with serving_alone(tmp_path) as edge:
        data = film(5000)
        item = await publish(edge.origin.store, data)
        edge.place(item, data)
        absent = await publish(edge.origin.store, film(6000, 2))
        pids = edge.server.nginx.workers()
        path = edge.path(item.file.name)
        assert (await edge.get(path)).headers["cmsd-dynamic"] == '"fra-1"'
        edge.server.set_load(LoadState(level="high", etp_kbps=3000, mb_kbps=2500))
        for each in (path, edge.path(absent.file.name)):
            answer = await edge.get(each, Range="bytes=0-9")
            assert (answer.status_code, answer.headers["cmsd-dynamic"]) == (206, '"fra-1";etp=3000;mb=2500')
            assert "CMSD-Dynamic" in answer.headers["access-control-expose-headers"]
            assert len(answer.headers.get_list("cache-control")) == 1
        edge.server.set_load(LoadState(level="full", etp_kbps=3000, mb_kbps=2500, refused=SHARES // 2))
        paths = [edge.path(item.file.name, ttl_s=1000 + each) for each in range(200)]
        answers = [await edge.get(each) for each in paths]
        refused = [one for one in answers if one.status_code == 503]
        assert 60 < len(refused) < 140, "half of all playbacks"
        for one in refused:
            assert one.headers["retry-after"] == "10"
            assert one.headers["cmsd-dynamic"] == '"fra-1";etp=3000;mb=2500;du'
            assert (one.headers["cache-control"], one.headers["access-control-allow-origin"]) == ("no-store", "*")
        assert [(await edge.get(each)).status_code for each in paths] == [one.status_code for one in answers], "always the same ones"
        assert (await edge.get("/healthz")).status_code == 200
        assert (await edge.client.get(f"/held/t_film/{item.file.name}", headers=edge.authority)).status_code == 200
        edge.server.set_load(NORMAL)
        assert {(await edge.get(each)).status_code for each in paths} == {200}
        assert (await edge.get(path)).headers["cmsd-dynamic"] == '"fra-1"'
        assert edge.server.nginx.workers() == pids, "no worker was exchanged for it"
        await edge.read_log(604)
        assert edge.log.counts.refused == 2 * len(refused)
        assert edge.log.counts.errors == 0
        assert FULL < 1


async def test_connections_are_counted_and_bounded_by_nginx_itself(tmp_path: Path) -> None:
    async with serving_alone(tmp_path, connections_max=64) as edge:
        before = await edge.server.connections()
        assert before is not None
        sockets = [await asyncio.open_connection("127.0.0.1", edge.settings.port) for _ in range(20)]
        for _ in range(2000):
            now = await edge.server.connections()
            if now is not None and now >= before + 20:
                break
            await asyncio.sleep(0.02)
        else:
            raise AssertionError(f"{now} connections are told")
        for _, writer in sockets:
            writer.close()
        data = film(40_000_000)
        item = await publish(edge.origin.store, data)
        edge.place(item, data)
        streams = [await asyncio.open_connection("127.0.0.1", edge.settings.port, limit=1000) for _ in range(64)]
        path = edge.path(item.file.name)
        for reader, writer in streams:  # they ask, and do not read on: each holds its answer open
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert b" 200 " in await reader.readline()
        assert (await edge.get(path)).status_code == 503
        for _, writer in streams:
            writer.transport.abort()
        for _ in range(2000):
            if (await edge.get(path, Range="bytes=0-9")).status_code == 206:
                break
            await asyncio.sleep(0.02)
        else:
            raise AssertionError("nobody is let in again")
    assert await edge.server.connections() is None, "who has ended tells nothing"
