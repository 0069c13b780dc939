from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]  # comes with mmdb-writer
from structlog.testing import capture_logs

from nearcast.model.route import Announcement, Route
from nearcast.model.site import Site
from nearcast.steering.routes import BadRoute, Table, parse_address
from nearcast.steering.routes.atlas import Atlas
from nearcast.steering.routes.countries import BadGeography, countries
from nearcast.steering.routes.geographic import GEOGRAPHY, Geography, distance_km
from nearcast.steering.routes.places import geography_of, place_of, unfold
from nearcast.steering.routes.reader import TableReader
from nearcast.steering.routes.settings import GeographicSettings
from nearcast.steering.routes.store import TableWriter
from nearcast.steering.routes.table import NEAR_MAX
from nearcast.steering.routes.worker import WorkFailed, run

SITES = (
    Site(name="frankfurt", latitude=50.11, longitude=8.68),
    Site(name="mumbai", latitude=19.08, longitude=72.88),
    Site(name="dallas", latitude=32.78, longitude=-96.80),
    Site(name="rack", isp="north", latitude=52.5, longitude=13.4),
    Site(name="nowhere"),
)
EVERYWHERE = Route(prefix="0.0.0.0/0", sites=("nowhere", "frankfurt"))
BERLIN = {"country": {"iso_code": "DE"}, "location": {"latitude": 52.52, "longitude": 13.41}}
DELHI = {"country": {"iso_code": "IN"}}


def mmdb(path: Path, networks: dict[str, dict[str, Any]]) -> Path:
    writer = MMDBWriter(6, "Test-City", ipv4_compatible=True)
    for prefix, record in networks.items():
        writer.insert_network(IPSet([prefix]), record)
    writer.to_db_file(str(path))
    return path


@pytest.fixture
def city(tmp_path: Path) -> Path:
    networks: dict[str, dict[str, Any]] = {
        "198.51.100.0/24": BERLIN,
        "203.0.113.0/25": DELHI,
        "2001:db8:1::/48": BERLIN,
        "2001:db8:2::/47": DELHI,
    }
    return mmdb(tmp_path / "city.mmdb", networks)


def read(city: Path) -> Geography:
    unfold(city, city.with_suffix(".places"))
    return Geography.load(city.with_suffix(".places"))


def test_a_file_tells_country_and_place_of_each_address(city: Path) -> None:
    geography = read(city)
    for address, country in {
        "198.51.100.0": "DE",
        "198.51.100.255": "DE",
        "198.51.99.255": "",
        "198.51.101.0": "",
        "203.0.113.127": "IN",
        "203.0.113.128": "",
        "::ffff:198.51.100.7": "DE",
        "2001:db8:1::": "DE",
        "2001:db8:1:ffff:ffff:ffff:ffff:ffff": "DE",
        "2001:db8:3:ffff::": "IN",
        "2001:db8:4::": "",
        "::": "",
        "somebody": "",
    }.items():
        assert geography.country(*parse_address(address)) == country, address
    assert geography.coordinates(geography.place(*parse_address("198.51.100.1"))) == (52.5, 13.4)
    assert geography.coordinates(geography.place(*parse_address("203.0.113.1"))) == countries()["IN"]


def test_the_nearest_come_before_the_default_and_an_isps_site_not_at_all(city: Path) -> None:
    table = Table.of([EVERYWHERE], SITES, geography=read(city))
    assert table.match("198.51.100.1").sites == ("frankfurt", "mumbai", "dallas", "nowhere")
    assert table.match("203.0.113.1").sites == ("mumbai", "frankfurt", "dallas", "nowhere")
    assert table.match("203.0.113.200").sites == ("nowhere", "frankfurt")
    assert table.match("2001:db8:2::1") == ("", ("mumbai", "frankfurt", "dallas"), frozenset())
    assert table.match("198.51.100.1").announced == {"nowhere", "frankfurt"}
    assert (table.block(4, parse_address("203.0.113.1")[1]), table.block(6, parse_address("2001:db8:2::1")[1])) == (25, 47)


def test_a_route_comes_before_what_is_near(city: Path) -> None:
    told = [Announcement(prefix="198.51.100.0/23", site=site, source="north", as_path=(1,)) for site in ("rack", "dallas")]
    table = Table.of([EVERYWHERE], SITES, told, geography=read(city))
    assert table.match("198.51.100.1").sites == ("rack", "dallas", "frankfurt", "mumbai", "nowhere"), "equal ways go by distance"
    assert table.match("198.51.100.1").announced == {"rack", "dallas", "frankfurt", "nowhere"}
    assert table.match("198.51.101.1").sites == ("rack", "dallas", "nowhere", "frankfurt")
    assert table.block(4, parse_address("198.51.100.1")[1]) == 24
    found = table.candidates("198.51.100.1")
    assert [(each.site, each.source) for each in found] == [
        ("rack", "north"),
        ("dallas", "north"),
        *((site, GEOGRAPHY) for site in ("frankfurt", "mumbai", "dallas")),
        ("nowhere", "config"),
        ("frankfurt", "config"),
    ]
    assert found[0].distance_km < 5
    assert found[2].prefix == "198.51.100.0/24"
    assert found[5].distance_km == -1


def test_an_announced_change_is_ranked_by_the_same_distance(city: Path) -> None:
    geography = read(city)
    told = [Announcement(prefix="198.51.100.0/25", site=site, source="north", as_path=(1,)) for site in ("dallas", "mumbai", "rack")]
    compiled = Table.of([EVERYWHERE], SITES, told, geography=geography)
    changed = Table.of([EVERYWHERE], SITES, geography=geography).altered(told)
    assert compiled.candidates("198.51.100.1") == changed.candidates("198.51.100.1")
    assert compiled.match("198.51.100.1").sites[:3] == ("rack", "mumbai", "dallas")


def test_of_many_sites_the_nearest_are_named_and_no_others() -> None:
    many = [Site(name=f"s{number:03}", latitude=number / 4 - 60, longitude=number % 7 * 50.0 - 150) for number in range(400)]
    table = Table.of([], many, geography=geography_of({"DE": ["198.51.100.0/24"]}))
    where = countries()["DE"]
    far = sorted((distance_km(each.latitude or 0, each.longitude or 0, *where), each.name) for each in many)
    assert table.match("198.51.100.1").sites == tuple(name for _, name in far[:NEAR_MAX])


def test_country_blocks_of_the_configuration() -> None:
    geography = geography_of({"DE": ["198.51.100.0/24"], "IN": ["198.51.100.128/25", "2001:db8::/32"]})
    assert geography is not None
    assert [geography.country(*parse_address(each)) for each in ("198.51.100.1", "198.51.100.129", "2001:db8::1")] == ["DE", "IN", "IN"]
    assert geography_of({}) is None
    with pytest.raises(BadGeography, match="'Germany'"):
        geography_of({"Germany": ["198.51.100.0/24"]})
    with pytest.raises(BadRoute):
        geography_of({"DE": ["198.51.100.1/24"]})


@pytest.mark.parametrize(
    ("record", "place"),
    [
        (BERLIN, ("DE", 52.5, 13.4)),
        ({"registered_country": {"iso_code": "DE"}}, ("DE", *countries()["DE"])),
        ({"country_code": "DE", "latitude": "52.52", "longitude": "13.41"}, ("DE", 52.5, 13.4)),
        ({"country": "DE", "lat": 52.52, "lng": 13.41}, ("DE", 52.5, 13.4)),
        ({"location": {"latitude": 1.0, "longitude": 2.0}}, ("", 1.0, 2.0)),
        ({"country": {"iso_code": "DE"}, "location": {"latitude": float("nan"), "longitude": 2.0}}, ("DE", *countries()["DE"])),
        ({"country": {"iso_code": "DE"}, "location": {"latitude": 91.0, "longitude": 2.0}}, ("DE", *countries()["DE"])),
        ({"country": {"iso_code": "XX"}}, None),
        ({"country": {"iso_code": 7}, "location": "here"}, None),
        ({"country": ["DE"]}, None),
        ({}, None),
        ("DE", None),
        (None, None),
    ],
)
def test_records_of_every_maker_and_of_none(record: Any, place: object) -> None:
    assert place_of(record) == place


def test_countries_lie_where_their_towns_are() -> None:
    assert len(countries()) > 240
    for code, where in {"DE": (51, 10), "IN": (22, 88), "US": (40, -95), "AU": (-30, 140), "NZ": (-40, 178), "FJ": (-18, 178)}.items():
        assert distance_km(*countries()[code], *where) < 1_500, code


def test_distance() -> None:
    assert distance_km(50.11, 8.68, 32.78, -96.80) == pytest.approx(8270, abs=30)
    assert distance_km(0, 179.5, 0, -179.5) == 111
    assert distance_km(90, 0, -90, 0) == 20015


def broken(city: Path) -> dict[str, bytes]:
    whole = city.read_bytes()
    marker = whole.index(b"\xab\xcd\xefMaxMind.com")
    return {
        "empty": b"",
        "no database": b"<html>not found</html>" * 100,
        "truncated": whole[: len(whole) // 2],
        "tree cut out": whole[marker - 10 :],
        # Every node points to itself: no path ever ends.
        "circle": bytes(marker) + whole[marker:],
    }


@pytest.mark.parametrize("kind", ["empty", "no database", "truncated", "tree cut out", "circle"])
def test_a_bad_file_is_refused_by_the_program_that_reads_it(city: Path, tmp_path: Path, kind: str) -> None:
    bad = tmp_path / "bad.mmdb"
    bad.write_bytes(broken(city)[kind])
    with pytest.raises(WorkFailed):
        run("unfold", str(bad), str(tmp_path / "places"), ending=threading.Event(), cpu_s=2)
    assert not (tmp_path / "places").exists()


def test_a_bad_file_is_told_once_and_the_blocks_are_used(tmp_path: Path, city: Path) -> None:
    folder = tmp_path / "table"
    folder.mkdir()
    bad = tmp_path / "bad.mmdb"
    atlas = Atlas(folder, GeographicSettings(mmdb=str(bad), blocks={"DE": ("198.51.100.0/24",)}), threading.Event())
    with capture_logs() as logs:
        names = {atlas.look(), atlas.look()}
        bad.write_bytes(b"rubbish")
        names |= {atlas.look(), atlas.look()}
    assert len(names) == 1
    assert Geography.load(folder / names.pop()).country(4, parse_address("198.51.100.1")[1]) == "DE"
    assert [each["event"] for each in logs] == ["geography goes on without the file"] * 2
    city.rename(bad)
    assert Geography.load(folder / atlas.look()).country(4, parse_address("203.0.113.1")[1]) == "IN"
    again = Atlas(folder, GeographicSettings(mmdb=str(bad)), threading.Event())
    assert again.known() == atlas.known(), "a file is read once for each version of it"


def test_why_a_file_does_not_count_is_told(tmp_path: Path, city: Path) -> None:
    folder, path = tmp_path / "table", tmp_path / "geo.mmdb"
    folder.mkdir()
    atlas = Atlas(folder, GeographicSettings(mmdb=str(path)), threading.Event())
    assert atlas.problem == ""

    assert (atlas.look(), atlas.problem) == ("", "No such file or directory")
    os.mkfifo(path)  # whoever opens it waits for ever
    assert (atlas.look(), atlas.problem) == ("", "it is no regular file")
    path.unlink()
    path.write_bytes(b"rubbish")
    assert (atlas.look(), bool(atlas.problem)) == ("", True)
    city.rename(path)
    assert (bool(atlas.look()), atlas.problem) == (True, "")


def test_the_table_goes_on_without_the_file_until_it_is_read_and_follows_it(tmp_path: Path, city: Path) -> None:
    folder, later = tmp_path / "table", city.rename(tmp_path / "later.mmdb")
    city.write_bytes(b"rubbish")
    writer, reader = TableWriter(folder, SITES, [EVERYWHERE], ("north",), GeographicSettings(mmdb=str(city))), TableReader(folder)
    writer.start()
    try:
        writer.announce([Announcement(prefix="192.0.2.0/24", site="rack", source="north", as_path=(1,))])
        assert reader.table().match("203.0.113.1").sites == ("nowhere", "frankfurt")
        later.rename(city)
        ends_s = time.monotonic() + 90
        while reader.table().match("203.0.113.1").sites[0] != "mumbai":
            assert time.monotonic() < ends_s
            time.sleep(0.02)
        assert reader.table().match("192.0.2.1").sites == ("rack", "nowhere", "frankfurt")
    finally:
        writer.close()
    next(folder.glob("places-*")).write_bytes(b"rubbish")
    with capture_logs() as logs:
        assert TableReader(folder).table().match("203.0.113.1").sites == ("nowhere", "frankfurt")
    assert [each["event"] for each in logs] == ["geography is left out"]
