"""What moves from one placement to the next."""

from __future__ import annotations

from datetime import UTC, datetime

from nearcast.delivery.fill.moves import changes, missing_by_title, origin_bytes, site_moves
from nearcast.delivery.fill.schedule import FillPeer
from nearcast.delivery.settings import FillSettings
from nearcast.model.fill import Placement
from nearcast.model.rendition import File

SIZES = {"t_one": {"a": 1000, "b": 300}, "t_two": {"c": 70}}
FILES = {
    title: {f"{name}.mp4": File(root=name, extension="mp4", size_bytes=size) for name, size in names.items()}
    for title, names in SIZES.items()
}
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NIGHT = datetime(2026, 1, 1, 22, tzinfo=UTC)


def placement(generation: int, **held: str) -> Placement:
    """``fra=["a b c"]``: letters of files by appliance."""
    title = {name: title for title, names in SIZES.items() for name in names}
    holdings: dict[str, dict[str, tuple[str, ...]]] = {}
    for appliance, letters in held.items():
        mine = holdings.setdefault(appliance, {})
        for letter in letters.split():
            mine[title[letter]] = (*mine.get(title[letter], ()), f"{letter}.mp4")
    return Placement(generation=generation, made_at=0.0, holdings=holdings)


def peer(appliance: str, site: str, *parents: str, exchange: bool = False) -> FillPeer:
    return FillPeer(id=appliance, site=site, tier="exchange" if exchange else "edge", parents=parents, url="", token="")


def test_what_a_site_has_already_does_not_enter_it_again() -> None:
    fleet = [peer("x", "s"), peer("y", "s")]
    before, after = placement(1, x="a c"), placement(2, x="a b", y="a b")
    (move,) = site_moves(before, after, FILES, fleet, {"x": 5000, "y": 5000}, FillSettings(appliance_max_bps=800), NOON)
    assert (move.enter_bytes, move.inside_bytes, move.leave_bytes) == (300, 1300, 70)
    assert (move.titles_in, move.titles_out) == (0, 1)
    assert (move.held_bytes, move.capacity_bytes) == (2600, 10_000)
    assert move.seconds == 13.0
    assert move.opens_in_s == 0.0


def test_the_link_of_a_site_and_its_window_bound_it() -> None:
    fleet = [peer("x", "s"), peer("y", "s")]
    settings = FillSettings(appliance_max_bps=8000, site_max_bps=800)
    (move,) = site_moves(placement(1), placement(2, x="a", y="b"), FILES, fleet, {}, settings, NIGHT)
    assert move.seconds == 13.0
    assert move.opens_in_s == 4 * 3600


def test_each_file_leaves_the_origin_once_for_each_exchange() -> None:
    fleet = [peer("i", "ix", exchange=True), peer("x", "s", "ix"), peer("y", "t", "ix"), peer("z", "far")]
    after = placement(2, i="a", x="a b", y="a b", z="a")
    assert origin_bytes(placement(1), after, FILES, fleet) == (1000 + 300) + 1000
    assert origin_bytes(placement(1, i="a"), after, FILES, fleet) == 300 + 1000
    assert origin_bytes(placement(1, x="a"), after, FILES, fleet) == (1000 + 300) + 1000


def test_changes_by_title_the_largest_first() -> None:
    fleet = [peer("x", "s"), peer("y", "s")]
    found = changes(placement(1, x="a c"), placement(2, x="a b", y="c"), FILES, fleet, {"t_one": "One"})
    assert [(each.appliance, each.title_id, each.name, each.in_bytes, each.out_bytes) for each in found] == [
        ("x", "t_one", "One", 300, 0),
        ("x", "t_two", "", 0, 70),
        ("y", "t_two", "", 70, 0),
    ]


def test_what_does_not_wait_begins_now() -> None:
    fleet, after = [peer("x", "s")], placement(2, x="a c")
    for urgent, opens_in_s in (((), 4 * 3600), (("t_one",), 4 * 3600), (("t_one", "t_two"), 0)):
        (move,) = site_moves(placement(1), after, FILES, fleet, {}, FillSettings(), NIGHT, urgent={"s": urgent})
        assert move.opens_in_s == opens_in_s


def test_what_is_still_missing_counts_beside_what_moves() -> None:
    fleet, same = [peer("x", "s"), peer("y", "s")], placement(1, x="a", y="b")
    (move,) = site_moves(same, same, FILES, fleet, {}, FillSettings(), NOON, missing_bytes={"x": 7, "y": 2})
    assert (move.enter_bytes, move.missing_bytes) == (0, 9)


def test_what_an_appliance_lacks_by_what_it_told() -> None:
    wanted = placement(1, x="a b c")
    assert missing_by_title(wanted, "x", FILES, {}) == {"t_one": 1300, "t_two": 70}
    assert missing_by_title(wanted, "x", FILES, {"t_one": 1200, "t_two": 70, "t_old": 5000}) == {"t_one": 100}
    assert missing_by_title(wanted, "y", FILES, {}) == {}
