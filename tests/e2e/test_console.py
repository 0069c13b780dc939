"""The console: a film is uploaded in the page, watched on its way, corrected, played and withdrawn again; edges and people are shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e import browsers, films
from tests.e2e.harness import PATIENCE_S, System, wait_for

NAME = "From the page"


@pytest.fixture
def page(browser: Browser, system: System) -> Iterator[Page]:
    with browsers.page_in(browser) as found:
        browsers.sign_in(found, system.link())
        found.goto(f"{system.url}/#/admin/add")
        found.get_by_test_id("admin-page").wait_for()
        yield found


def upload(page: Page, path: Path, name: str = "") -> None:
    page.get_by_test_id("admin-upload").set_input_files(path)
    if name:
        page.get_by_test_id("meta-name").fill(name)
    page.get_by_test_id("ingest-submit").click()


def job_card(page: Page, name: str) -> str:
    return f'[data-testid="ingest-job"][aria-label="{name}"]'


def test_a_film_is_uploaded_made_and_watched(page: Page, system: System, tmp_path: Path) -> None:
    record = browsers.recorded(page)
    path = films.long_film(tmp_path, duration_s=40).rename(tmp_path / "from_the_page.mp4")
    page.get_by_test_id("admin-upload").set_input_files(path)
    expect(page.get_by_test_id("meta-name")).to_have_value(NAME)
    page.get_by_test_id("meta-genres").fill("Test, Pattern")
    page.get_by_test_id("ingest-submit").click()
    card = page.locator(job_card(page, NAME))
    card.wait_for()
    shares = set()

    def ended() -> bool:
        for bar in card.locator("[role=progressbar]").all():
            shares.add((bar.get_attribute("aria-label", timeout=1000), bar.get_attribute("aria-valuenow", timeout=1000)))
        return card.get_attribute("data-state") in ("done", "failed")

    wait_for("the job to end", lambda: _patiently(ended), timeout_s=240)
    assert card.get_attribute("data-state") == "done", card.inner_text()
    assert len({value for _, value in shares}) >= 3, f"progress was shown live: {shares}"
    assert any(label and label.startswith("Encode") for label, _ in shares), shares
    sent = [each for each in record.answers.values() if each.status in (200, 201, 204) and each.port == system.upload_port]
    assert sent, "the film went straight to the fleet"

    card.get_by_test_id("job-watch").click()
    page.get_by_test_id("title-page").wait_for()
    browsers.press_play(page)
    browsers.wait_playing(page)


def _patiently(ask: object) -> bool:
    """Bars come and go between two looks."""
    from playwright.sync_api import Error

    assert callable(ask)
    try:
        return bool(ask())
    except Error:
        return False


def test_an_uploaded_file_that_is_no_film_says_why(page: Page, system: System, tmp_path: Path) -> None:
    path = tmp_path / "poem.mp4"
    path.write_text("Roses are red\n" * 50)
    upload(page, path, "Poem")
    card = page.locator(job_card(page, "Poem"))
    card.get_by_test_id("ingest-error").wait_for()
    assert card.get_by_test_id("error-code").inner_text().startswith("NC1")
    assert "Poem" not in {each["metadata"]["name"] for each in system.titles() if each["state"] in ("playable", "complete")}


def test_an_upload_goes_on_after_the_connection_was_lost(system: System, tmp_path: Path) -> None:
    """tus 1.0, as any client speaks it: half the film, a look at how much is there, the rest."""
    content = films.generated(tmp_path / "half.mp4", size="426x240", duration_s=2).read_bytes()
    with system.client() as client, httpx.Client(timeout=PATIENCE_S) as plain:
        question = {"file_name": "half.mp4", "size_bytes": len(content), "metadata": {"name": "Two halves"}}
        answer = client.post("/api/v1/ingest", json=question).raise_for_status().json()
        assert httpx.URL(answer["upload_url"]).port == system.upload_port
        headers = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
        half = len(content) // 2
        first = plain.patch(answer["upload_url"], headers={**headers, "Upload-Offset": "0"}, content=content[:half])
        assert first.status_code == 204
        wrong = plain.patch(answer["upload_url"], headers={**headers, "Upload-Offset": "0"}, content=content[:half])
        assert wrong.status_code == 409, "an offset that is not the next one is refused"
        head = plain.head(answer["upload_url"], headers={"Tus-Resumable": "1.0.0"})
        assert int(head.headers["upload-offset"]) == half
        last = plain.patch(answer["upload_url"], headers={**headers, "Upload-Offset": str(half)}, content=content[half:])
        assert last.status_code == 204
        path = f"/api/v1/ingest/{answer['job']['id']}"
        job = wait_for("the job", lambda: (found := client.get(path).json())["state"] in ("done", "failed") and found)
        assert job["state"] == "done", job


def test_an_upload_address_cannot_be_forged(system: System) -> None:
    with system.client() as client:
        question = {"file_name": "x.mp4", "size_bytes": 1000, "metadata": {"name": "Never sent"}}
        answer = client.post("/api/v1/ingest", json=question).raise_for_status().json()
        url = answer["upload_url"]
        look = partial(httpx.head, headers={"Tus-Resumable": "1.0.0"}, timeout=PATIENCE_S)
        forged = look(url[:-6] + ("AAAAAA" if not url.endswith("AAAAAA") else "BBBBBB"))
        assert forged.status_code in (401, 403, 404)
        client.delete(f"/api/v1/ingest/{answer['job']['id']}").raise_for_status()
        assert look(url).status_code in (401, 403, 404, 410), "cancelled"


def test_a_title_is_edited_and_withdrawn(page: Page, system: System, tmp_path: Path) -> None:
    title = system.ingest(films.generated(tmp_path / "gone.mp4", size="426x240", duration_s=2), "To be withdrawn")
    page.goto(f"{system.url}/#/admin/films")
    line = page.locator(f'[data-testid="admin-title"][data-title-id="{title["id"]}"]')
    line.get_by_test_id("admin-edit").click()
    page.get_by_test_id("meta-name").fill("Soon gone")
    page.get_by_test_id("metadata-save").click()
    expect(line).to_contain_text("Soon gone")
    page.once("dialog", lambda dialog: dialog.accept())
    line.get_by_test_id("admin-unpublish").click()
    expect(line).to_contain_text("Unpublished")
    with system.client() as client:
        assert client.post("/api/v1/play", json={"title_id": title["id"], "device": {"id": "d"}}).status_code in (404, 409)
        assert title["id"] not in {each["id"] for each in client.get("/api/v1/titles").json()["titles"]}


def test_edges_and_people_are_shown(page: Page, system: System) -> None:
    page.goto(f"{system.url}/#/admin/edges")
    expect(page.get_by_test_id("admin-edge")).to_have_count(len(system.edge_ports))
    page.goto(f"{system.url}/#/admin/people")
    page.get_by_test_id("admin-account").first.wait_for()


def test_an_address_is_explained(page: Page, system: System) -> None:
    page.goto(f"{system.url}/#/admin/routes")
    page.get_by_test_id("explain-address").fill("203.0.113.7")
    page.get_by_test_id("explain-ask").click()
    answer = page.get_by_test_id("explain-answer")
    expect(answer).to_contain_text("203.0.113.7 goes to dal-1 in dallas by the route 203.0.113.0/24")
    expect(answer.get_by_test_id("explain-considered")).to_have_count(len(system.edge_ports))
    expect(answer.locator('[data-verdict="chosen"]').first).to_have_attribute("data-appliance", "dal-1")
    shown = {
        (each.get_attribute("data-appliance"), each.get_attribute("data-verdict")) for each in answer.locator("[data-appliance]").all()
    }
    told = json.loads(system.run("routes", "explain", "203.0.113.7", "--json"))
    assert {(each["appliance"], each["verdict"]) for each in told["considered"]} == shown, "the command line has the same answer"
    page.get_by_test_id("explain-address").fill("nobody")
    page.get_by_test_id("explain-ask").click()
    expect(page.get_by_test_id("route-problem")).to_contain_text("is not an IP address")
    expect(page.get_by_test_id("route-problem")).to_contain_text("NC3032")
    page.get_by_test_id("explain-address").fill("[2001:db8::7]:443")
    page.get_by_test_id("explain-ask").click()
    expect(page.get_by_test_id("route-problem")).to_contain_text("Give the address alone: 2001:db8::7")


def test_a_plan_of_an_isp_is_rehearsed(page: Page, system: System) -> None:
    page.goto(f"{system.url}/#/admin/routes")
    page.get_by_test_id("plan-text").fill("20.4.0.0/16\n8.8.0.0/16\nnonsense")
    page.get_by_test_id("plan-ask").click()
    expect(page.get_by_test_id("plan-mistakes")).to_contain_text("nonsense")
    page.get_by_test_id("plan-text").fill("20.4.0.0/16 as-path 64511 64999\n8.8.0.0/16")
    page.get_by_test_id("plan-ask").click()
    moved = page.get_by_test_id("plan-moved").locator("tbody tr")
    expect(moved).to_have_count(1)
    expect(moved).to_contain_text("20.4.0.0/16")
    expect(moved).to_contain_text("65,536 addresses")
    expect(moved.locator("td").nth(3)).to_contain_text("dallas, ")
    expect(page.get_by_test_id("plan-refused")).to_contain_text("8.8.0.0/16 is not in the ISP's allow list (NC3025)")
    expect(page.locator('[data-testid="route-source"][data-source="riverbank"]')).to_have_attribute("data-state", "down")


NEW = """
[[steering.isps]]
name = "riverbank"
asn = 64511
sites = ["dallas"]
allow = ["30.0.0.0/12"]
[[steering.routes]]
prefix = "0.0.0.0/0"
sites = ["mumbai", "frankfurt"]
[[steering.routes]]
prefix = "203.0.113.0/24"
sites = ["dallas", "frankfurt", "singapore", "mumbai"]
"""


def test_a_new_configuration_is_rehearsed(page: Page, system: System) -> None:
    page.goto(f"{system.url}/#/admin/routes")
    page.get_by_test_id("plan-isp").select_option(label="A new configuration")
    page.get_by_test_id("plan-text").fill("[[steering.sites")
    page.get_by_test_id("plan-ask").click()
    expect(page.get_by_test_id("plan-mistakes")).to_contain_text("this is no TOML")
    page.get_by_test_id("plan-text").fill(NEW.replace("steering.routes", "steering.route"))
    page.get_by_test_id("plan-ask").click()
    expect(page.get_by_test_id("plan-mistakes")).to_contain_text("steering.route is no option; did you mean routes?")
    expect(page.get_by_test_id("plan-answer")).to_have_count(0)
    page.get_by_test_id("plan-text").fill(NEW)
    page.get_by_test_id("plan-ask").click()
    expect(page.get_by_test_id("plan-changes")).to_contain_text("The ISP riverbank may also announce 30.0.0.0/12.")
    moved = page.get_by_test_id("plan-moved")
    expect(moved.locator("tr", has_text="128.0.0.0/2")).to_contain_text("mumbai, frankfurt")
    expect(moved).not_to_contain_text("203.0.113.0/24")
    page.get_by_test_id("plan-text").fill(NEW.replace('"mumbai", "frankfurt"', '"atlantis"'))
    page.get_by_test_id("plan-ask").click()
    expect(page.get_by_test_id("route-problem")).to_contain_text("'atlantis'")
    expect(page.get_by_test_id("route-problem")).to_contain_text("NC3034")
