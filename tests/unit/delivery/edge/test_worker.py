"""As whom nginx's workers run: a user who may do little, wherever that user can get to the films."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.base.processes import family
from nearcast.delivery.edge import worker
from nearcast.delivery.edge.worker import Worker, WorkerBarred, barred_at, bars, capable, choose

from ..making import film, publish, running_edge, until

WEB = Worker("www-data", "www-data", 33, 33)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user work")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that others may go to, unlike those of pytest."""
    found = Path(tempfile.mkdtemp(prefix="nc-"))
    found.chmod(0o755)
    yield found
    shutil.rmtree(found)


@given(st.integers(0, 0o777), st.sampled_from([0, 33]), st.sampled_from([0, 33]))
def test_who_may_go_through_a_folder(mode: int, owner: int, group: int) -> None:
    shift = 6 if owner == 33 else 3 if group == 33 else 0
    assert bars(stat.S_IFDIR | mode, owner, group, WEB) == (not mode >> shift & 1)


def test_where_the_way_ends(open_folder: Path) -> None:
    folder = open_folder / "home" / "edges" / "fra-1"
    folder.mkdir(parents=True)
    assert barred_at(folder, WEB) is None
    (open_folder / "home").chmod(0o700)
    assert barred_at(folder, WEB) == open_folder / "home"


def test_root_without_its_rights_changes_no_user() -> None:
    assert capable("Name:\tx\nCapEff:\t000001ffffffffff\n")
    assert capable("CapEff:\t00000000000000c1\n")
    assert not capable("CapEff:\t0000000000000001\n")
    assert not capable("")


def test_whoever_is_not_root_works_alone(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert choose(open_folder, "") is None


@as_root
def test_root_chooses_somebody_else(open_folder: Path) -> None:
    found = choose(open_folder / "x", "")
    assert found
    assert found.user in worker.USERS
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    (closed / "edge").mkdir()
    barred = choose(closed / "edge", "")
    assert barred
    assert barred.user == "root", "the films go before"
    with pytest.raises(WorkerBarred, match="closed"):
        choose(closed / "edge", "nobody")
    with pytest.raises(WorkerBarred, match="no user"):
        choose(open_folder, "somebody-else")
    named = choose(closed / "edge", "root")
    assert named
    assert named.uid == 0


@as_root
async def test_a_strangers_request_is_read_by_a_user_who_may_do_little(open_folder: Path) -> None:
    folder = open_folder / "edge"
    (folder / "cache" / "slices" / "0" / "00").mkdir(parents=True)  # as root's workers left it
    (folder / "cache" / "slices").chmod(0o700)
    async with running_edge(folder, log_bytes_max=65536) as edge:
        held, absent = await publish(edge.origin.store, film(900_000, seed=1)), await publish(edge.origin.store, film(1_200_000, seed=2))
        await edge.hold(held)
        for _ in range(2):
            assert (await edge.get(edge.path(held.file.name))).content == film(900_000, seed=1)
            assert (await edge.get(edge.path(absent.file.name))).content == film(1_200_000, seed=2)
        assert len([path for path, span in edge.origin.requests if absent.file.name in path and span]) == 2, "slices are kept"
        master, *workers = family(edge.agent.server.nginx.pid)
        assert Path(f"/proc/{master}").stat().st_uid == 0
        assert workers
        uids = {
            int(line.split()[1]) for pid in workers for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line[:4] == "Uid:"
        }
        assert {pwd.getpwuid(uid).pw_name for uid in uids} <= set(worker.USERS)

        log = folder / "logs" / "access.log"
        inode = log.stat().st_ino
        for _ in range(500):  # some 64 kB of lines, in a log that is rotated at as many
            await edge.get(edge.path(held.file.name), Range="bytes=0-0")
        await until(lambda: log.stat().st_ino != inode)
        before = edge.agent.log.counts.requests
        await edge.get(edge.path(held.file.name), Range="bytes=0-0")
        await until(lambda: edge.agent.log.counts.requests > before)  # the workers write to the new log

        edge.agent.disk.reserve_bytes = 1 << 60
        await until(lambda: edge.agent.server.passing_through)
        more = await publish(edge.origin.store, film(700_000, seed=3))
        for _ in range(4):
            seen = edge.agent.log.counts.requests
            assert (await edge.get(edge.path(more.file.name))).content == film(700_000, seed=3)
            await until(lambda: edge.agent.log.counts.requests > seen)  # noqa: B023  (done with before the next round)
        kept = [
            each for each in (folder / "cache" / "slices").rglob("*") if each.is_file() and more.file.root.encode() in each.read_bytes()
        ]
        assert kept == [], "the workers see the full disk"
        assert stat.S_IMODE((folder / "conf").stat().st_mode) == 0o700
        for name in ("logs", "run"):
            assert stat.S_IMODE((folder / name).stat().st_mode) == 0o710, "to go through, not to look into"
