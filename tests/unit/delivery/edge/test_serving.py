"""What the edge's real nginx answers, and that it alone decides."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from nearcast.delivery.edge import nginx
from nearcast.delivery.edge.logs import read_lines
from nearcast.delivery.edge.process import alive
from nearcast.model.fill import FillItem
from nearcast.model.rendition import BLOCK_BYTES
from nearcast.policy import capability

from ..making import ROOT, Edge, film, publish, running_edge, running_origin, until
from .serving import serving

HELD = film(3_000_000, seed=1)
ABSENT = film(2_500_000, seed=2)
PLAYLIST = b"#EXTM3U\n"


class Films:
    def __init__(self, edge: Edge, held: FillItem, absent: FillItem, playlist: FillItem) -> None:
        self.edge = edge
        self.held, self.absent, self.playlist = held.file, absent.file, playlist.file


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def films(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Films]:
    """One edge for the whole file; each test asks it something."""
    async with running_edge(tmp_path_factory.mktemp("an edge")) as edge:
        store = edge.origin.store
        held, absent = await publish(store, HELD), await publish(store, ABSENT)
        playlist = await publish(store, PLAYLIST, extension="m3u8")
        await edge.hold(held, playlist)
        yield Films(edge, held, absent, playlist)


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_held_file_whole_and_in_ranges(films: Films) -> None:
    edge, path = films.edge, films.edge.path(films.held.name)
    whole = await edge.get(path)
    assert (whole.status_code, whole.content) == (200, HELD)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert whole.headers["etag"] == f'"{films.held.root}"'
    assert whole.headers["access-control-allow-origin"] == "*"
    assert "Content-Range" in whole.headers["access-control-expose-headers"]
    assert whole.headers["timing-allow-origin"] == "*"
    assert "last-modified" not in whole.headers
    part = await edge.get(path, Range="bytes=1000000-1999999")
    assert (part.status_code, part.content) == (206, HELD[1_000_000:2_000_000])
    assert part.headers["content-range"] == "bytes 1000000-1999999/3000000"
    assert (await edge.get(path, Range="bytes=-5")).content == HELD[-5:]
    assert (await edge.get(path, Range="bytes=2999990-")).content == HELD[-10:]
    assert not any(name == f"/titles/t_film/{films.held.name}" and span for name, span in edge.origin.asked)


async def test_types(films: Films) -> None:
    answer = await films.edge.get(films.edge.path(films.playlist.name))
    assert answer.headers["content-type"] == "application/vnd.apple.mpegurl"
    assert answer.content == PLAYLIST


async def test_an_absent_file_comes_from_the_parent_once(films: Films) -> None:
    edge, path = films.edge, films.edge.path(films.absent.name)
    before = len(edge.origin.asked)
    part = await edge.get(path, Range="bytes=1048000-1049000")
    assert (part.status_code, part.content) == (206, ABSENT[1_048_000:1_049_001])
    assert part.headers["content-range"] == "bytes 1048000-1049000/2500000"
    assert part.headers["etag"] == f'"{films.absent.root}"'
    assert part.headers.get_list("cache-control") == ["public, max-age=31536000, immutable"]
    assert part.headers["content-type"] == "video/mp4"
    assert [span for _, span in edge.origin.asked[before:]] == ["bytes=0-1048575", "bytes=1048576-2097151"]
    assert (await edge.get(path)).content == ABSENT
    assert (await edge.get(path)).content == ABSENT
    assert len(edge.origin.asked) == before + 3, "each slice was fetched once"


async def test_fifty_clients_wait_for_one_fetch(films: Films) -> None:
    edge = films.edge
    data = film(900_000, seed=50)
    crowd = await publish(edge.origin.store, data)
    edge.origin.delay_s = 0.3
    before = len(edge.origin.asked)
    answers = await asyncio.gather(*(edge.get(edge.path(crowd.file.name), Range="bytes=5-800000") for _ in range(50)))
    edge.origin.delay_s = 0.0
    assert all(each.content == data[5:800_001] for each in answers)
    assert len(edge.origin.asked) == before + 1


@pytest.mark.parametrize("which", ["held", "absent"])
async def test_past_the_end_is_416(films: Films, which: str) -> None:
    file = films.held if which == "held" else films.absent
    for start in (file.size_bytes, file.size_bytes + 1, file.size_bytes + 5_000_000):
        answer = await films.edge.get(films.edge.path(file.name), Range=f"bytes={start}-")
        assert answer.status_code == 416
        assert answer.headers["content-range"] == f"bytes */{file.size_bytes}"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers.get_list("cache-control") == ["public, max-age=31536000, immutable"], "it will never be longer"


@pytest.mark.parametrize("which", ["held", "absent"])
async def test_if_range_and_if_none_match(films: Films, which: str) -> None:
    file = films.held if which == "held" else films.absent
    path, tag = films.edge.path(file.name), f'"{file.root}"'
    assert (await films.edge.get(path, Range="bytes=0-9", If_Range=tag)).status_code == 206
    changed = await films.edge.get(path, Range="bytes=0-9", If_Range='"other"')
    assert (changed.status_code, len(changed.content)) == (200, file.size_bytes)
    assert (await films.edge.get(path, If_None_Match=tag)).status_code == 304


@pytest.mark.parametrize("which", ["held", "absent"])
async def test_head(films: Films, which: str) -> None:
    file = films.held if which == "held" else films.absent
    answer = await films.edge.client.head(films.edge.path(file.name))
    assert (answer.status_code, answer.headers["content-length"]) == (200, str(file.size_bytes))
    assert (await films.edge.client.head(films.edge.path(file.name), headers={"range": "bytes=0-9"})).headers["content-length"] == "10"


async def test_preflight(films: Films) -> None:
    asked = {"origin": "http://gateway", "access-control-request-method": "GET", "access-control-request-headers": "range,cmcd-session"}
    answer = await films.edge.client.options(films.edge.path(films.held.name), headers=asked)
    assert answer.status_code == 204
    assert answer.headers.get_list("access-control-allow-origin") == ["*"]
    allowed = {each.strip().lower() for each in answer.headers["access-control-allow-headers"].split(",")}
    assert {"range", "cmcd-object", "cmcd-request", "cmcd-session", "cmcd-status"} <= allowed
    assert answer.headers["access-control-max-age"] == "86400"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE"])
async def test_nothing_can_be_changed(films: Films, method: str) -> None:
    answer = await films.edge.client.request(method, films.edge.path(films.held.name))
    assert answer.status_code == 405


async def test_only_the_right_mac_opens(films: Films) -> None:
    edge, name = films.edge, films.held.name
    good = edge.path(name)
    _, _, mac, expires, title, _ = good.split("/")
    refused = {
        "another title": f"/v1/{mac}/{expires}/t_other/{name}",
        "a later expiry": f"/v1/{mac}/{int(expires) + 1}/{title}/{name}",
        "a leading zero": f"/v1/{mac}/0{expires}/{title}/{name}",
        "another appliance": edge.path(name, key=capability.edge_key(ROOT, "bom-1")),
        "expired": edge.path(name, ttl_s=-2),
        "none": f"/v1//{expires}/{title}/{name}",
        "short": f"/v1/{mac[:-1]}/{expires}/{title}/{name}",
        "no expiry": f"/v1/{mac}//{title}/{name}",
    }
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for index, letter in enumerate(mac):
        other = letters[(letters.index(letter) + 1) % 64]
        refused[f"letter {index}"] = f"/v1/{mac[:index]}{other}{mac[index + 1 :]}/{expires}/{title}/{name}"
    for why, path in refused.items():
        answer = await edge.get(path)
        assert answer.status_code == 403, why
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cache-control"] == "no-store"
    assert (await edge.get(good)).status_code == 200


def raw_status(edge: Edge, target: str) -> int:
    """The status for a request line that no library would send."""
    connection = http.client.HTTPConnection("127.0.0.1", edge.settings.port, timeout=60)
    connection.putrequest("GET", target, skip_host=True)
    connection.putheader("Host", "edge")
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


async def test_nothing_outside_can_be_reached(films: Films) -> None:
    edge = films.edge
    base = edge.path("")
    (edge.folder / "placed" / "secret.mp4").write_text("secret")
    names = [
        "../../../../conf/nginx.conf",
        "../conf/nginx.conf",
        "%2e%2e/%2e%2e/conf/nginx.conf",
        "..%2f..%2fconf%2fnginx.conf",
        "%2e%2e%2f%2e%2e%2fconf%2fnginx.conf",
        "..%5c..%5cconf%5cnginx.conf",
        "%252e%252e/conf/nginx.conf",
        "../secret.mp4",
        films.held.blocks_name,
        films.held.name + "%00.mp4",
        films.held.name + "/",
        films.held.root,
        films.held.root.upper() + ".mp4",
        "",
    ]
    for name in names:
        assert raw_status(edge, base + name) in (400, 403, 404), name
    for target in ("/", "/placed/", "/conf/nginx.conf", "/v1", "/v1/", "/healthz/../conf/nginx.conf", "//healthz/..", "/titles/x", "*"):
        assert raw_status(edge, target) in (400, 403, 404), target


async def test_health(films: Films) -> None:
    answer = await films.edge.get("/healthz")
    assert (answer.status_code, answer.text.strip()) == (200, "fra-1")
    assert answer.headers["cache-control"] == "no-store"


async def test_the_log_tells_cmcd_and_never_the_mac(films: Films) -> None:
    edge = films.edge
    path = edge.path(films.held.name)
    mac = path.split("/")[2]
    cmcd = "bl%3D4200%2Cbr%3D1200%2Csid%3D%22session-7%22"
    await edge.get(f"{path}?CMCD={cmcd}", Range="bytes=0-99", CMCD_Object="br=1200,d=4000")
    await edge.get(path, CMCD_Session='sid="session-8"', CMCD_Request='nor="..%2F' + mac + '%2F1%2Ft%2Fx.mp4"')
    await edge.get(f"{path}?CMCD=nor%3D%22{mac}%22,sid%3D%22session-9%22")
    await edge.get(path.replace(mac, mac[::-1]))
    log = edge.folder / "logs" / "access.log"
    await until(lambda: "session-9" in log.read_text())
    text = log.read_text()
    assert mac not in text
    assert mac[::-1] not in text
    lines = [each for each in read_lines(text.encode())[0] if each.door != "parent"]
    mine = next(each for each in lines if each.session == "session-7")
    assert mine.cmcd == cmcd
    assert mine.cmcd_object == "br=1200,d=4000"
    assert (mine.title, mine.file, mine.range) == ("t_film", films.held.name, "bytes=0-99")
    assert (mine.status, mine.bytes, mine.cache, mine.protocol, mine.method) == (206, 100, "", "HTTP/1.1", "GET")
    assert next(each for each in lines if each.session == "session-8").cmcd_request == ""
    assert any(each.cache == "MISS" for each in lines)


async def test_secrets_are_for_the_owner_only(films: Films) -> None:
    folder = films.edge.folder
    assert (folder / "conf" / "nginx.conf").stat().st_mode & 0o077 == 0
    assert (folder / "logs" / "access.log").stat().st_mode & 0o077 == 0


async def test_only_right_answers_of_the_parent_are_kept(films: Films) -> None:
    edge = films.edge
    data = film(100_000, seed=9)
    file = (await publish(edge.origin.store, data)).file
    tag, length = f'"{file.root}"', str(len(data))
    whole = {"content-range": f"bytes 0-{len(data) - 1}/{len(data)}", "etag": tag, "content-length": length}
    refused: dict[str, tuple[int, dict[str, str], bytes]] = {
        "an error": (500, {"content-length": "4"}, b"oops"),
        "not found": (404, {}, b"no"),
        "denied": (401, {}, b"no"),
        "elsewhere": (302, {"location": "http://127.0.0.1:1/"}, b""),
    }
    for why, edge.origin.answer in refused.items():
        got = await edge.get(edge.path(file.name))
        assert got.status_code == (404 if why == "not found" else 502), why
        assert got.headers["cache-control"] == "no-store"
    edge.origin.answer = (206, {**whole, "content-range": f"bytes 5-{len(data) + 4}/{len(data) + 5}"}, data)
    with pytest.raises(httpx.RemoteProtocolError):  # nginx breaks off where another slice comes than the one it asked for
        await edge.get(edge.path(file.name))
    for edge.origin.answer in (
        (206, {**whole, "etag": '"' + "0" * 64 + '"'}, data),
        (200, {"content-length": length, "etag": tag}, b"x" * len(data)),
    ):
        await edge.get(edge.path(file.name))
    edge.origin.answer = None
    before = len(edge.origin.asked)
    assert (await edge.get(edge.path(file.name))).content == data
    assert len(edge.origin.asked) == before + 1, "nothing wrong had been kept"


async def test_a_wrong_slice_of_the_right_length_is_taken_away_and_its_answers_are_counted(films: Films) -> None:
    edge = films.edge
    data = film(2 * BLOCK_BYTES, seed=10)
    file = (await publish(edge.origin.store, data)).file
    wrong = bytes(BLOCK_BYTES)
    span = f"bytes {BLOCK_BYTES}-{2 * BLOCK_BYTES - 1}/{len(data)}"
    said = {"content-range": span, "etag": f'"{file.root}"', "content-length": str(BLOCK_BYTES)}
    edge.origin.answer = (206, said, wrong)
    second = f"bytes={BLOCK_BYTES}-"
    reactive = edge.agent.reactive
    before = reactive.wrong_total, reactive.exposures_total
    for _ in range(3):
        assert (await edge.get(edge.path(file.name), Range=second)).content == wrong, "nobody can know yet"
    edge.origin.answer = None
    await until(lambda: reactive.wrong_total == before[0] + 1, 5.0)
    assert reactive.exposures_total > before[1]
    assert (await edge.get(edge.path(file.name), Range=second)).content == data[BLOCK_BYTES:]
    assert (await edge.get(edge.path(file.name))).content == data
    await until(lambda: not reactive.unverified(1))
    assert reactive.wrong_total == before[0] + 1


async def test_a_slice_of_a_title_withdrawn_meanwhile_goes_and_is_not_called_wrong(films: Films) -> None:
    edge = films.edge
    file = (await publish(edge.origin.store, film(5000, seed=11))).file
    reactive = edge.agent.reactive
    before = reactive.wrong_total
    assert (await edge.get(edge.path(file.name))).status_code == 200
    for name in (file.name, file.blocks_name):
        await edge.origin.store.delete_async(f"titles/t_film/{name}")
    landing = edge.agent.server.window.landing

    def held() -> bool:
        return any(file.root.encode() in each.read_bytes() for each in landing.rglob("*") if each.is_file())

    assert held()
    await until(lambda: not held())
    assert reactive.wrong_total == before
    assert (await edge.get(edge.path(file.name))).status_code == 404


async def test_with_the_parent_dead_held_films_are_served_and_absent_ones_refused_at_once(films: Films) -> None:
    edge = films.edge
    file = (await publish(edge.origin.store, film(1000, seed=77))).file
    await edge.origin.stop()
    try:
        assert (await edge.get(edge.path(films.held.name))).content == HELD
        async with asyncio.timeout(20):
            answer = await edge.get(edge.path(file.name))
        assert answer.status_code == 502
        assert answer.headers["access-control-allow-origin"] == "*"
    finally:
        await edge.origin.start()
    assert (await edge.get(edge.path(file.name))).status_code == 200, "a parent that is back is asked at once"


async def test_films_go_on_with_the_agent_gone(films: Films) -> None:
    """Last in the file: afterwards the next agent takes nginx over."""
    edge = films.edge
    pid = edge.agent.server.nginx.pid
    await edge.agent.leave()
    assert (await edge.get(edge.path(films.held.name))).content == HELD
    assert (await edge.get(edge.path(films.held.name, ttl_s=-1))).status_code == 403
    assert (await edge.get(edge.path(films.absent.name))).content == ABSENT
    edge.agent = edge.make_agent()
    await edge.agent.start()
    assert edge.agent.server.nginx.adopted
    assert edge.agent.server.nginx.pid == pid
    assert alive(pid)
    assert (await edge.get(edge.path(films.held.name))).content == HELD


async def test_the_reactive_partition_stays_within_its_size(tmp_path: Path) -> None:
    """What is asked for thrice is written to a disk with room for 16 of 40 slices, and little of all else."""
    async with running_origin() as origin, serving(tmp_path, origin, reactive_bytes=16 * BLOCK_BYTES) as edge:
        data = film(40 * BLOCK_BYTES)
        file = (await publish(origin.store, data)).file
        slices = edge.folder / "cache" / "slices"

        def cached() -> list[int]:
            return [each.stat().st_size for each in slices.rglob("*") if each.is_file()]

        for count in range(1, 10):
            for index in range(40):
                start = index * BLOCK_BYTES
                answer = await edge.get(edge.path(file.name), Range=f"bytes={start}-{start + BLOCK_BYTES - 1}")
                assert (answer.status_code, answer.content) == (206, data[start : start + BLOCK_BYTES])
            await edge.read_log(count * 40)
            assert sum(cached()) < 17 * BLOCK_BYTES
        assert 8 * BLOCK_BYTES < edge.reactive.used_bytes <= 16 * BLOCK_BYTES
        assert edge.reactive.removed_bytes_total
        assert edge.reactive.written_bytes_total < 9 * 40 * BLOCK_BYTES / 4
        assert (edge.folder / "logs" / "error.log").read_text() == "", "which is nothing grave to nginx"


async def test_names_that_were_never_there_go_up_only_so_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nginx, "MISSES_RATE", 1)
    monkeypatch.setattr(nginx, "MISSES_BURST", 20)
    data = film(26 * BLOCK_BYTES, seed=3)
    async with running_origin() as origin, serving(tmp_path, origin) as edge:
        file, held = (await publish(origin.store, data)).file, await publish(origin.store, HELD)
        edge.place(held, HELD)
        assert (await edge.get(edge.path(file.name))).content == data, "many slices, asked for at once, count once"
        folder = edge.path("")
        found = [(await edge.get(f"{folder}{number:064x}.mp4")) for number in range(60)]
        assert {each.status_code for each in found} == {404, 429}
        assert found[-1].headers["cache-control"] == "no-store"
        assert 10 <= sum(f"{0:060x}" in name for name, _ in origin.asked) <= 40
        assert (await edge.get(folder + held.file.name)).content == HELD, "what is held is nobody's burden"
        assert (await edge.get(edge.path(file.name, ttl_s=900.0))).content == data, "nor are others with other paths"
        through = [await edge.client.get(f"/titles/t_film/{number:064x}.mp4", headers=edge.authority) for number in range(30)]
        assert {each.status_code for each in through} == {404}, "other appliances are not viewers"
