"""Packages whose names load when they are first used: reading one room's settings should not load its engines."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def lazily(package: str, **homes: str) -> Callable[[str], Any]:
    """A module ``__getattr__`` (PEP 562) for ``package``: ``Name="module"`` is taken from that module below it."""

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return find
