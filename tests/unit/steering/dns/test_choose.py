"""Whom the name server chooses: never nobody while somebody can be asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nearcast.model.health import ApplianceHealth, HealthSnapshot
from nearcast.model.route import Route
from nearcast.model.site import Site
from nearcast.steering.decide import Decider
from nearcast.steering.dns.choose import Chooser, Chosen
from nearcast.steering.routes import Table
from nearcast.steering.view import View

SITES = (Site(name="a", zone="x"), Site(name="b", zone="y"))
TABLE = Table.of([Route(prefix="0.0.0.0/0", sites=("a", "b"))], SITES)
HELD = {"a1": {"t-x": 10}, "b1": {"t-x": 10}}
FULL_BPS = 1e9


def appliance(name: str, share: float, **more: object) -> ApplianceHealth:
    address = f"198.18.{ord(name[0])}.{name[1]}"
    told = {"addresses": (address,), "limit_bps": FULL_BPS, "sent_bps": share * FULL_BPS, "share": share} | more
    return ApplianceHealth(id=name, site=name[0], address=f"http://{address}", **told)  # type: ignore[arg-type]


def view(version: int, *appliances: ApplianceHealth) -> View:
    return View(HealthSnapshot(version=version, published_s=float(version), appliances=appliances), HELD)


def answers(chooser: Chooser, *titles: str) -> Iterator[Chosen]:
    for title in titles or ("", "t-x"):
        for block in range(64):
            found = chooser.chosen(title, chooser.client(4, 20 << 24 | block << 16).group)
            assert found is not None
            yield found


@pytest.mark.parametrize("share", [0.9, 0.94, 0.945, 0.949])
def test_a_site_nearly_full_answers_and_is_not_filled_by_answers(share: float) -> None:
    chooser = Chooser(Decider(SITES), SITES)
    chooser.use(TABLE, view(1, appliance("a1", share), appliance("b1", 0.1)), 1.0)
    for _ in range(20):
        assert {(each.site, each.ipv4) for each in answers(chooser)} == {("a", (bytes((198, 18, 97, 1)),))}
        chooser.forget()


def test_where_the_site_that_led_is_full_by_now_the_next_one_leads() -> None:
    chooser = Chooser(Decider(SITES), SITES)
    chooser.use(TABLE, view(1, appliance("a1", 0.9), appliance("b1", 0.1)), 1.0)
    assert next(answers(chooser)).site == "a"
    chooser.use(TABLE, view(2, appliance("a1", 0.96), appliance("b1", 0.1)), 2.0)
    found = list(answers(chooser))
    assert all(each.ipv4 for each in found)
    assert {each.site for each in found[32:64]} | {each.site for each in found[65:]} == {"b"}


def test_an_appliance_without_an_address_is_nobodys_answer() -> None:
    chooser = Chooser(Decider(SITES), SITES)
    chooser.use(TABLE, view(1, appliance("a1", 0.1, addresses=()), appliance("b1", 0.1)), 1.0)
    assert {each.site for each in answers(chooser)} == {"b"}
    chooser.use(TABLE, view(2, appliance("a1", 0.1, addresses=()), appliance("b1", 0.1, addresses=())), 2.0)
    chooser.forget()
    assert chooser.chosen("", chooser.client(4, 20 << 24).group) is None
