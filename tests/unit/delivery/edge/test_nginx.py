"""The text of nginx.conf, and that nginx takes it in all its forms."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from nearcast.delivery.edge import nginx
from nearcast.delivery.edge.nginx import Build, Machine, Parent
from nearcast.delivery.edge.parent import BadParent, read_parent, resolve
from nearcast.delivery.edge.process import Nginx, NginxRefused, build_of, find_program
from nearcast.delivery.settings import EdgeSettings

SETTINGS = EdgeSettings(id="fra-1", site="frankfurt", port=8101)
PARENT = Parent(host="origin.example", port=8100, addresses=("192.0.2.1", "2001:db8::1"))
MACHINE = Machine(build=Build(version=(1, 22, 1)), open_files_max=20_000)


def text(settings: EdgeSettings = SETTINGS, parent: Parent = PARENT, machine: Machine = MACHINE, folder: Path = Path("/edge")) -> str:
    return nginx.configuration(settings, folder, "k" * 64, "token", parent, machine)


def test_everything_is_filled_in() -> None:
    assert "<<" not in text()
    assert 'secure_link_md5 "' + "k" * 64 + " $expires $title " + "k" * 64 + '"' in text()
    assert "server 192.0.2.1:8100 max_fails=0;" in text()
    assert "server [2001:db8::1]:8100 max_fails=0;" in text()
    assert 'proxy_set_header Host "origin.example:8100";' in text()


def test_what_the_machine_allows() -> None:
    few = text(machine=replace(MACHINE, open_files_max=1024))
    connections = int(re.search(r"worker_connections (\d+)", few)[1])  # type: ignore[index]  # it is there
    assert 64 <= connections <= 1024 // 3
    assert "aio threads;" not in text(machine=replace(MACHINE, build=Build(version=(1, 22, 1), threads=False)))
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
    assert "upstream parent" not in alone
    assert "proxy_pass " not in alone


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
    path.write_text(text(replace(SETTINGS, listen=("127.0.0.1", "::1")), parent, replace(MACHINE, build=build), folder))
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
