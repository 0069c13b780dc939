"""The console reads a pasted configuration in the browser: it knows the same options."""

from __future__ import annotations

import json
from pathlib import Path

from msgspec import Struct
from msgspec.structs import fields

from nearcast.base.config import bare, element_struct
from nearcast.steering.settings import SteeringSettings
from nearcast.system.settings import Settings

OPTIONS = Path(__file__).parents[3] / "web/src/pages/admin/options.json"


def names(kind: type[Struct]) -> list[str]:
    return [each.encode_name for each in fields(kind)]


def test_the_console_knows_every_option_of_steering_and_no_other() -> None:
    known = json.loads(OPTIONS.read_text())
    assert known.pop("configuration") == names(Settings)
    assert known.pop("steering") == names(SteeringSettings)
    rooms = {each.encode_name: element_struct(bare(each.type)) or bare(each.type) for each in fields(SteeringSettings)}
    assert known == {name: names(rooms[name]) for name in ("sites", "routes", "isps", "bgp", "geographic")}
