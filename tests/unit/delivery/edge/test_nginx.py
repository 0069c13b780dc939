"""The text of nginx.conf, and that nginx takes it in all its forms."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from nearcast.delivery.edge import nginx
from nearcast.delivery.edge.keys import EdgeKeys, MacKey
from nearcast.delivery.edge.load import SHARES
from nearcast.delivery.edge.nginx import Build, Content, Machine, Parent, Secrets
from nearcast.delivery.edge.parent import BadParent, read_parent, resolve
from nearcast.delivery.edge.process import Nginx, NginxRefused, build_of, find_program
from nearcast.delivery.settings import EdgeSettings

SETTINGS = EdgeSettings(id="fra-1", site="frankfurt", port=8101)
PARENT = Parent(host="origin.example", port=8100, token="token", addresses=("192.0.2.1", "2001:db8::1"))
TIER = Parent(id="lon-1", host="lon.example", port=443, token="other", addresses=("192.0.2.9",))
MACHINE = Machine(
    build=Build(version=(1, 22, 1)),
    open_files_max=20_000,
    landing="/dev/shm/x/landing",
    landing_bytes=1 << 28,
    admitted="/dev/shm/x/admitted",
)
KEYS = EdgeKeys(current=MacKey(0, "k" * 64))
CONTENT = Content(secrets=Secrets(keys=KEYS, fill_token="f" * 64), origin=PARENT)


def text(
    settings: EdgeSettings = SETTINGS,
    parent: Parent = PARENT,
    machine: Machine = MACHINE,
    folder: Path = Path("/edge"),
    keys: EdgeKeys = KEYS,
    tiers: tuple[Parent, ...] = (),
) -> str:
    content = replace(CONTENT, origin=parent, tiers=tiers, secrets=replace(CONTENT.secrets, keys=keys))
    return nginx.configuration(settings, folder, content, machine)


def test_everything_is_filled_in() -> None:
    assert "<<" not in text()
    assert "<<" not in text(replace(SETTINGS, cat_keys="/keys.json"), tiers=(TIER,))
    assert f'"" "{"k" * 64}";' in text()
    assert f'"Bearer {"f" * 64}" "1";' in text()
    assert "server 192.0.2.1:8100 max_fails=0;" in text()
    assert "server [2001:db8::1]:8100 max_fails=0;" in text()
    assert 'proxy_set_header Host "origin.example:8100";' in text()


def test_what_the_machine_allows() -> None:
    few = text(machine=replace(MACHINE, open_files_max=1024))
    connections = int(re.search(r"worker_connections (\d+)", few)[1])  # type: ignore[index]  # it is there
    assert 128 <= connections <= 2 * 1024 // 4
    assert "aio threads;" not in text()
    assert "aio threads;" in text(machine=replace(MACHINE, threads=True))
    assert "aio threads;" not in text(machine=replace(MACHINE, threads=True, build=Build(version=(1, 22, 1), threads=False)))
    assert "keepalive_min_timeout" not in text()
    assert "keepalive_min_timeout" in text(machine=replace(MACHINE, build=Build(version=(1, 27, 4))))
    assert "\nuser " not in text()
    assert "\nuser www www;" in text(machine=replace(MACHINE, worker_user="www www"))


def test_a_parent_that_wants_a_certificate_is_shown_one() -> None:
    own = replace(PARENT, tls=True, ca="/ca.pem", certificate="/own.pem", key="/own.key", name="host.nearcast")
    shown = text(parent=own)
    for line in (
        'proxy_ssl_name "host.nearcast";',
        "proxy_ssl_verify on;",
        'proxy_ssl_trusted_certificate "/ca.pem";',
        'proxy_ssl_certificate "/own.pem";',
        'proxy_ssl_certificate_key "/own.key";',
    ):
        assert line in shown
    assert 'proxy_ssl_name "origin.example";' in text(parent=replace(PARENT, tls=True, ca="/ca.pem"))
    assert "proxy_ssl_certificate " not in text(parent=replace(PARENT, tls=True, ca="/ca.pem"))
    assert "proxy_ssl" not in text()


def test_http2_is_spelt_as_the_version_wants_it() -> None:
    secure = replace(SETTINGS, tls_certificate="/c.pem", tls_key="/k.pem", listen=("::", "0.0.0.0"))
    old, new = text(secure), text(secure, machine=replace(MACHINE, build=Build(version=(1, 26, 0))))
    assert "listen [::]:8101 backlog=4096 ssl http2;" in old
    assert "http2 on;" not in old
    assert "listen [::]:8101 backlog=4096 ssl;" in new
    assert "http2 on;" in new


def test_without_a_parent_absent_files_are_refused() -> None:
    alone = text(parent=replace(PARENT, addresses=()))
    assert "upstream origin" not in alone
    assert "return 502;" in alone


def test_paths_name_the_generations_that_are_taken() -> None:
    second = KEYS.rotated(1, "l" * 64)
    for keys, good, bad in (
        (KEYS, ["/v1/"], ["/v1k0/", "/v1k1/"]),
        (second, ["/v1/", "/v1k1/"], ["/v1k0/", "/v1k2/"]),
        (second.rotated(2, "m" * 64), ["/v1k1/", "/v1k2/"], ["/v1/", "/v1k12/"]),
    ):
        pattern = re.search(r'location ~ "(\^/v1[^"]*)"', text(keys=keys))[1].replace("(?<", "(?P<")  # type: ignore[index]  # it is there
        rest = f"{'A' * 22}/1900000000/t_film/{'0' * 64}.mp4"
        assert all(re.match(pattern, each + rest) for each in good)
        assert not any(re.match(pattern, each + rest) for each in bad)
        assert all(f'"{each.generation or ""}" "{each.key}";' in text(keys=keys) for each in keys.all)


def test_tiers_come_in_their_order_and_the_origin_last() -> None:
    several = text(tiers=(TIER, replace(TIER, id="lon-2", door="held")))
    asked = re.search(r"upstream parents \{(.*?)\}", several, re.DOTALL)[1]  # type: ignore[index]  # it is there
    assert [re.findall(r"run/(\S+)\.sock(?: weight=(\d+)| (backup))?", asked)] == [
        [("parent-0", "1000", ""), ("parent-1", "1", ""), ("origin", "", "backup")]
    ]
    assert "proxy_pass http://parent-0/titles/$title/$file;" in several
    assert "proxy_pass http://parent-1/held/$title/$file;" in several
    assert 'proxy_set_header Authorization "Bearer other";' in several


def test_what_is_told_by_the_name_of_a_folder() -> None:
    assert nginx.notice(7, 3, True, "etp=5;mb=4;du") == "7,abc,last,etp=5;mb=4;du"
    assert nginx.notice(1, 0, False, "") == "1,,,"
    assert len(nginx.LETTERS) == SHARES


def test_threads_read_where_memory_cannot_hold_what_is_placed() -> None:
    assert not nginx.reads_block(4 << 30, 16 << 30, before=False)
    assert nginx.reads_block(9 << 30, 16 << 30, before=False)
    assert nginx.reads_block(7 << 30, 16 << 30, before=True)
    assert not nginx.reads_block(6 << 30, 16 << 30, before=True)


def test_the_early_log_only_where_nginx_knows_it() -> None:
    assert "-e" in nginx.command("nginx", Path("/edge"), Build(version=(1, 22, 1)))
    assert "-e" not in nginx.command("nginx", Path("/edge"), Build(version=(1, 18, 0)))


@pytest.mark.parametrize(
    "parent",
    [
        PARENT,
        replace(PARENT, addresses=()),
        replace(PARENT, tls=True, ca="/etc/ssl/certs/ca-certificates.crt"),
        replace(PARENT, path="/below"),
    ],
)
def test_nginx_takes_it(tmp_path: Path, parent: Parent) -> None:
    if parent.tls and not Path(parent.ca).exists():
        pytest.skip("this machine has no list of authorities")
    folder = tmp_path / "an edge – with ünusual letters"
    for each in nginx.folders(folder):
        each.mkdir(parents=True)
    program = find_program()
    build = build_of(program)
    path = folder / "conf" / "nginx.conf"
    machine = replace(MACHINE, build=build, landing=str(folder / "landing"), admitted=str(folder / "admitted"), threads=True)
    settings = replace(SETTINGS, listen=("127.0.0.1", "::1"), cat_keys="/keys.json")
    path.write_text(text(settings, parent, machine, folder, KEYS.rotated(3, "m" * 64), (TIER, replace(TIER, addresses=()))))
    Nginx(program, folder, build).check(path)
    path.write_text(path.read_text().replace("sendfile on;", "sendfile maybe;"))
    with pytest.raises(NginxRefused, match="sendfile"):
        Nginx(program, folder, build).check(path)


def test_parents() -> None:
    assert read_parent("http://127.0.0.1:8100") == Parent(host="127.0.0.1", port=8100, ca="/etc/ssl/certs/ca-certificates.crt")
    found = read_parent("https://[2001:db8::1]/below/", "/ca.pem")
    assert (found.host, found.port, found.path, found.tls, found.ca) == ("2001:db8::1", 443, "/below", True, "/ca.pem")


@pytest.mark.parametrize(
    "url", ["", "ftp://a", "http://", "http://a b/", "http://a:99999", 'http://a/";', "http://u:p@a/", "http://a/?q", "http://a;b/", "a:1"]
)
def test_parents_that_are_none(url: str) -> None:
    with pytest.raises(BadParent):
        read_parent(url)


@pytest.mark.parametrize("url", ["http://192.0.2.7:8100", "http://origin.example:8100", "http://[2001:db8::1]:8100"])
def test_no_parent_is_told_the_secret_in_the_clear(url: str) -> None:
    with pytest.raises(BadParent, match="in the clear"):
        read_parent(url)
    assert read_parent(url.replace("http:", "https:")).tls


async def test_resolve() -> None:
    assert await resolve("192.0.2.7", 1) == ("192.0.2.7",)
    assert "127.0.0.1" in await resolve("localhost", 1)
    assert await resolve("no-such-host.invalid", 1) == ()
