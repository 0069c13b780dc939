from __future__ import annotations

from pathlib import Path

from nearcast.delivery.edge.kept import KeptParents
from nearcast.model.fill import ORIGIN, FillSource

from ..making import film, publish, running_edge, until

TIER = FillSource(id="cix-1", kind="tier", url="http://127.0.0.1:9", token="a secret")


def test_what_is_kept_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "parents.json"
    KeptParents(path).save((TIER, ORIGIN))
    assert KeptParents(path).load() == (TIER, ORIGIN)
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("{")
    assert KeptParents(path).load() == ()
    assert KeptParents(tmp_path / "no" / "such").load() == ()
    KeptParents(tmp_path / "no" / "such").save((TIER,))


async def test_an_agent_that_starts_alone_asks_the_same_parents(tmp_path: Path) -> None:
    async with running_edge(tmp_path) as edge:
        item = await publish(edge.origin.store, film(1000))
        edge.orders.set(item, parents=(TIER, ORIGIN))
        conf = tmp_path / "conf" / "nginx.conf"
        await until(lambda: "127.0.0.1:9 " in conf.read_text() and (tmp_path / "conf" / "parents.json").exists(), 20.0)
        pid = edge.agent.server.nginx.pid
        await edge.agent.leave()
        edge.orders = type(edge.orders)()
        edge.agent = edge.make_agent()
        await edge.agent.start()
        assert edge.agent.server.nginx.adopted
        assert edge.agent.server.nginx.pid == pid
        assert "127.0.0.1:9 " in conf.read_text()
        edge.orders.set(item)
        await until(lambda: "127.0.0.1:9 " not in conf.read_text(), 20.0)
