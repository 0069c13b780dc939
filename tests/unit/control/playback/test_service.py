"""Play, with all that it asks in memory."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec
import pytest

from nearcast.base.clock import VirtualClock
from nearcast.base.errors import DeadlineExceeded, NotFound, Unavailable
from nearcast.control.playback.errors import NoDevice, NoEdge, NothingToPlay, UnknownTitle
from nearcast.control.playback.settings import PlaybackSettings
from nearcast.model.account import Identity
from nearcast.model.services import AccountChange, HeartbeatReport, PlayAnswer, PlayQuestion, SessionQuestion, TitleQuestion
from nearcast.model.session import Bookmark, Device, Session, SessionCapability
from nearcast.policy import capability
from tests.fakes import ROOT, World, film

KEY = capability.derive(ROOT, "session")
URL = "http://films.example.org"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def world(clock: VirtualClock) -> World:
    return World(film(), film("t_clear", clear=True), film("t_new", state="processing"), clock=clock)


def question(title_id: str = "t_film", generation: int = 0, **device: Any) -> PlayQuestion:
    return PlayQuestion(
        identity=Identity(account_id="a_viewer", profile_id="p_viewer", role="viewer", generation=generation, expires_at=1e12),
        title_id=title_id,
        device=Device(**{"id": "d_1", **device}),
        client_address="203.0.113.9",
        gateway_url=URL,
    )


def session_of(answer: PlayAnswer) -> Session:
    assert answer.session is not None, answer.refused
    return answer.session


def opened(session: Session, clock: VirtualClock) -> SessionCapability:
    return capability.unseal(session.session_id, SessionCapability, KEY, clock.now_s())


async def test_a_device_without_a_name_gets_no_session(world: World) -> None:
    """Its licence would be bound to nothing."""
    with pytest.raises(NoDevice) as caught:
        await world.playback.play(question(id=""))
    assert caught.value.status == 400


async def test_a_session_holds_all_that_a_player_needs(world: World, clock: VirtualClock) -> None:
    session = session_of(await world.playback.play(question()))
    base = f"{URL}/api/v1/sessions/{session.session_id}"
    assert (session.dash_url, session.hls_url, session.steering_url) == (
        f"{base}/manifest.mpd",
        f"{base}/manifest.m3u8",
        f"{base}/steering",
    )
    assert session.license_url == f"{URL}/api/v1/license"
    assert [each.pathway for each in session.edges] == ["fra-1", "dal-1", "sin-1"]
    assert all(each.base_url in session.manifest for each in session.edges)
    assert session.steering_url in session.manifest
    assert session.resume_s == 0
    sealed = opened(session, clock)
    assert (sealed.account_id, sealed.profile_id, sealed.title_id, sealed.device_id) == ("a_viewer", "p_viewer", "t_film", "d_1")
    assert sealed.key_labels == ("AUDIO", "SD", "HD")
    assert sealed.expires_at == int(clock.now_s() + 2 * 60 + 6 * 3600)
    assert str(int(sealed.expires_at)) in session.edges[0].base_url, "edge paths end with the session"


async def test_ids_of_two_sessions_differ(world: World) -> None:
    first, second = [session_of(await world.playback.play(question())) for _ in range(2)]
    assert first.session_id != second.session_id


async def test_a_lapse_is_a_value_and_acts_within_seconds(world: World, clock: VirtualClock) -> None:
    session_of(await world.playback.play(question()))
    await world.accounts.change(AccountChange(account_id="a_viewer", subscription="lapsed"))
    await clock.advance(2.1)
    assert await world.playback.play(question()) == PlayAnswer(refused="lapsed")


async def test_a_revoked_sign_in_is_refused(world: World) -> None:
    await world.accounts.change(AccountChange(account_id="a_viewer", revoke_tokens=True))
    assert (await world.playback.play(question())).refused == "revoked"
    session_of(await world.playback.play(question(generation=1)))


async def test_a_film_that_is_still_prepared(world: World) -> None:
    assert (await world.playback.play(question("t_new"))).refused == "processing"


async def test_unknown_and_withdrawn_titles(world: World) -> None:
    with pytest.raises(NotFound):
        await world.playback.play(question("t_none"))
    await world.catalog.unpublish(TitleQuestion(title_id="t_film"))
    with pytest.raises(UnknownTitle):
        await world.playback.play(question())


async def test_what_is_asked_of_the_services_is_kept_for_seconds(world: World, clock: VirtualClock) -> None:
    for _ in range(5):
        session_of(await world.playback.play(question()))
    assert [len(each.calls) for each in (world.accounts, world.license, world.catalog)] == [1, 1, 1]
    await clock.advance(10)
    session_of(await world.playback.play(question()))
    assert [len(each.calls) for each in (world.accounts, world.license, world.catalog)] == [2, 2, 2]


async def test_it_goes_on_for_a_while_when_accounts_license_and_catalog_die(world: World, clock: VirtualClock) -> None:
    session_of(await world.playback.play(question()))
    world.accounts.down = world.license.down = world.catalog.down = True
    await clock.advance(30)
    session_of(await world.playback.play(question()))
    await clock.advance(60)
    with pytest.raises(Unavailable):
        await world.playback.play(question())


async def test_history_being_dead_costs_the_place_not_the_film(world: World) -> None:
    world.history.held[("p_viewer", "t_film")] = Bookmark(title_id="t_film", position_s=31.0, runtime_s=60.0, updated_at=1.0)
    assert session_of(await world.playback.play(question())).resume_s == 31.0
    world.history.down = True
    assert session_of(await world.playback.play(question())).resume_s == 0.0


async def test_history_being_slow_is_not_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_question: object) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(world.history, "bookmarks", never)
    assert session_of(await world.playback.play(question())).resume_s == 0.0


async def test_a_service_that_hangs_ends_in_a_deadline(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(clock=clock, settings=PlaybackSettings(call_timeout_s=0.05))

    async def never(_question: object) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(world.catalog, "publication", never)
    with pytest.raises(DeadlineExceeded):
        await world.playback.play(question())


async def test_steering_that_is_down_or_knows_no_edge(world: World) -> None:
    world.steering.up = []
    with pytest.raises(NoEdge):
        await world.playback.play(question())
    world.steering.down = True
    with pytest.raises(NoEdge):
        await world.playback.play(question())


async def test_a_stale_health_view_is_told(world: World) -> None:
    world.steering.stale = True
    assert session_of(await world.playback.play(question())).steering_source == "last-known"


async def test_a_small_screen_gets_small_files_and_their_keys_only(world: World, clock: VirtualClock) -> None:
    session = session_of(await world.playback.play(question(max_height=480)))
    assert 'height="480"' in session.manifest
    assert 'height="720"' not in session.manifest
    assert opened(session, clock).key_labels == ("AUDIO", "SD")


async def test_what_the_account_may_see_bounds_the_device(world: World, clock: VirtualClock) -> None:
    world.accounts.max_height = 480
    session = session_of(await world.playback.play(question(max_height=2160)))
    assert 'height="720"' not in session.manifest
    assert opened(session, clock).key_labels == ("AUDIO", "SD")
    assert opened(session, clock).max_height == 480


@pytest.mark.parametrize("max_height", [-5, 0, 10**9])
async def test_odd_heights_are_taken_for_the_nearest_that_is(world: World, max_height: int) -> None:
    session_of(await world.playback.play(question(max_height=max_height)))


async def test_a_clear_film_plays_without_a_licence(world: World) -> None:
    world.license.down = True
    session = session_of(await world.playback.play(question("t_clear")))
    assert session.clear
    assert "ContentProtection" not in session.manifest
    with pytest.raises(Unavailable):
        await world.playback.play(question("t_film"))


async def test_only_renditions_that_are_beyond_the_session(clock: VirtualClock) -> None:
    world = World(film(ladder=((1080, 5_000_000),), languages=()), clock=clock)
    with pytest.raises(NothingToPlay):
        await world.playback.play(question(max_height=480))


async def test_manifests_made_anew_name_the_same_edges_and_files(world: World) -> None:
    session = session_of(await world.playback.play(question()))
    asked = SessionQuestion(session_id=session.session_id, gateway_url=URL)
    again = await world.playback.manifest(asked)
    spare = re.compile(r'<BaseURL serviceLocation="bom-1">.*\n')
    assert spare.sub("", again.dash) == session.manifest
    assert len(spare.findall(again.dash)) == 1, "who fetches it cannot be told of a further edge later"
    for edge in session.edges:
        assert edge.base_url in again.hls
    assert "RESOLUTION=1920x1080" in again.hls


async def test_manifests_keep_to_the_sessions_bounds(world: World) -> None:
    session = session_of(await world.playback.play(question(max_height=480)))
    again = await world.playback.manifest(SessionQuestion(session_id=session.session_id, gateway_url=URL))
    assert "1280x720" not in again.hls
    assert 'height="720"' not in again.dash


async def test_a_film_withdrawn_in_mid_play_plays_on(world: World, clock: VirtualClock) -> None:
    session = session_of(await world.playback.play(question()))
    await world.catalog.unpublish(TitleQuestion(title_id="t_film"))
    await clock.advance(10)
    await world.playback.manifest(SessionQuestion(session_id=session.session_id, gateway_url=URL))


async def test_the_steering_document_follows_the_edges(world: World) -> None:
    session = session_of(await world.playback.play(question()))
    asked = SessionQuestion(session_id=session.session_id, gateway_url=URL, last_pathway="fra-1", client_address="203.0.113.10")
    document = await world.playback.steering(asked)
    assert document.pathway_priority == document.service_location_priority == ("fra-1", "dal-1", "sin-1", "bom-1")
    assert [each.pathway for each in document.edges] == list(document.pathway_priority)
    assert document.edges[:3] == session.edges
    assert (document.version, document.ttl, document.reload_uri) == (1, 60, session.steering_url)
    assert world.steering.calls[-1].client_address == "203.0.113.10", "a viewer who moved is served from where they are"
    world.steering.up.remove("fra-1")
    moved = await world.playback.steering(asked)
    assert moved.pathway_priority == ("dal-1", "sin-1", "bom-1")
    assert moved.ttl == 10, "the player was on an edge that is gone"


async def test_a_document_takes_one_answer_of_steering(world: World) -> None:
    """A second one could fail when the first is there, and could know an edge of it at another address."""
    session = session_of(await world.playback.play(question()))
    assert world.steering.calls[-1].spare == 0
    asked_before = len(world.steering.calls)
    await world.playback.steering(SessionQuestion(session_id=session.session_id, gateway_url=URL))
    (asked,) = world.steering.calls[asked_before:]
    assert (asked.count, asked.spare) == (3, 2)


async def test_without_spare_edges_none_are_asked_for(clock: VirtualClock) -> None:
    world = World(film(), clock=clock, settings=PlaybackSettings(spare_edges=0))
    session = session_of(await world.playback.play(question()))
    document = await world.playback.steering(SessionQuestion(session_id=session.session_id, gateway_url=URL))
    assert document.edges == session.edges


async def test_a_missing_spare_edge_makes_nobody_ask_more_often(world: World) -> None:
    session = session_of(await world.playback.play(question()))
    world.steering.up.remove("bom-1")
    document = await world.playback.steering(SessionQuestion(session_id=session.session_id, gateway_url=URL, last_pathway="fra-1"))
    assert document.pathway_priority == ("fra-1", "dal-1", "sin-1")
    assert document.ttl == 60


async def test_only_hls_players_are_told_of_clones(world: World) -> None:
    """Of the edges that their playlist may lack; DASH replaces the host alone, and our paths differ by appliance."""
    session = session_of(await world.playback.play(question()))
    asked = SessionQuestion(session_id=session.session_id, gateway_url=URL, last_pathway="dal-1")
    for protocol in ("", "dash"):
        document = await world.playback.steering(msgspec.structs.replace(asked, protocol=protocol))
        assert document.pathway_clones == ()
        assert b"PATHWAY-CLONES" not in msgspec.json.encode(document)
    (clone,) = (await world.playback.steering(msgspec.structs.replace(asked, protocol="hls"))).pathway_clones
    assert (clone.base_id, clone.id) == ("dal-1", "bom-1"), "of the pathway in use, which its playlist has for certain"
    fetched = (await world.playback.manifest(asked)).hls
    assert all(each in fetched for each in clone.uri_replacement.variants.values())
    assert all(each in fetched for each in clone.uri_replacement.renditions.values())


async def test_clones_are_of_a_pathway_that_the_playlist_has(world: World) -> None:
    """A playlist is made of what steering says when it is fetched, and who is asked for a clone of what it lacks passes it by."""
    session = session_of(await world.playback.play(question()))
    world.steering.up.remove("fra-1")
    asked = SessionQuestion(session_id=session.session_id, gateway_url=URL, protocol="hls")
    playlist = (await world.playback.manifest(asked)).hls
    assert 'PATHWAY-ID="fra-1"' not in playlist
    world.steering.up += ["gru-1", "fra-1"]
    world.steering.addresses["gru-1"] = "http://127.0.0.1:8105"
    document = await world.playback.steering(msgspec.structs.replace(asked, last_pathway="dal-1"))
    assert [(each.base_id, each.id) for each in document.pathway_clones] == [("dal-1", "bom-1"), ("dal-1", "gru-1")]
    assert all(f'PATHWAY-ID="{each.base_id}"' in playlist for each in document.pathway_clones)
    at_a_clone = await world.playback.steering(msgspec.structs.replace(asked, last_pathway="gru-1"))
    assert [(each.base_id, each.id) for each in at_a_clone.pathway_clones] == [("gru-1", "bom-1")]


async def test_without_a_catalog_a_document_lacks_clones_alone(world: World, clock: VirtualClock) -> None:
    session = session_of(await world.playback.play(question()))
    asked = SessionQuestion(session_id=session.session_id, gateway_url=URL, protocol="hls")
    world.catalog.down = True
    await clock.advance(3600)
    document = await world.playback.steering(asked)
    assert len(document.pathway_priority) == 4
    assert document.pathway_clones == ()


async def test_a_session_keeps_to_its_pathways_and_its_past_speed(world: World, clock: VirtualClock) -> None:
    session = session_of(await world.playback.play(question(throughput_bps=100_000)))
    assert 'height="1080"' not in session.manifest
    assert 'height="720"' in session.manifest
    sealed = opened(session, clock)
    assert sealed.pathways == ("fra-1", "dal-1", "sin-1")
    again = await world.playback.manifest(SessionQuestion(session_id=session.session_id, gateway_url=URL))
    assert 'height="1080"' not in again.dash
    assert world.steering.calls[-1].known == sealed.pathways
    assert world.steering.calls[-1].session == sealed.nonce
    assert again.hls.split("#EXT-X-STREAM-INF")[1].count("RESOLUTION=426x240") == 1, "it begins with what the line carried"
    await world.playback.steering(SessionQuestion(session_id=session.session_id, last_pathway="dal-1"))
    assert world.steering.calls[-1].current == "dal-1"


async def test_session_ids_that_are_none_or_past(world: World, clock: VirtualClock) -> None:
    session = session_of(await world.playback.play(question()))
    for text in ("", "x", "AAAA" * 20, session.session_id[:-3] + "AAA", "é"):
        with pytest.raises(capability.Unsealable):
            await world.playback.steering(SessionQuestion(session_id=text))
    await clock.advance(7 * 3600)
    with pytest.raises(capability.Expired):
        await world.playback.manifest(SessionQuestion(session_id=session.session_id))


async def test_heartbeats_of_a_session_become_its_next_beginning(world: World) -> None:
    from nearcast.model.session import Heartbeat

    session = session_of(await world.playback.play(question()))
    await world.history.heartbeat(
        HeartbeatReport(session_id=session.session_id, account_id="a_viewer", heartbeat=Heartbeat(position_s=42.0))
    )
    assert session_of(await world.playback.play(question())).resume_s == 42.0
