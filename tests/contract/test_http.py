"""The HTTP API keeps what /openapi.json promises, whatever it is sent: no 5xx, and only the statuses, types and bodies described.

Schemathesis makes requests that fit the description and requests that do not, against a running gateway with an admin signed in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from tests.e2e.harness import System
from tests.e2e.library import Film

CHECKS: list[Callable[..., Any]] = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 12
LONG_POLL = "events"
REAL_IDS = ("get", "post", "put")
"""Methods for which a title that exists is put in; DELETE would withdraw the film that other tests watch."""


@pytest.fixture(scope="module")
def client(system: System) -> Iterator[httpx.Client]:
    with system.client() as found:
        yield found
        for job in found.get("/api/v1/ingest").json()["jobs"]:  # uploads that were announced and never sent
            if job["state"] == "uploading":
                found.delete(f"/api/v1/ingest/{job['id']}")


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def test_it_describes_the_stable_surface(document: dict[str, Any]) -> None:
    stable = {
        "/api/v1/login": {"post"},
        "/api/v1/titles": {"get"},
        "/api/v1/play": {"post"},
        "/api/v1/license": {"post"},
        "/api/v1/history": {"get"},
        "/api/v1/home": {"get"},
        "/api/v1/ingest": {"get", "post"},
    }
    for path, methods in stable.items():
        assert methods <= document["paths"][path].keys(), path
    below_sessions = {path.rpartition("/")[2] for path in document["paths"] if path.startswith("/api/v1/sessions/")}
    assert {"manifest.mpd", "manifest.m3u8", "steering", "heartbeat"} <= below_sessions


def test_every_operation_keeps_its_description(system: System, client: httpx.Client, document: dict[str, Any], film: Film) -> None:
    schema = schemathesis.openapi.from_dict(document)
    session = client.post("/api/v1/play", json={"title_id": film.id, "device": {"id": "fuzz"}}).json()["session_id"]
    real = {"title_id": film.id, "session_id": session}
    problems: list[str] = []
    tried = 0
    for result in schema.get_all_operations():
        outcome: Any = result  # a description that cannot be read has no ok() and fails here
        operation = outcome.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            tried += 1
            problems += _try(operation, mode, system.url, client.headers["Authorization"], real)
    assert tried >= 2 * 20
    assert not problems, "\n\n".join(problems[:12])
    assert client.get("/api/v1/me").status_code == 200, "the admin is still signed in"


def _try(operation: Any, mode: GenerationMode, url: str, authorization: str, real: dict[str, str]) -> list[str]:
    """What one operation did wrong in ``EXAMPLES`` requests."""
    sent = 0

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        nonlocal sent
        sent += 1
        if sent % 2 and operation.method in REAL_IDS:
            for name in real.keys() & (case.path_parameters or {}).keys():
                case.path_parameters[name] = real[name]
        if LONG_POLL in operation.path and case.query:
            case.query.pop("wait_s", None)
        case.call_and_validate(base_url=url, headers={"Authorization": authorization}, checks=CHECKS, timeout=120)

    try:
        check()
    except Unsatisfiable:  # nothing can be wrong with a request that takes nothing
        return []
    except Exception as error:  # every failed check and every broken connection is one line of the report
        return [f"{operation.label} ({mode.value}): {type(error).__name__}: {error}"]
    return []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/play", {"title_id": "\x00", "device": {"id": "\ud7ff" * 300}}),
        ("/api/v1/login", {"email": "a" * 100_000, "password": "b"}),
        ("/api/v1/ingest", {"file_name": "../../etc/passwd", "size_bytes": -1, "metadata": {"name": ""}}),
        ("/api/v1/ingest", {"file_name": "x.mp4", "size_bytes": 10**18, "metadata": {"name": "Vast"}}),
        ("/api/v1/profiles", {"name": "\u202e" * 500}),
    ],
)
def test_odd_values_are_answered_not_failed(client: httpx.Client, path: str, body: dict[str, Any]) -> None:
    answer = client.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code < 500
