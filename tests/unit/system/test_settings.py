"""The whole configuration: where it is found, what overrides it, and mistakes that only the whole can have."""

from __future__ import annotations

from pathlib import Path

import pytest

from nearcast.base.config import BadConfiguration, UnreadableConfiguration
from nearcast.base.paths import Home
from nearcast.policy.sight import KNOWN_S, witness_s
from nearcast.system import places, settings


def test_a_home_without_a_file_has_the_defaults(tmp_path: Path) -> None:
    assert settings.load(Home(tmp_path), {}) == settings.Settings()


def test_the_file_and_then_the_environment(tmp_path: Path) -> None:
    (tmp_path / "nearcast.toml").write_text("[network]\ngateway_port = 1234\nupload_port = 1235\n")
    found = settings.load(Home(tmp_path), {"NEARCAST_NETWORK__GATEWAY_PORT": "4321", "NEARCAST_HOME": str(tmp_path)})
    assert (found.network.gateway_port, found.network.upload_port) == (4321, 1235)


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UnreadableConfiguration):
        settings.load(Home(tmp_path), {"NEARCAST_CONFIG": str(tmp_path / "other.toml")})


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "nearcast.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnreadableConfiguration):
        settings.load(Home(tmp_path), {})


def test_what_is_no_file_is_not_taken_for_the_configuration(tmp_path: Path) -> None:
    for found in (Path("/dev/zero"), tmp_path):
        with pytest.raises(UnreadableConfiguration, match="is no file"):
            settings.load(Home(tmp_path), {"NEARCAST_CONFIG": str(found)})
        with pytest.raises(UnreadableConfiguration, match="is no file"):
            settings.planned(Home(tmp_path), found, {})


def test_another_file_would_be_in_force_with_the_same_environment(tmp_path: Path) -> None:
    home, other = Home(tmp_path), tmp_path / "other.toml"
    other.write_text("[network]\ngateway_port = 1234\nupload_port = 1235\n")
    environment = {"NEARCAST_NETWORK__GATEWAY_PORT": "4321", "NEARCAST_CONFIG": str(tmp_path / "named.toml")}
    found = settings.planned(home, other, environment)
    assert (found.network.gateway_port, found.network.upload_port) == (4321, 1235)
    for missing in (tmp_path / "missing.toml", home.config):
        with pytest.raises(UnreadableConfiguration, match="is not there"):
            settings.planned(home, missing, {})


@pytest.mark.parametrize(
    "text",
    [
        '[[appliances]]\nid="a"\nsite="x"\nport=1\n[[appliances]]\nid="a"\nsite="x"\nport=2\n',
        '[[appliances]]\nid="a"\nsite="x"\nport=1\n[[appliances]]\nid="b"\nsite="x"\nport=1\n',
        '[tls]\ncertificate="x.pem"\n',
    ],
)
def test_what_does_not_fit_together(tmp_path: Path, text: str) -> None:
    (tmp_path / "nearcast.toml").write_text(text)
    with pytest.raises(BadConfiguration):
        settings.load(Home(tmp_path), {})


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('[[appliances]]\nid="a"\nsite="x"\nport=8101\n[[appliances]]\nid="b"\nsite="x"\nport=8201\n', 1, "own page of a"),
        ('[[appliances]]\nid="a"\nsite="x"\nport=8000\n', 1, "the origin and the own page of a are both at port 8100"),
        ('[[appliances]]\nid="a"\nsite="x"\nport=8080\n', 4, "the gateway and a are both at port 8080"),
        ('[[appliances]]\nid="a"\nsite="x"\nport=8101\ncache_bytes_max=5\n', 5, "reactive_share"),
        ('[steering]\nroutes = []\n[[steering.sites]]\nname="a"\ntimezone="Mars/Olympus"\n', 5, "IANA"),
        ('[steering]\nroutes = []\n[[steering.sites]]\nname="a"\n[[steering.sites]]\nname="b"\nparents=["a"]\n', 7, "a is no exchange"),
        ('[steering]\nroutes = []\n[[steering.sites]]\nname="a"\nparents=["a"]\n', 5, "a is no exchange"),
        ('[steering]\nroutes = []\n[[steering.sites]]\nname="a"\ntier="exchange"\nparents=["a"]\n', 6, "from the origin alone"),
        (
            '[steering]\nroutes = []\n[[steering.sites]]\nname="north"\ntier="exchange"\n[[steering.sites]]\nname="b"\nparents=["nroth"]\n',
            8,
            "did you mean 'north'?",
        ),
    ],
)
def test_mistakes_are_told_where_they_stand(tmp_path: Path, text: str, line: int, said: str) -> None:
    (tmp_path / "nearcast.toml").write_text(text)
    with pytest.raises(BadConfiguration) as caught:
        settings.load(Home(tmp_path), {})
    (mistake,) = caught.value.mistakes
    assert mistake.line == line
    assert said in f"{mistake.text} {mistake.hint}"


APPLIANCE = '[[appliances]]\nid="{}"\nsite="{}"\nport={}\n'


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (APPLIANCE.format("a", "dallas", 1) + APPLIANCE.format("a", "dallas", 2), 6, "two appliances named a"),
        (APPLIANCE.format("a", "dalas", 8101), 3, "did you mean 'dallas'?"),
        (APPLIANCE.format("a", "mars", 8101), 3, "there are: frankfurt"),
        (APPLIANCE.format("a", "dallas", 8101) + APPLIANCE.format("b", "dallas", 8102) + 'folder="edges/a"\n', 9, "b and a would share"),
        (
            APPLIANCE.format("a", "dallas", 8101) + 'folder="/mnt/x"\n' + APPLIANCE.format("b", "dallas", 8102) + 'folder="/mnt/x/y"\n',
            10,
            "share",
        ),
        (APPLIANCE.format("a", "dallas", 8101) + "scrub_bps=inf\n", 5, "a number that there is, found inf"),
        (APPLIANCE.format("a", "dallas", 8101) + "scrub_bps=1e300\n", 5, "1e+300"),
        (APPLIANCE.format("a", "dallas", 8101) + "report_s=61\n", 5, "61"),
        (APPLIANCE.format("a", "dallas", 8101) + "report_s=nan\n", 5, "found nan"),
        (APPLIANCE.format("a", "dallas", 8101) + "report_s=0.71\n", 5, "0.7 at most where publish_s of [steering.health] is 0.25"),
        ("[steering.health]\npublish_s=0.5\n" + APPLIANCE.format("a", "dallas", 8101) + "report_s=0.7\n", 7, "0.6 at most"),
        ("[steering]\npoll_s=0.8\n", 2, "0.75 at most"),
        ("[steering]\npoll_s=0.0\n", 2, "poll_s"),
        ("[fill]\nappliance_max_bps=nan\n", 2, "found nan"),
        ("[fill]\nsite_max_bps=inf\n", 2, "found inf"),
        ("[fill]\nsite_max_bps=1e14\n", 2, "found 100000000000000.0"),
        ('[fill]\npeak="18:00-18:00"\n', 2, "no span of time"),
        ('[fill]\nwindow="2-14"\n', 2, "window"),
        ('[steering]\nroutes=[]\n[[steering.sites]]\nname="a"\ntimezone="posixrules"\n', 5, "no time zone of a place"),
        ('[steering]\nroutes=[]\n[[steering.sites]]\nname="a"\ntimezone="right/UTC"\n', 5, "no time zone of a place"),
        (APPLIANCE.format("a", "dallas", 8101) + 'folder="/"\n', 5, "holds more than"),
        (APPLIANCE.format("a", "dallas", 8101) + 'folder="."\n', 5, "holds more than"),
        (APPLIANCE.format("a", "dallas", 8101) + 'folder="edges"\n', 5, "holds more than"),
        (APPLIANCE.format("a", "dallas", 8101) + 'folder="edges/../secrets"\n', 5, "of the system itself"),
        (APPLIANCE.format("a", "dallas", 8101) + 'folder="origin/a"\n', 5, "of the system itself"),
        (APPLIANCE.format("a", "dallas", 8101) + 'folder="/etc/nginx"\n', 5, "of the machine"),
        (APPLIANCE.format("a", "dallas", 8101) + 'folder="/usr"\n', 5, "of the machine"),
        (APPLIANCE.format("a", "dallas", 8101) + 'folder="nearcast.toml/a"\n', 5, "below a file"),
    ],
)
def test_appliances_stand_where_they_can(tmp_path: Path, text: str, line: int, said: str) -> None:
    test_mistakes_are_told_where_they_stand(tmp_path, text, line, said)


def test_as_slowly_as_dead_edges_are_known_in_time_all_the_same(tmp_path: Path) -> None:
    text = "[steering]\npoll_s=0.75\n[steering.health]\npublish_s=0.25\n" + APPLIANCE.format("a", "dallas", 8101) + "report_s=0.7\n"
    (tmp_path / "nearcast.toml").write_text(text)
    whole = settings.load(Home(tmp_path), {})
    report_s = whole.appliances[0].report_s
    assert witness_s(report_s) + whole.steering.health.publish_s <= KNOWN_S
    assert all(witness_s(each) >= each + whole.steering.poll_s for each in (0.05, 0.5, report_s)), "none is too old before the next poll"


def test_a_link_to_another_appliances_folder_is_that_folder(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "edges").mkdir()
    (tmp_path / "edges" / "b").symlink_to(tmp_path / "disk")
    text = APPLIANCE.format("a", "dallas", 8101) + f'folder="{tmp_path}/disk"\n' + APPLIANCE.format("b", "dallas", 8102)
    test_mistakes_are_told_where_they_stand(tmp_path, text, 6, "b and a would share")


def test_a_host_that_has_joined_knows_no_sites(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "joined.json").write_text("{}")
    (tmp_path / "nearcast.toml").write_text(APPLIANCE.format("a", "mars", 8101))
    assert settings.load(Home(tmp_path), {}).appliances[0].site == "mars"


def test_own_pages_may_be_moved(tmp_path: Path) -> None:
    (tmp_path / "nearcast.toml").write_text('[[appliances]]\nid="a"\nsite="dallas"\nport=8000\nadmin_port=9000\n')
    assert settings.load(Home(tmp_path), {}).appliances[0].own_port == 9000


def test_the_digest_changes_with_any_value(tmp_path: Path) -> None:
    changed = settings.load(Home(tmp_path), {"NEARCAST_STEERING__POLL_S": "0.6"})
    assert settings.digest(changed) != settings.digest(settings.Settings())
    assert settings.digest(settings.Settings()) == settings.digest(settings.Settings())


def test_addresses_for_people(tmp_path: Path) -> None:
    assert places.gateway_url(settings.Settings()) == "http://127.0.0.1:8080"
    public = settings.load(Home(tmp_path), {"NEARCAST_NETWORK__PUBLIC_NAME": "films.example.org"})
    assert places.gateway_url(public) == "https://films.example.org:8080"
    assert places.upload_url(public) == "https://films.example.org:8090"
    everywhere = settings.load(Home(tmp_path), {"NEARCAST_NETWORK__HOST": "::"})
    assert places.gateway_url(everywhere) == "http://[::1]:8080"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", 0),
        ('[network]\nhost = "127.0.0.9"\n', 0),
        ('[network]\nhost = "::1"\n', 0),
        ('[network]\nhost = "0.0.0.0"\n', 1),
        ('[network]\nhost = "films.example.org"\n', 1),
        ('[network]\nhost = "0.0.0.0"\nplain = true\n', 0),
        ('[network]\nhost = "0.0.0.0"\npublic_name = "films.example.org"\n', 0),
        ('[network]\nhost = "0.0.0.0"\n[tls]\ncertificate = "a.pem"\nkey = "a.key"\n', 0),
        ('[[appliances]]\nid = "a"\nsite = "dallas"\nport = 1\nlisten = ["127.0.0.1", "::"]\n', 1),
        ('[[appliances]]\nid = "a"\nsite = "dallas"\nport = 1\nlisten = ["::"]\ntls_certificate = "a"\ntls_key = "b"\n', 0),
    ],
)
def test_what_would_speak_plain_http_to_others(tmp_path: Path, text: str, found: int) -> None:
    (tmp_path / "nearcast.toml").write_text(text)
    assert len(places.unprotected(settings.load(Home(tmp_path), {}))) == found


def test_where_the_origin_is(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert places.origin_url(settings.Settings()) == "http://127.0.0.1:8100"
    for variable, value, url in (
        ("INTERNAL_HOST", "10.0.0.5", "https://10.0.0.5:8100"),
        ("INTERNAL_HOST", "0.0.0.0", "https://127.0.0.1:8100"),
        ("ORIGIN_URL", "https://10.0.0.6:8100", "https://10.0.0.6:8100"),
    ):
        assert places.origin_url(settings.load(home, {f"NEARCAST_NETWORK__{variable}": value})) == url


def test_processes_are_the_table_and_the_appliances() -> None:
    names = list(places.processes(settings.Settings()))
    bulkheads = ["browse", "play", "record", "fleet", "steer", "origin", "gateway"]
    assert names == [*bulkheads, "edge-fra-1", "edge-bom-1", "edge-sin-1", "edge-dal-1"]
    assert places.bulkhead_of("history") == "record"


def test_what_a_start_was_told_holds_for_later_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    home.make()
    monkeypatch.delenv("NEARCAST_NETWORK__PUBLIC_NAME", raising=False)
    settings.remember(home, {"NEARCAST_NETWORK__PUBLIC_NAME": "films.example.org"})
    assert settings.load(home).network.public_name == "films.example.org"
    assert settings.load(home, {}).network.public_name == ""
    monkeypatch.setenv("NEARCAST_NETWORK__PUBLIC_NAME", "other.example.org")
    assert settings.load(home).network.public_name == "other.example.org"


def test_a_public_name_opens_every_address(tmp_path: Path) -> None:
    home = Home(tmp_path)
    public = settings.load(home, {"NEARCAST_NETWORK__PUBLIC_NAME": "films.example.org"})
    chosen = settings.load(home, {"NEARCAST_NETWORK__PUBLIC_NAME": "films.example.org", "NEARCAST_NETWORK__HOST": "192.0.2.1"})
    assert places.listen_host(settings.Settings()) == "127.0.0.1"
    assert places.listen_host(public) == "0.0.0.0"
    assert places.listen_host(chosen) == "192.0.2.1"
    assert places.edge_listen(public, public.appliances[0]) == ("0.0.0.0",)
