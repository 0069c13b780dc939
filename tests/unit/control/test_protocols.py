"""Every data service answers what its Protocol asks, with the very types, and over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from nearcast.base import rpc
from nearcast.base.clock import SystemClock
from nearcast.base.errors import Remote
from nearcast.control.accounts import AccountsService
from nearcast.control.catalog import CatalogService
from nearcast.control.discovery import DiscoveryService
from nearcast.control.history import HistoryService, SqliteBookmarks
from nearcast.control.home import HomeService
from nearcast.control.license import LicenseService, MasterKeys
from nearcast.control.search import SearchService
from nearcast.model.account import Identity
from nearcast.model.services import (
    Accounts,
    Catalog,
    Discovery,
    HeartbeatReport,
    History,
    Home,
    HomeQuestion,
    KeySetQuestion,
    License,
    LinkQuestion,
    LoginQuestion,
    Opinion,
    Search,
    SearchQuestion,
    TitleQuestion,
)
from nearcast.model.session import Heartbeat
from nearcast.policy.capability import derive, seal, unseal
from tests.unit.control.helpers import CHEAP, FAST, ROOT, new_store, publication, session

PROTOCOLS: list[tuple[type[Any], type[Any]]] = [
    (Accounts, AccountsService),
    (Catalog, CatalogService),
    (Discovery, DiscoveryService),
    (History, HistoryService),
    (Home, HomeService),
    (License, LicenseService),
    (Search, SearchService),
]


@pytest.mark.parametrize(("protocol", "service"), PROTOCOLS)
def test_a_service_has_every_method_of_its_protocol_with_its_types(protocol: type[Any], service: type[Any]) -> None:
    for method in rpc.methods(protocol):
        function = getattr(service, method.name)
        assert asyncio.iscoroutinefunction(function)
        assert get_type_hints(function) == get_type_hints(getattr(protocol, method.name))


class House:
    """All data services in one process, spoken to over a socket."""

    def __init__(self, channels: rpc.Channels, address: str) -> None:
        self.accounts = rpc.connect(Accounts, lambda: (address,), channels)
        self.catalog = rpc.connect(Catalog, lambda: (address,), channels)
        self.history = rpc.connect(History, lambda: (address,), channels)
        self.home = rpc.connect(Home, lambda: (address,), channels)
        self.license = rpc.connect(License, lambda: (address,), channels)
        self.search = rpc.connect(Search, lambda: (address,), channels)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    store, clock = new_store(tmp_path), SystemClock()
    bookmarks = SqliteBookmarks(tmp_path / "history.db", FAST)
    accounts = AccountsService(store, token_key=derive(ROOT, "token"), clock=clock, settings=CHEAP)
    catalog = CatalogService(store, clock=clock)
    history = HistoryService(bookmarks, catalog, session_key=derive(ROOT, "session"), clock=clock)
    search = SearchService(catalog, clock=clock)
    search.start()
    services: dict[type[Any], object] = {
        Accounts: accounts,
        Catalog: catalog,
        History: history,
        Search: search,
        Home: HomeService(catalog, accounts, history),
        License: LicenseService(store, session_key=derive(ROOT, "session"), master_keys=MasterKeys(lambda: [bytes(32)]), clock=clock),
    }
    address = f"unix:{tmp_path}/house.sock"
    server, channels = await rpc.serve(services, address), rpc.Channels()
    yield House(channels, address)
    await channels.close()
    await server.stop(0)
    await search.close()
    await history.close()
    accounts.close()
    bookmarks.close()
    store.close()


async def test_an_evening_over_the_wire(house: House) -> None:
    link = (await house.accounts.link(LinkQuestion())).link
    login = await house.accounts.login(LoginQuestion(link=link, client_address="192.0.2.1"))
    me = unseal(login.token, Identity, derive(ROOT, "token"), SystemClock().now_s())
    await house.license.key_set(KeySetQuestion(title_id="t_one"))
    for title_id, name in (("t_one", "Big Buck Bunny"), ("t_two", "Sintel")):
        await house.catalog.publish(publication(title_id, name))
    await house.accounts.opine(Opinion(profile_id=me.profile_id, title_id="t_two", in_my_list=True))
    playing = session("t_one", account_id=me.account_id, profile_id=me.profile_id)
    session_id = seal(playing, derive(ROOT, "session"), bytes(12))
    await house.history.heartbeat(HeartbeatReport(session_id=session_id, account_id=me.account_id, heartbeat=Heartbeat(position_s=60)))
    rows = {row.id: [each.id for each in row.titles] for row in (await house.home.rows(HomeQuestion(identity=me))).rows}
    assert (rows["continue"], rows["my-list"], sorted(rows["new"])) == (["t_one"], ["t_two"], ["t_one", "t_two"])
    for _ in range(500):
        if (await house.search.search(SearchQuestion(query="bunyn"))).title_ids == ("t_one",):
            break
        await asyncio.sleep(0.01)
    assert (await house.search.search(SearchQuestion(query="bunyn"))).title_ids == ("t_one",)
    with pytest.raises(Remote) as caught:
        await house.catalog.title(TitleQuestion(title_id="t_nothing"))
    assert (caught.value.code, caught.value.status, bool(caught.value.hint)) == ("NC4204", 404, True)
