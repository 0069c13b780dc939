"""The ground floor: errors, time, ids, configuration, logs, metrics, calls and processes. It knows nothing of video."""

import sys

# structlog loads rich for its console wherever rich is installed: 0.3 s in each command and process, and none of them shows
# its log through rich. So rich is out of sight while structlog loads, unless somebody has loaded it before.
if "structlog" not in sys.modules and "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]  # import's own way to say: not there
    try:
        import structlog  # noqa: F401  (loaded for all who import it later)
    finally:
        del sys.modules["rich"]
