"""Whom the name server chooses: never nobody while somebody can be asked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from random import Random

import pytest
from msgspec.structs import replace

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


def test_what_is_chosen_anew_asks_for_the_site_again_only_when_holdings_change(monkeypatch: pytest.MonkeyPatch) -> None:
    decider = Decider(SITES)
    asked: list[str] = []
    decide = decider.decide

    def counted(address: str, title_id: str, **more: object) -> object:
        asked.append(title_id)
        return decide(address, title_id, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(decider, "decide", counted)
    chooser = Chooser(decider, SITES)
    first = view(1, appliance("a1", 0.5), appliance("b1", 0.1))
    chooser.use(TABLE, first, 1.0)
    assert {each.site for each in answers(chooser, "t-x")} == {"a"}
    assert len(asked) == 1, "one decision is both the site and the appliance, for everybody of one class"
    chooser.use(TABLE, view(2, appliance("a1", 0.97), appliance("b1", 0.1)), 2.0)
    chooser.renew()
    assert {each.site for each in answers(chooser, "t-x")} == {"b"}, "a site that led and is full by now leads no longer"
    chooser.use(TABLE, View(first.snapshot, {"a1": {"t-x": 10}}), 3.0)
    assert {each.site for each in answers(chooser, "t-x")} == {"b"}
    chooser.renew()
    assert {each.site for each in answers(chooser, "t-x")} == {"a"}


def test_of_viewers_who_are_to_be_elsewhere_some_of_each_title_are() -> None:
    seen = view(1, appliance("a1", 0.1), appliance("b1", 0.1))
    chooser = Chooser(Decider(SITES), SITES)
    chooser.use(TABLE, View(replace(seen.snapshot, demoted={"a": 0.2}), HELD), 1.0)
    chooser.forget()
    share = {title: [each.site for each in answers(chooser, title)].count("b") / 64 for title in ("", *(f"t-{n}" for n in range(20)))}
    assert sum(share.values()) / len(share) == pytest.approx(0.2, abs=0.1)
    assert max(share.values()) < 0.7


def test_what_one_class_taught_is_what_another_would_have_been_told(monkeypatch: pytest.MonkeyPatch) -> None:
    sites = tuple(Site(name=name, zone=f"zone-{name}") for name in "abc")
    orders = [tuple(each) for each in permutations("abc")]
    routes = [Route(prefix=f"{20 + number}.0.0.0/8", sites=each) for number, each in enumerate(orders)]
    table = Table.of(routes, sites)
    held = {"a1": {"t-x": 10, "t-w": 10}, "b1": {"t-x": 10}, "b2": {"t-y": 10}, "c1": {"t-y": 10, "t-w": 10}}
    fleet = [appliance(name, share, **more) for name, share, more in (
        ("a1", 0.1, {}), ("a2", 0.1, {"addresses": ()}), ("b1", 0.1, {"state": "draining"}), ("b2", 0.1, {}), ("c1", 0.1, {}),
    )]  # fmt: skip
    seen = View(HealthSnapshot(version=1, published_s=1.0, appliances=tuple(fleet)), held)

    def made() -> Chooser:
        found = Chooser(Decider(sites), sites)
        found.use(table, seen, 1.0)
        return found

    questions = [(title, (20 + number) << 24) for title in ("t-x", "t-y", "t-z", "t-w", "") for number in range(len(orders))]
    alone = {each: (fresh := made()).chosen(each[0], fresh.client(4, each[1]).group) for each in questions}
    assert len({found.site for found in alone.values() if found}) == 3
    for seed in range(20):
        known = made()
        for title, number in Random(seed).sample(questions, len(questions)):
            assert known.chosen(title, known.client(4, number).group) == alone[title, number]
    decider = Decider(sites)
    known = Chooser(decider, sites)
    known.use(table, seen, 1.0)
    asked: list[str] = []
    decide = decider.decide

    def counted(address: str, title_id: str, **more: object) -> object:
        asked.append(title_id)
        return decide(address, title_id, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(decider, "decide", counted)
    for title in ("t-w", "t-q", "t-w"):
        for number in range(len(orders)):
            known.chosen(title, known.client(4, (20 + number) << 24).group)
    assert asked.count("t-w") == len(orders), "nothing was known of the classes"
    held["a1"]["t-v"] = held["b2"]["t-v"] = held["c1"]["t-v"] = 10
    known.forget()
    for title in ("t-w", "t-v"):
        for number in range(len(orders)):
            known.chosen(title, known.client(4, (20 + number) << 24).group)
    assert asked.count("t-v") < len(orders), "one of them tells for all that begin with the same site"
