"""Whose a client is that comes by a door: an appliance believes the doors that it was told of, and nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from nearcast.delivery.settings import EdgeSettings

from ..edge.serving import serving_alone
from ..making import film, item


@pytest.mark.parametrize(("doors", "seen"), [((), "127.0.0.1"), (("127.0.0.1",), "203.0.113.9"), (("192.0.2.7",), "127.0.0.1")])
async def test_only_a_configured_door_says_for_whom_it_asks(tmp_path: Path, doors: tuple[str, ...], seen: str) -> None:
    data = film(1000)
    wanted = item(data)
    async with serving_alone(tmp_path / "edge", doors=doors) as edge:
        edge.place(wanted, data)
        assert (await edge.get(edge.path(wanted.file.name), X_Forwarded_For="203.0.113.9")).status_code == 200
        (line,) = await edge.read_log(1)
        assert line.client == seen


def test_a_door_is_an_address() -> None:
    with pytest.raises(ValueError, match="takes addresses"):
        EdgeSettings(id="fra-1", site="frankfurt", port=8101, doors=("door.example",))
