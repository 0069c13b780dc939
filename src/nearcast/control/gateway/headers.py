"""Security headers of every answer (OWASP's list), the sign-in cookie, and the request's id. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

COOKIE = "nearcast"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{4,64}")


def request_id(inbound: str, made: str) -> str:
    """The id that a client or proxy gave, where it is a sane one, else ``made``."""
    return inbound if _REQUEST_ID.fullmatch(inbound) else made


def content_security_policy(content_origins: Sequence[str]) -> str:
    """Scripts and styles from here alone; media and fetches also from the edges; nobody may frame the page."""
    content = " ".join(content_origins) or "http: https:"
    parts = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self' 'unsafe-inline'",
        "style-src-elem": "'self'",
        "style-src-attr": "'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "manifest-src": "'self'",
        "worker-src": "'self' blob:",
        "media-src": f"'self' blob: data: {content}",
        "connect-src": f"'self' blob: data: {content}",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in parts.items())


@lru_cache(maxsize=8)
def security_headers(content_origins: tuple[str, ...], *, tls: bool) -> tuple[tuple[bytes, bytes], ...]:
    """What goes with every answer, ready for ASGI."""
    headers = {
        "content-security-policy": content_security_policy(content_origins),
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    }
    if tls:
        headers["strict-transport-security"] = "max-age=31536000"
    return tuple((name.encode(), value.encode()) for name, value in headers.items())


def session_cookie(token: str, max_age_s: float, *, tls: bool) -> str:
    """The cookie that signs a browser in; an empty ``token`` signs it out."""
    parts = [f"{COOKIE}={token}", "Path=/", f"Max-Age={max(0, int(max_age_s)) if token else 0}", "HttpOnly", "SameSite=Strict"]
    return "; ".join([*parts, "Secure"] if tls else parts)
