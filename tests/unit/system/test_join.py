"""Joining: a token that is good once, for a while, as it was printed; and what an edge is given for it, and what not."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import os
import shutil
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from nearcast.base.errors import BadInput, NearcastError, NotFound, Problem, Unavailable
from nearcast.base.paths import Home
from nearcast.base.web import Tls, serve_asgi
from nearcast.policy.capability import derive, edge_key
from nearcast.system import dismissal, inviting, issue, join, joiner, peers, secrets, settings, start, tls

HOST = "127.0.0.2"
EDGE = peers.Appliance("frankfurt", "lon-1")
NOW_S = 1_800_000_000.0
KEY = bytes(range(32))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """The main host's."""
    found = Home(tmp_path / "main")
    start.prepare(found)
    found.config.write_text(f'[network]\ninternal_host = "{HOST}"\n')
    return found


@pytest.fixture
def away(tmp_path: Path) -> Home:
    """The edge's."""
    return Home(tmp_path / "edge")


@asynccontextmanager
async def door(home: Home, ahead_s: float = 0.0) -> AsyncIterator[str]:
    """The main host's listener, whose clock is ahead; its address."""
    joining = join.Joining(secrets.load(home.secrets).root, home.secrets, join.Redeemed(home.data / "invitations"), (8111, 8100))
    tls_files = Tls(certificate=peers.need(home), key=peers.path(home))
    app = join.application(joining, (home.secrets / tls.AUTHORITY).read_bytes(), lambda: time.time() + ahead_s)
    server = await serve_asgi(app, HOST, 0, tls=tls_files)
    try:
        yield f"{HOST}:{server.port}"
    finally:
        await server.stop(0.2)


def token(home: Home, address: str, public_name: str = "") -> str:
    made = join.from_text(inviting.token(home, EDGE.id, EDGE.site, public_name=public_name))
    return join.to_text(msgspec.structs.replace(made, address=address))


async def joined(home: Home, text: str, **place: object) -> join.JoinAnswer:
    return await asyncio.to_thread(joiner.join, home, text, joiner.Place(**place))  # type: ignore[arg-type]  # checked there


# --- the whole way ----------------------------------------------------------------------------------------------------


async def test_an_edge_joins_and_is_given_what_is_its_own(home: Home, away: Home) -> None:
    async with door(home) as address:
        answer = await joined(away, token(home, address), port=8131)
    assert (answer.id, answer.site) == ("lon-1", "frankfurt")
    root = secrets.load(home.secrets).root
    given = secrets.joined(away.secrets)
    assert given
    assert set(given.keys) == {"rpc", "origin", "edge-mac/lon-1"}
    assert given.keys["edge-mac/lon-1"] == edge_key(root, "lon-1")
    assert given.keys["rpc"] != derive(root, "rpc").hex(), "with that it could ask anything of anybody"
    whole = settings.load(away, {})
    assert [(each.id, each.site, each.port, each.listen) for each in whole.appliances] == [("lon-1", "frankfurt", 8131, ("127.0.0.1",))]
    assert whole.network.addresses == {"fleet": f"{HOST}:8111"}
    assert whole.network.origin_url == f"https://{HOST}:8100"
    assert {stat.S_IMODE(each.stat().st_mode) for each in away.secrets.iterdir() if not each.name.endswith(".lock")} == {0o600}
    mutual = peers.mutual(away)
    assert mutual
    assert issue.fingerprint(x509.load_pem_x509_certificate(mutual.authority)) == join.from_text(token(home, address)).fingerprint


async def test_an_edge_is_given_no_secret_of_the_system(home: Home, away: Home) -> None:
    async with door(home) as address:
        await joined(away, token(home, address))
    forbidden = [(home.secrets / name).read_bytes() for name in (secrets.ROOT, secrets.LICENSE_MASTER, tls.AUTHORITY_KEY)]
    root = forbidden[0]
    forbidden += [derive(root, purpose) for purpose in ("rpc", "token", "session", "upload", "join", "edge-mac/fra-1")]
    held = b"".join(each.read_bytes() for each in away.root.rglob("*") if each.is_file())
    for secret in forbidden:
        for form in (secret, secret.hex().encode(), base64.b64encode(secret)):
            assert form not in held
    assert {each.name for each in away.secrets.iterdir()} <= {"authority.pem", "peer.pem", "joined.json"}
    with pytest.raises(secrets.HomeOfAnEdge):
        start.prepare(away)


async def test_a_token_is_good_once(home: Home, away: Home, tmp_path: Path) -> None:
    async with door(home) as address:
        text = token(home, address)
        await joined(away, text)
        with pytest.raises(NearcastError, match="used already") as caught:
            await joined(Home(tmp_path / "second"), text)
    assert caught.value.code == "NC0222"
    assert "nearcast edge invite" in caught.value.hint
    assert not (tmp_path / "second" / "nearcast.toml").exists()


async def test_a_join_that_was_cut_off_may_be_repeated(home: Home, away: Home) -> None:
    async with door(home) as address:
        text = token(home, address)
        await joined(away, text)
        first = (away.secrets / "peer.pem").read_bytes()
        key = first[first.index(b"-----BEGIN PRIVATE") :]
        (away.secrets / "joining.key").write_bytes(key)  # as it was when the answer was on its way
        (away.secrets / "joined.json").unlink()
        await joined(away, text)
    assert secrets.joined(away.secrets)
    assert key in (away.secrets / "peer.pem").read_bytes()


async def test_a_join_cut_off_at_its_configuration_may_be_repeated(home: Home, away: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_off(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with door(home) as address:
        text = token(home, address)

        def full_at_the_configuration(path: Path, content: bytes) -> None:
            with monkeypatch.context() as patch:
                if path == away.config:
                    patch.setattr(os, "fsync", cut_off)
                write(path, content)

        write = secrets.write
        monkeypatch.setattr(secrets, "write", full_at_the_configuration)
        with pytest.raises(OSError, match="No space"):
            await joined(away, text)
        assert not away.config.exists(), "there is no configuration, rather than a part of one"
        monkeypatch.undo()
        await joined(away, text)
    assert settings.load(away, {}).appliances[0].id == "lon-1"


async def test_a_main_host_without_room_is_told_as_such(home: Home, away: Home) -> None:
    (home.data / "invitations").write_text("in the way")
    async with door(home) as address:
        text = token(home, address)
        with pytest.raises(NearcastError, match="cannot keep") as caught:
            await joined(away, text)
        assert caught.value.code == "NC0229"
        assert "room" in caught.value.hint
        (home.data / "invitations").unlink()
        await joined(away, text)


async def test_a_main_host_that_fails_is_not_taken_for_another_system(home: Home, away: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(join.Redeemed, "redeem", fail)
    async with door(home) as address:
        with pytest.raises(Unavailable, match="answers 500") as caught:
            await joined(away, token(home, address))
    assert "fleet.log" in caught.value.hint


async def test_what_a_dismissed_edge_was_given_before_lets_nobody_in(home: Home, away: Home) -> None:
    async with door(home) as address:
        old = token(home, address)
        await joined(away, old)
        dismissal.dismiss(home, EDGE.id, time.time())
        held = (away.secrets / "peer.pem").read_bytes()
        (away.secrets / "joining.key").write_bytes(held[held.index(b"-----BEGIN PRIVATE") :])
        with pytest.raises(NearcastError, match="dismissed") as caught:
            await joined(away, old)
        assert caught.value.code == "NC0230"
        assert (await joined(away, token(home, address))).id == EDGE.id


async def test_a_token_that_has_expired(home: Home, away: Home) -> None:
    async with door(home, ahead_s=3601) as address:
        with pytest.raises(NearcastError, match="expired") as caught:
            await joined(away, token(home, address))
    assert caught.value.code == "NC0221"


async def test_a_token_of_another_system(home: Home, away: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    start.prepare(other)
    shutil.copy(home.config, other.config)
    async with door(home) as address:
        with pytest.raises(joiner.WrongAuthority, match="another authority"):
            await joined(away, token(other, address))
        sealed = join.from_text(token(other, address)).invitation
        mixed = msgspec.structs.replace(join.from_text(token(home, address)), invitation=sealed)
        with pytest.raises(NearcastError, match="another system"):
            await joined(away, join.to_text(mixed))


async def test_one_who_shows_the_right_authority_but_does_not_hold_it(home: Home, away: Home, tmp_path: Path) -> None:
    """The authority's certificate is no secret; whoever repeats it cannot speak in its name."""
    other = Home(tmp_path / "other")
    start.prepare(other)
    joining = join.Joining(secrets.load(other.secrets).root, other.secrets, join.Redeemed(other.data / "invitations"), (1, 2))
    app = join.application(joining, (home.secrets / tls.AUTHORITY).read_bytes())
    server = await serve_asgi(app, HOST, 0, tls=Tls(certificate=peers.need(other), key=peers.path(other)))
    try:
        with pytest.raises(joiner.WrongAuthority, match="no certificate"):
            await joined(away, token(home, f"{HOST}:{server.port}"))
    finally:
        await server.stop(0.2)


async def test_nobody_there(home: Home, away: Home) -> None:
    with pytest.raises(joiner.NoAnswer) as caught:
        await joined(away, token(home, f"{HOST}:1"))
    assert "internal_host" in caught.value.hint


async def test_a_home_that_is_taken(home: Home, tmp_path: Path) -> None:
    with pytest.raises(joiner.HomeTaken, match="secrets"):
        await joined(home, token(home, f"{HOST}:1"))
    configured = Home(tmp_path / "configured")
    configured.root.mkdir()
    configured.config.write_text("[network]\n")
    with pytest.raises(joiner.HomeTaken, match="configuration"):
        await joined(configured, token(home, f"{HOST}:1"))


async def test_with_a_public_name_viewers_are_served_by_tls(home: Home, away: Home) -> None:
    async with door(home) as address:
        await joined(away, token(home, address, public_name="lon.example.org"))
    whole = settings.load(away, {})
    start.check_protected(whole)
    assert whole.appliances[0].listen == ("0.0.0.0",)
    assert tls.current(away, whole) == Tls(certificate=peers.path(away), key=peers.path(away))
    found = x509.load_pem_x509_certificate((away.secrets / "peer.pem").read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "lon.example.org" in names.get_values_for_type(x509.DNSName)
    assert peers.SERVER_NAME not in names.get_values_for_type(x509.DNSName)


async def test_a_public_name_cannot_be_that_of_the_servers(home: Home) -> None:
    with pytest.raises(BadInput):
        inviting.token(home, EDGE.id, EDGE.site, public_name=peers.SERVER_NAME)


# --- tokens -----------------------------------------------------------------------------------------------------------


@given(st.data())
def test_a_token_that_was_altered_is_told_as_such(data: st.DataObject) -> None:
    text = join.to_text(join.Token("10.0.0.5:8110", b"f" * 32, "sealed"))
    assert join.from_text(f" {text}\n") == join.Token("10.0.0.5:8110", b"f" * 32, "sealed")
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("Aa0-_ é"))
    for altered in (text[:at] + letter + text[at + 1 :], text[:at]):
        with contextlib.suppress(join.BadToken):
            assert join.from_text(altered) == join.from_text(text), "only the unused bits of the last letter may differ"


@pytest.mark.parametrize("text", ["", "nc1.", "nc1.x", "hello", "é" * 40, "nc1." + "A" * 5000])
def test_tokens_that_are_none(text: str) -> None:
    with pytest.raises(join.BadToken):
        join.from_text(text)


def test_an_invitation_is_opened_as_it_was_sealed() -> None:
    sealed = join.invite(EDGE, "", KEY, NOW_S, 60)
    assert (join.opened(sealed, KEY, NOW_S + 59).id, join.opened(sealed, KEY, NOW_S).site) == ("lon-1", "frankfurt")
    for why, key, now_s in (("expired", KEY, NOW_S + 61), ("altered", bytes(32), NOW_S)):
        with pytest.raises(join.InvitationOver, match=why):
            join.opened(sealed, key, now_s)
    with pytest.raises(join.InvitationOver, match="altered"):
        join.opened(sealed[:-2] + ("AA" if not sealed.endswith("AA") else "BB"), KEY, NOW_S)


def test_what_was_redeemed_is_forgotten_once_it_has_expired(tmp_path: Path) -> None:
    redeemed = join.Redeemed(tmp_path / "invitations")
    first, second = (join.opened(join.invite(EDGE, "", KEY, NOW_S, 60), KEY, NOW_S) for _ in range(2))
    redeemed.redeem(first, "a", NOW_S)
    redeemed.redeem(first, "a", NOW_S)
    with pytest.raises(join.InvitationUsed):
        redeemed.redeem(first, "b", NOW_S)
    redeemed.redeem(second, "b", NOW_S + 100)
    assert [each.name for each in (tmp_path / "invitations").iterdir()] == [f"{int(NOW_S) + 61}-{second.nonce}"]


# --- what the listener answers to others ------------------------------------------------------------------------------


async def answer_of(home: Home, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    joining = join.Joining(KEY, home.secrets, join.Redeemed(home.data / "invitations"), (1, 2))
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body}

    async def send(message: object) -> None:
        sent.append(message)  # type: ignore[arg-type]  # ASGI's dictionaries

    await join.application(joining, b"pem")({"type": "http", "method": method, "path": path}, receive, send)
    return int(str(sent[0]["status"])), bytes(sent[1]["body"])  # type: ignore[call-overload]  # it is bytes


async def test_requests_that_make_no_sense(home: Home) -> None:
    assert await answer_of(home, "GET", "/authority.pem") == (200, b"pem")
    bad_request = msgspec.json.encode(join.JoinQuestion(invitation=join.invite(EDGE, "", derive(KEY, "join"), time.time()), request="x"))
    for status, method, path, body in (
        (404, "GET", "/", b""),
        (404, "GET", "/join", b""),
        (404, "POST", "/authority.pem", b""),
        (400, "POST", "/join", b""),
        (400, "POST", "/join", b"{}"),
        (400, "POST", "/join", b'{"invitation": 1, "request": "x"}'),
        (413, "POST", "/join", b"x" * 20_000),
        (403, "POST", "/join", b'{"invitation": "x", "request": "x"}'),
        (400, "POST", "/join", bad_request),
    ):
        found, said = await answer_of(home, method, path, body)
        assert found == status, (method, path, body[:50])
        problem = msgspec.json.decode(said, type=Problem)
        assert problem.code.startswith("NC")
        assert problem.hint


def test_only_keys_of_one_kind_are_signed() -> None:
    with pytest.raises(issue.BadRequestForCertificate, match="P-256"):
        issue.read_request(issue.make_request(ec.generate_private_key(ec.SECP384R1())))


# --- invitations ------------------------------------------------------------------------------------------------------


def test_who_cannot_be_invited(home: Home) -> None:
    for error, words, edge, site in (
        (inviting.NameTaken, "fra-1", "fra-1", "frankfurt"),
        (NotFound, "no site", "lon-1", "atlantis"),
        (BadInput, "no name", "Lon 1", "frankfurt"),
    ):
        with pytest.raises(error, match=words):
            inviting.token(home, edge, site)
    with pytest.raises(tls.BadPublicName):
        inviting.token(home, "lon-1", "frankfurt", public_name="a b")


def test_a_host_that_nobody_reaches_invites_nobody(home: Home) -> None:
    home.config.write_text("")
    with pytest.raises(inviting.NotReachable) as caught:
        inviting.token(home, EDGE.id, EDGE.site)
    assert "internal_host" in caught.value.hint
    home.config.write_text('[network]\ninternal_host = "0.0.0.0"\n')
    with pytest.raises(inviting.NotReachable, match=r"0\.0\.0\.0"):
        inviting.token(home, EDGE.id, EDGE.site)
    assert join.from_text(inviting.token(home, EDGE.id, EDGE.site, at="10.0.0.5")).address == "10.0.0.5:8110"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_host_that_answers_itself_alone_invites_nobody(host: str, home: Home) -> None:
    """The edge joined, and could never report."""
    home.config.write_text(f'[network]\ninternal_host = "{host}"\n')
    for at in ("", "10.0.0.5"):
        with pytest.raises(inviting.NotReachable, match="this machine's own"):
            inviting.token(home, EDGE.id, EDGE.site, at=at)


def test_the_configuration_that_a_join_writes_is_good(tmp_path: Path) -> None:
    answer = join.JoinAnswer(id="lon-1", site="london", public_name="", chain="", keys={}, edges_port=8111, origin_port=8100)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "joined.json").write_text("{}")
    (tmp_path / "nearcast.toml").write_text(joiner.configuration(answer, "[2001:db8::1]", joiner.Place(listen=("127.0.0.3",))))
    found = settings.load(Home(tmp_path), {})
    assert found.network.origin_url == "https://[2001:db8::1]:8100"
    assert found.network.addresses == {"fleet": "[2001:db8::1]:8111"}
    assert found.appliances[0].listen == ("127.0.0.3",)
