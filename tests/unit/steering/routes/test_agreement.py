"""The compiled table, the table with changes over it, and the plainest table there is: they agree on every match and every block."""

from __future__ import annotations

from ipaddress import IPv6Address
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from nearcast.model.route import Announcement
from nearcast.steering.routes import Table, overlay
from nearcast.steering.routes.places import geography_of
from tests.unit.steering.routes.reference import SITES, Address, Network, Reference, addresses_of, announcements, networks

Steps = list[tuple[bool, list[Announcement]]]
steps = st.lists(st.tuples(st.booleans(), st.lists(announcements, max_size=4)), max_size=6)
places: st.SearchStrategy[dict[Network, str]] = st.just({}) | st.dictionaries(networks, st.sampled_from(["DE", "IN", "US"]), max_size=8)


def agrees(table: Table, reference: Reference, addresses: list[Address]) -> None:
    for each in addresses:
        if isinstance(each, IPv6Address) and each.ipv4_mapped:
            continue
        assert table.match(str(each)) == reference.match(each), str(each)
        assert table.block(each.version, int(each)) == reference.block(each), str(each)


@given(st.data(), st.lists(announcements, max_size=25), steps, places, st.sampled_from([0, overlay.FEW]))
def test_compiled_changed_and_plain_tables_agree(
    data: st.DataObject, first: list[Announcement], steps: Steps, places: dict[Network, str], few: int
) -> None:
    blocks: dict[str, list[str]] = {}
    for network, country in places.items():
        blocks.setdefault(country, []).append(str(network))
    reference, geography = Reference(first, places), geography_of(blocks)
    table = Table.of((), SITES, reference.everything(), geography=geography)
    told = {each.prefix for each in first} | {each.prefix for _, batch in steps for each in batch} | {str(each) for each in places}
    addresses = data.draw(st.lists(addresses_of(told), min_size=1, max_size=8))
    agrees(table, reference, addresses)
    for announce, batch in steps:
        with mock.patch.object(overlay, "FEW", few):
            table = table.changed(batch if announce else (), () if announce else batch, table.version + 1)
        (reference.announce if announce else reference.withdraw)(batch)
        agrees(table, reference, addresses)
    agrees(Table.of((), SITES, reference.everything(), geography=geography), reference, addresses)


@given(st.data(), st.lists(announcements, max_size=12), st.lists(announcements, max_size=5), st.lists(announcements, max_size=5))
def test_an_altered_table_leaves_the_first_as_it_was(
    data: st.DataObject, first: list[Announcement], announce: list[Announcement], withdraw: list[Announcement]
) -> None:
    before, after = Reference(first), Reference(first)
    table = Table.of((), SITES, before.everything())
    altered = table.altered(announce, [*withdraw, *first[:2]])
    after.withdraw([*withdraw, *first[:2]])
    after.announce(announce)
    addresses = data.draw(st.lists(addresses_of({each.prefix for each in [*first, *announce]}), min_size=1, max_size=6))
    agrees(table, before, addresses)
    agrees(altered, after, addresses)
