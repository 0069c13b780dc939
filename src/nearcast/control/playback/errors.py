"""What can go wrong when Play is pressed, besides the refusals that are part of the contract."""

from __future__ import annotations

from nearcast.base.errors import BadInput, Conflict, NotFound, Unavailable


class UnknownTitle(NotFound):
    """There is no such title, or it was withdrawn."""

    code = "NC4801"
    cure = "see `nearcast titles` for what can be played"


class NoEdge(Unavailable):
    """No edge can serve this title to this viewer now."""

    code = "NC4802"
    cure = "see `nearcast status` for the edges, and the routes of the configuration for this viewer's address"


class NothingToPlay(Conflict):
    """The title has no rendition that this session may have yet."""

    code = "NC4803"
    cure = "wait until the film is prepared, or allow a larger max_height"


class NoDevice(BadInput):
    """The player did not say which device it is on, so that its licence could not be bound to one."""

    code = "NC4804"
    cure = "send a random name of the device as device.id, the same one each time"
