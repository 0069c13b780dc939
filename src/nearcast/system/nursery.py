"""The nursery of a system: loads what its processes need, once, and is forked for each of them. See ``base.spawn``."""

from __future__ import annotations

import os
import sys

from nearcast.base.spawn import Stage, nurse

STAGES = (
    # Edges first: their nginx take a while to start, and meanwhile the rest is loaded.
    Stage(
        "edge-",
        (
            "nearcast.system.serve",
            "uvloop",
            "grpc.aio",
            "httpx",
            "prometheus_client",
            "cryptography.hazmat.primitives.ciphers.aead",
            "nearcast.base.metrics",
            "nearcast.delivery.edge.agent",
            "nearcast.system.edge",
        ),
    ),
    Stage(
        "",
        (
            "granian.server.embed",
            "obstore.store",
            "sqlalchemy.dialects.sqlite.pysqlite",
            "tantivy",
            "nearcast.base.web",
            "nearcast.control.accounts.service",
            "nearcast.control.catalog.service",
            "nearcast.control.discovery.service",
            "nearcast.control.gateway.application",
            "nearcast.control.history.service",
            "nearcast.control.home.service",
            "nearcast.control.license.service",
            "nearcast.control.playback.service",
            "nearcast.control.search.service",
            "nearcast.control.store.migrate",
            "nearcast.delivery.origin",
            "nearcast.insight.service",
            "nearcast.media.ingest",
            "nearcast.media.upload",
            "nearcast.steering.service",
            "nearcast.system.browse",
            "nearcast.system.fleet",
            "nearcast.system.gateway",
            "nearcast.system.origin",
            "nearcast.system.play",
            "nearcast.system.record",
            "nearcast.system.stores",
        ),
    ),
)
TERMINAL_ONLY = ("rich", "pygments", "click")
"""structlog and httpx load these where they find them, for terminals; no process here has one. It saves 0.3 s and 10 MB."""


def prepare() -> None:
    """What must be done before anything is loaded."""
    for name in TERMINAL_ONLY:
        sys.modules[name] = None  # type: ignore[assignment]  # import's own way to say: not there
    # Nothing here multiplies matrices: without this, NumPy's OpenBLAS starts a thread for each processor, and a fork inherits them dead.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def main() -> None:
    """The body of ``python -m nearcast.system.nursery``."""
    prepare()
    from nearcast.system.serve import run

    nurse(STAGES, run)


if __name__ == "__main__":
    main()
