"""Who stands behind a door, and what its configuration says of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nearcast.base.config import Unfitting
from nearcast.delivery.door import nginx
from nearcast.delivery.door.members import Member, Standing, following, standing
from nearcast.delivery.door.settings import DoorSettings
from nearcast.delivery.edge.nginx import Build, Parent
from nearcast.delivery.edge.process import Nginx, build_of, find_program
from nearcast.model.health import ApplianceHealth, HealthSnapshot

DOOR = DoorSettings(id="fra", site="frankfurt", port=8443, listen=("127.0.0.1", "::1"))
PLAIN = Parent(host="127.0.0.1", port=8101, addresses=("127.0.0.1",))
SECURE = Parent(host="fra-2.example", port=443, tls=True, ca="/etc/ssl/certs/ca-certificates.crt", addresses=("192.0.2.2", "2001:db8::2"))
BEHIND = (
    nginx.Behind(id="fra-1", address="http://127.0.0.1:8101", parent=PLAIN),
    nginx.Behind(id="fra-2", address="https://fra-2.example", parent=SECURE),
)
appliance = st.builds(
    ApplianceHealth,
    id=st.sampled_from("abcdef"),
    site=st.sampled_from(["frankfurt", "mumbai"]),
    address=st.just("http://127.0.0.1:1/"),
    state=st.sampled_from(["up", "draining", "down"]),
    load=st.sampled_from(["normal", "high", "full"]),
)


@given(st.lists(appliance, unique_by=lambda each: each.id))
def test_only_who_takes_new_clients_stands_there(found: list[ApplianceHealth]) -> None:
    stand = standing("frankfurt", found)
    chosen = {each.id for each in stand.here}
    by_id = {each.id: each for each in found}
    assert all(by_id[each].site == "frankfurt" for each in chosen)
    up = [each for each in found if each.site == "frankfurt" and each.state == "up"]
    serving = up or [each for each in found if each.site == "frankfurt" and each.state == "draining"]
    assert chosen <= {each.id for each in serving}
    assert bool(chosen) == bool(serving), "somebody is better than nobody"
    if any(each.load != "full" for each in up):
        assert all(by_id[each].load != "full" for each in chosen)
    assert {each.id for each in stand.known} == {each.id for each in found if each.site == "frankfurt"}
    assert stand == standing("frankfurt", reversed(found))


def test_members_that_are_named_are_out_while_nobody_reaches_them() -> None:
    never = HealthSnapshot(version=0, published_s=0.0, appliances=(), source="last-known")
    given = {"fra-1": "http://127.0.0.1:1/", "fra-2": "http://127.0.0.1:2"}
    both = following("frankfurt", never, None, given)
    assert [each.id for each in both.here] == ["fra-1", "fra-2"], "nobody has looked yet"
    one = following("frankfurt", never, both, given, {"fra-1": False, "fra-2": True})
    assert [each.id for each in one.here] == ["fra-2"]
    assert one.known == both.known
    assert following("frankfurt", never, one, given, {"fra-1": False, "fra-2": False}).here == ()
    assert following("frankfurt", never, one, given, {"fra-1": True, "fra-2": True}) == both


def test_without_a_view_of_today_they_stay_as_they_were() -> None:
    one = ApplianceHealth(id="fra-1", site="frankfurt", address="http://127.0.0.1:8101/")
    live = HealthSnapshot(version=1, published_s=0.0, appliances=(one,))
    old = replace(live, appliances=(), source="last-known")
    now = following("frankfurt", live, None, {})
    assert now == Standing((Member("fra-1", "http://127.0.0.1:8101"),))
    assert following("frankfurt", old, now, {"fra-9": "http://127.0.0.1:9"}) == now
    assert following("frankfurt", old, None, {"fra-9": "http://127.0.0.1:9/"}).here == (Member("fra-9", "http://127.0.0.1:9"),)
    assert following("frankfurt", replace(live, appliances=()), now, {}) == Standing()
    assert following("frankfurt", replace(live, appliances=(replace(one, state="down"),)), now, {}).here == ()


def _text(
    settings: DoorSettings = DOOR, behind: tuple[nginx.Behind, ...] = BEHIND, assets: Parent | None = PLAIN, folder: str = "/x"
) -> str:
    machine = nginx.Machine(build=Build(version=(1, 22, 1)), open_files_max=10_000)
    return nginx.configuration(settings, Path(folder), behind, assets, machine)


def test_every_place_of_the_template_is_filled() -> None:
    assert "<<" not in _text()
    assert "<<" not in _text(behind=(), assets=None)


def test_members_on_https_are_verified_by_their_own_names() -> None:
    text = _text()
    hop = text[text.index("upstream member-1 {") : text.index("upstream assets {")]
    assert "server 192.0.2.2:443 max_fails=0; server [2001:db8::2]:443 max_fails=0;" in hop
    assert 'proxy_ssl_name "fra-2.example";' in hop
    assert "proxy_ssl_verify on;" in hop
    assert "proxy_ssl" not in text[: text.index("upstream member-1 {")]


@pytest.mark.parametrize(("behind", "assets"), [(BEHIND, PLAIN), ((), None)])
def test_nginx_takes_what_is_written(tmp_path: Path, behind: tuple[nginx.Behind, ...], assets: Parent | None) -> None:
    if not Path(SECURE.ca).exists():
        pytest.skip("this machine has no certificates of public authorities")
    for name in ("conf", "logs", "run", "cache/assets", "cache/temporary"):
        (tmp_path / name).mkdir(parents=True)
    program = find_program()
    path = tmp_path / "conf" / "nginx.conf"
    path.write_text(_text(behind=behind, assets=assets, folder=str(tmp_path)))
    Nginx(program, tmp_path, build_of(program)).check(path)
    shutil.rmtree(tmp_path)


def test_settings_that_do_not_fit_are_told() -> None:
    with pytest.raises(Unfitting, match="no address"):
        DoorSettings(id="fra", site="frankfurt", port=1, listen=("door.example",))
    with pytest.raises(Unfitting, match="come together"):
        DoorSettings(id="fra", site="frankfurt", port=1, tls_key="/key.pem")
    with pytest.raises(Unfitting, match="no address with its port"):
        DoorSettings(id="fra", site="frankfurt", port=1, dns=("dns.example:53",))


def test_the_module_for_dns_is_found_or_told_to_be_missing(tmp_path: Path) -> None:
    assert nginx.read_stream("configure arguments: --with-stream --modules-path=/x", "") == ""
    with pytest.raises(nginx.StreamMissing):
        nginx.read_stream(f"--modules-path={tmp_path} --with-stream=dynamic", "")
    (tmp_path / "ngx_stream_module.so").touch()
    assert nginx.read_stream(f"--modules-path={tmp_path} --with-stream=dynamic", "") == f"{tmp_path}/ngx_stream_module.so"
    with pytest.raises(nginx.StreamMissing):
        nginx.read_stream("--with-stream", "/nowhere.so")
