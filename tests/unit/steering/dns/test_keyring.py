"""A rollover: each stage is judged by dnspython as resolvers see it that remember the stage before; and the file it is kept in."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import dns.dnssec
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from dns.exception import ValidationFailure

from nearcast.steering.dns import keyring, wire
from nearcast.steering.dns.answer import Answerer
from nearcast.steering.dns.dnssec import Signer
from nearcast.steering.dns.keyring import PUBLISH_S, BadKey, NotNow, Ring
from nearcast.steering.dns.settings import DnsSettings
from tests.unit.steering.dns.making import KEY, NOW_S, SETTINGS, TITLE, answerer, ask, query

ZONE = dns.name.from_text("cdn.example")
NEW = ec.derive_private_key(8, ec.SECP256R1())
NOW = int(NOW_S)
STABLE = Ring(KEY)
PUBLISHED = keyring.begun(STABLE, NEW, NOW)
READY = keyring.advanced(PUBLISHED, NOW + PUBLISH_S)
REPLACED = keyring.advanced(READY, NOW + PUBLISH_S, replaced=True, ds_ttl_s=7200)
DONE = keyring.advanced(REPLACED, NOW + 2 * PUBLISH_S + 7200)
STAGES = (STABLE, PUBLISHED, READY, REPLACED, DONE)
HOLDERS = ((KEY,), (KEY,), (KEY, NEW), (KEY, NEW), (NEW,))
"""Whose DS resolvers may have in each."""
ASKED = (
    ("play.cdn.example", "A"),
    ("cdn.example", "SOA"),
    (f"{TITLE}.titles.cdn.example", "AAAA"),
    ("nothing.cdn.example", "A"),
    ("play.cdn.example", "MX"),
    ("cdn.example", "CDS"),
    ("cdn.example", "CDNSKEY"),
)


def keys(made: Answerer) -> tuple[dns.rrset.RRset, dns.rrset.RRset]:
    """The DNSKEY set and its signatures."""
    found = ask(made, query("cdn.example", "DNSKEY", dnssec=True))
    return (
        found.find_rrset(found.answer, ZONE, dns.rdataclass.IN, dns.rdatatype.DNSKEY),
        found.find_rrset(found.answer, ZONE, dns.rdataclass.IN, dns.rdatatype.RRSIG, covers=dns.rdatatype.DNSKEY),
    )


def trusted(made: Answerer, key: ec.EllipticCurvePrivateKey) -> dns.rrset.RRset:
    """The DNSKEY set as one takes it who has a DS of ``key``: signed by that very key. Raises ValidationFailure."""
    found, signatures = keys(made)
    tag = Signer(wire.name("cdn.example"), key).tag
    entry = [each for each in found if dns.dnssec.key_id(each) == tag]
    if not entry:
        raise ValidationFailure("the key of the DS is not there")  # type: ignore[no-untyped-call]
    dns.dnssec.validate(found, signatures, {ZONE: dns.rrset.from_rdata_list(ZONE, found.ttl, entry)}, now=NOW_S)
    return found


def judge(made: Answerer, known: dns.rrset.RRset) -> int:
    """Every set in the answers has a signature by a key that is known. Raises ValidationFailure."""
    checked = 0
    for name, kind in ASKED:
        found = ask(made, query(name, kind, dnssec=True))
        for section in (found.answer, found.authority):
            for rrset in section:
                if rrset.rdtype != dns.rdatatype.RRSIG:
                    signatures = found.find_rrset(section, rrset.name, dns.rdataclass.IN, dns.rdatatype.RRSIG, covers=rrset.rdtype)
                    dns.dnssec.validate(rrset, signatures, {ZONE: known}, now=NOW_S)
                    checked += 1
    return checked


@pytest.mark.parametrize(("ring", "holders"), list(zip(STAGES, HOLDERS, strict=True)))
def test_each_stage_is_trusted_by_who_has_a_ds_of_its_time(ring: Ring, holders: tuple[ec.EllipticCurvePrivateKey, ...]) -> None:
    made = answerer(ring=ring)
    for each in holders:
        assert judge(made, trusted(made, each)) >= len(ASKED)
    assert keyring.delegated(wire.name("cdn.example"), ring).tag in {Signer(wire.name("cdn.example"), each).tag for each in holders}


@pytest.mark.parametrize(("before", "after"), list(pairwise(STAGES)))
def test_who_remembers_the_stage_before_goes_on_trusting(before: Ring, after: Ring) -> None:
    """Old keys in the cache and a new answer, and the other way round."""
    then, now = answerer(ring=before), answerer(ring=after)
    assert judge(then, keys(now)[0])
    assert judge(now, keys(then)[0])


def test_a_step_too_far_is_what_these_tests_would_see() -> None:
    with pytest.raises(ValidationFailure):
        trusted(answerer(ring=DONE), KEY)
    with pytest.raises(ValidationFailure):
        judge(answerer(ring=REPLACED), keys(answerer(ring=STABLE))[0])


@pytest.mark.parametrize("ring", STAGES)
def test_the_parent_is_asked_for_the_new_ds_once_it_may_have_it(ring: Ring) -> None:
    made = answerer(ring=ring)
    found = ask(made, query("cdn.example", "CDS", dnssec=True))
    asked = [each for each in found.answer if each.rdtype == dns.rdatatype.CDS]
    if ring.stage in ("stable", "published"):
        assert not asked
        return
    new = next(each for each in keys(made)[0] if dns.dnssec.key_id(each) == Signer(wire.name("cdn.example"), NEW).tag)
    assert asked[0][0].to_text().lower() == dns.dnssec.make_ds(ZONE, new, "SHA256").to_text().lower()
    cdnskey = ask(made, query("cdn.example", "CDNSKEY", dnssec=True)).answer[0][0]
    assert (cdnskey.flags, cdnskey.protocol, cdnskey.algorithm, cdnskey.key) == (new.flags, new.protocol, new.algorithm, new.key)
    assert len(found.find_rrset(found.answer, ZONE, dns.rdataclass.IN, dns.rdatatype.RRSIG, covers=dns.rdatatype.CDS)) == 2
    nsec = ask(made, query("cdn.example", "MX", dnssec=True)).authority
    assert any(" CDS" in each.to_text() and "CDNSKEY" in each.to_text() for each in nsec)


def test_answers_do_not_grow_and_keys_fit_a_datagram_below_the_longest_zone() -> None:
    longest = ".".join(["a" * 59] * 3)[:178]
    settings = DnsSettings(zone=longest, listen=("192.0.2.1",))
    for ring in STAGES:
        made = answerer(settings, ring=ring)
        for kind in ("DNSKEY", "CDS", "CDNSKEY"):
            found = made.answer(query(longest, kind, dnssec=True).to_wire(), bytes(4), NOW_S)
            assert found is not None
            assert len(found) <= 1232
            assert not found[2] & 2, f"{kind} is cut off"
    sizes = {
        tuple(len(answerer(ring=ring).answer(query(name, kind, dnssec=True).to_wire(), bytes(4), NOW_S) or b"") for name, kind in ASKED[:3])
        for ring in STAGES
    }
    assert len(sizes) == 1


# --- steps ------------------------------------------------------------------------------------------------------------


def test_no_step_is_taken_too_early() -> None:
    with pytest.raises(NotNow, match="no rollover"):
        keyring.advanced(STABLE, NOW)
    with pytest.raises(NotNow, match="under way"):
        keyring.begun(PUBLISHED, NEW, NOW)
    with pytest.raises(NotNow, match="1 s more"):
        keyring.advanced(PUBLISHED, NOW + PUBLISH_S - 1)
    with pytest.raises(NotNow, match="no time"):
        keyring.advanced(PUBLISHED, NOW + PUBLISH_S, replaced=True)
    with pytest.raises(NotNow, match="needs the new DS"):
        keyring.advanced(READY, NOW + 10 * PUBLISH_S)
    with pytest.raises(NotNow, match="lasts"):
        keyring.advanced(REPLACED, REPLACED.since_s + 7200)
    for ring in (PUBLISHED, READY, REPLACED):  # however long ago it was written
        with pytest.raises(NotNow, match="dns-2 has not begun") as refused:
            keyring.advanced(ring, NOW + 10**6, late=("dns-2",), replaced=ring.stage == "ready")
        assert "nearcast dns reload" in refused.value.hint
        assert keyring.left_s(ring, NOW + 10**6, ("dns-2",)) == ring.wait_s
        assert "nearcast dns reload" in keyring.advice(ring, NOW + 10**6, ("dns-1", "dns-2"))
    assert keyring.advanced(READY, NOW + PUBLISH_S, replaced=True, ds_ttl_s=1).wait_s >= 3600 + keyring.COPY_S  # what is in caches
    assert Ring(NEW) == DONE


def test_it_can_be_taken_back_until_the_parent_knows() -> None:
    assert keyring.cancelled(PUBLISHED) == keyring.cancelled(READY) == STABLE
    for ring in (STABLE, REPLACED):
        with pytest.raises(NotNow):
            keyring.cancelled(ring)


def test_stages_are_told_apart_and_their_times_are_not() -> None:
    assert len({keyring.fingerprint(each) for each in STAGES}) == len(STAGES)
    assert keyring.fingerprint(PUBLISHED) != keyring.fingerprint(PUBLISHED._replace(following=keyring.fresh(STABLE)))
    assert keyring.fingerprint(PUBLISHED) == keyring.fingerprint(PUBLISHED._replace(since_s=1, wait_s=2))


@pytest.mark.parametrize("ring", STAGES)
def test_there_is_advice_in_each_stage(ring: Ring) -> None:
    assert keyring.advice(ring, ring.since_s)
    assert ("--ds-replaced" in keyring.advice(ring, ring.since_s + 10**6)) == (ring.stage == "ready")


# --- the file ---------------------------------------------------------------------------------------------------------


def same(one: ec.EllipticCurvePrivateKey | None, other: ec.EllipticCurvePrivateKey | None) -> bool:
    return (one and one.private_numbers()) == (other and other.private_numbers())


@pytest.mark.parametrize("ring", STAGES)
def test_what_is_kept_is_read_back(tmp_path: Path, ring: Ring) -> None:
    path = tmp_path / "dns.pem"
    keyring.make(path)
    keyring.save(path, ring)
    found = keyring.load(path)
    assert found[2:] == ring[2:]
    assert same(found.key, ring.key)
    assert same(found.following, ring.following)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["dns.pem"]
    # Whoever reads PEM finds the key that is trusted first.
    first = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(first, ec.EllipticCurvePrivateKey)
    assert same(first, ring.key)


SAVING = """
import sys, pathlib
from nearcast.steering.dns import keyring
path = pathlib.Path(sys.argv[1])
print("ready", flush=True)
found = keyring.load(path)
ring = found if found.stage == "stable" else keyring.cancelled(found)
while True:
    begun = keyring.begun(ring, keyring.fresh(ring), 1)
    keyring.save(path, begun)
    keyring.save(path, keyring.cancelled(begun))
"""


def test_killed_at_any_moment_it_is_in_one_stage_or_the_other(tmp_path: Path) -> None:
    path = tmp_path / "dns.pem"
    keyring.make(path)
    for _ in range(3):
        saving = subprocess.Popen([sys.executable, "-c", SAVING, str(path)], stdout=subprocess.PIPE)
        assert saving.stdout is not None
        assert saving.stdout.readline() == b"ready\n"
        inode = path.stat().st_ino
        while path.stat().st_ino == inode:
            assert saving.poll() is None
        saving.kill()
        saving.wait()
        saving.stdout.close()
        assert keyring.load(path).stage in ("stable", "published")
    assert len(list(tmp_path.iterdir())) <= 2  # and one that was being written


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "dns.pem"
    assert keyring.make(path)
    first = path.read_bytes()
    assert not keyring.make(path)
    assert path.read_bytes() == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert keyring.load(path).stage == "stable"
    assert os.listdir(tmp_path) == ["dns.pem"]


def test_a_key_that_openssl_made_is_taken(tmp_path: Path) -> None:
    """By default it writes the curve's parameters as a block of their own before the key."""
    path = tmp_path / "dns.pem"
    path.touch(mode=0o600)
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-out", path], check=True)
    assert path.read_bytes().startswith(b"-----BEGIN EC PARAMETERS-----")
    found = keyring.load(path)
    assert found.stage == "stable"
    keyring.save(path, keyring.begun(found, NEW, NOW))
    assert same(keyring.load(path).key, found.key)


def test_keys_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "dns.pem"

    def refused(content: bytes, why: str) -> None:
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(BadKey, match=why):
            keyring.load(path)

    with pytest.raises(BadKey, match="No such file"):
        keyring.load(path)
    refused(b"-----BEGIN", "0 keys")
    refused(b"-----BEGIN X-----\n-----END X-----\n", "0 keys")
    refused(b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", "cannot|can't|not a key|deserialize|PEM")
    other = ec.generate_private_key(ec.SECP384R1())
    pem = other.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    refused(pem, "P-256")
    whole = keyring.packed(READY)
    refused(whole[whole.index(b"-----") :], "no stage")
    refused(whole.replace(b"ready", b"stable"), "unknown stage")
    refused(whole.replace(b"ready", b"odd"), "unknown stage")
    refused(whole[: whole.rindex(b"-----BEGIN")], "1 keys")
    path.unlink()
    keyring.make(path)
    path.chmod(0o644)
    with pytest.raises(BadKey, match="read by others"):
        keyring.load(path)


def test_a_new_key_has_a_tag_of_its_own() -> None:
    assert Signer(b"\0", keyring.fresh(STABLE)).tag != Signer(b"\0", KEY).tag
    assert SETTINGS.zone == "cdn.example"
