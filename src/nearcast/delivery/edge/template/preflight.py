"""The answer to a page that asks whether it may ask (CORS preflight, https://fetch.spec.whatwg.org/#cors-preflight-fetch)."""

from __future__ import annotations

PREFLIGHT = r"""if ($request_method = OPTIONS) {
        add_header Access-Control-Allow-Origin "*";
        add_header Access-Control-Allow-Methods "GET, HEAD, OPTIONS";
        add_header Access-Control-Allow-Headers "<<headers>>";
        add_header Access-Control-Max-Age "86400";
        return 204;
      }"""
_RANGES = "Range, If-Range, If-None-Match, Cache-Control"


def preflight(*headers: str) -> str:
    """Anybody may ask for parts of a file, and send these headers besides."""
    return PREFLIGHT.replace("<<headers>>", ", ".join((_RANGES, *headers)))


FILMS = preflight("CMCD-Object", "CMCD-Request", "CMCD-Session", "CMCD-Status")
TOKENS = preflight("CTA-Common-Access-Token")
