"""What operators want of appliances: a small table that outlives every process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from nearcast.base.errors import Unavailable
from nearcast.base.processes import write_atomically
from nearcast.model.services import OrderQuestion
from nearcast.model.site import Order


class OrdersUnusable(Unavailable):
    """The orders to appliances cannot be read or written."""

    code = "NC4506"
    cure = "see that the disk has room and that data/orders.json is the system's own; a backup has an older one"


def changed(order: Order, question: OrderQuestion) -> Order:
    """``order`` as the question wants it; the same where it wants nothing new."""
    draining = order.draining if question.draining is None else question.draining
    return msgspec.structs.replace(order, draining=draining, key_generation=order.key_generation + question.rotate_key)


class OrderStore(Protocol):
    """Orders by appliance. ``save`` has written all of them when it returns; both raise OrdersUnusable, and block for milliseconds."""

    def load(self) -> dict[str, Order]: ...
    def save(self, orders: Mapping[str, Order], /) -> None: ...


class OrderFile:
    """Fits OrderStore: one JSON file, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[str, Order]:
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=list[Order])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as error:  # an appliance that was to drain must not be taken for one that serves
            raise OrdersUnusable(f"{self._path} cannot be read: {error}") from error
        return {each.appliance: each for each in found}

    def save(self, orders: Mapping[str, Order], /) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, msgspec.json.encode([orders[each] for each in sorted(orders)]), durable=True)
        except OSError as error:
            raise OrdersUnusable(f"{self._path} cannot be written: {error.strerror or error}") from error


class OrderMemory:
    """Fits OrderStore for tests and simulations: nothing outlives it."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}

    def load(self) -> dict[str, Order]:
        return dict(self.orders)

    def save(self, orders: Mapping[str, Order], /) -> None:
        self.orders = dict(orders)
