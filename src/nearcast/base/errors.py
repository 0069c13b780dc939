"""Errors as a tree by cause. Each has a stable code, one sentence, and a hint that cures it.

A room declares its errors where they are raised, as subclasses with a ``code`` of its own range; the reference page of
errors is generated from the tree. A refusal that belongs to a contract (shed, denied) is a value, not an exception.
Foreign exceptions (``OSError``, ``grpc.RpcError``, ``sqlalchemy.exc``) are mapped where they are met and go no further.

Ranges: NC00 base · NC01 configuration · NC02 system and processes · NC1 media · NC2 delivery · NC3 steering · NC4 control · NC5 web player.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct


class Problem(Struct, frozen=True, kw_only=True):
    """An error as it crosses a border: in gRPC details, and as the JSON body of an HTTP answer."""

    code: str
    message: str
    hint: str = ""
    request_id: str = ""
    status: int = 500


class NearcastError(Exception):
    """Root of the tree. ``message`` is one sentence without a full stop at stake; ``hint`` says what to do about it."""

    code: ClassVar[str] = "NC0000"
    """Four digits after NC, unique in the tree."""
    status: ClassVar[int] = 500
    """HTTP status with which the gateway answers."""
    exit_code: ClassVar[int] = 1
    """Exit status of a command that ends with this error."""
    cure: ClassVar[str] = ""
    """The hint where the one who raises gives none."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.cure

    def problem(self, request_id: str = "") -> Problem:
        return Problem(code=self.code, message=self.message, hint=self.hint, request_id=request_id, status=self.status)


class BadInput(NearcastError):
    """What was asked makes no sense; asking again unchanged will not help."""

    code = "NC0001"
    status = 400
    exit_code = 2
    cure = "correct what the message names, and ask again"


class NotFound(NearcastError):
    """There is no such thing."""

    code = "NC0002"
    status = 404
    cure = "check the name or id; `nearcast titles` and `nearcast status` list what there is"


class Denied(NearcastError):
    """The one who asks may not have this."""

    code = "NC0003"
    status = 403
    cure = "ask as someone who may: an administrator can give the right"


class Unauthenticated(NearcastError):
    """Nobody is signed in, or the sign-in has ended."""

    code = "NC0004"
    status = 401
    cure = "sign in again"


class Conflict(NearcastError):
    """Something else is doing, or has already done, what was asked."""

    code = "NC0005"
    status = 409
    cure = "wait for the other to end, then ask again"


class Unavailable(NearcastError):
    """A part that is needed does not answer now; asking again later may help."""

    code = "NC0006"
    status = 503
    exit_code = 3
    cure = "see `nearcast status` for what is down"


class DeadlineExceeded(Unavailable):
    """The answer did not come in time."""

    code = "NC0007"


class TooLarge(BadInput):
    """The request is larger than is taken."""

    code = "NC0008"
    status = 413
    cure = "send less at once"


class TooMany(NearcastError):
    """Too many attempts in too short a time."""

    code = "NC0009"
    status = 429
    cure = "wait a while before the next attempt"


class Internal(NearcastError):
    """A defect of Nearcast. The log of the process named has the trace under the request id."""

    code = "NC0010"
    cure = "this is a defect: please report it with the request id and the log"


class Remote(NearcastError):
    """An error that another process answered with: its code, status and hint are kept as they were."""

    code = "NC0011"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message, hint=problem.hint)
        self._problem = problem
        self.code = problem.code  # type: ignore[misc]  # the wire's code stands for this instance
        self.status = problem.status  # type: ignore[misc]  # likewise


class RemoteUnavailable(Remote, Unavailable):
    """Another process answered that it, or a part that it needs, is unavailable now; asking again later may help."""

    code = "NC0016"


def remote(problem: Problem) -> Remote:
    """The error that another process answered with. One that passes (status 503) is an Unavailable here too, to be ridden out as such."""
    return (RemoteUnavailable if problem.status == Unavailable.status else Remote)(problem)


def tree(root: type[NearcastError] = NearcastError) -> list[type[NearcastError]]:
    """Every error class imported so far, in order of code."""
    found: set[type[NearcastError]] = set()
    todo = [root]
    while todo:
        each = todo.pop()
        found.add(each)
        todo += each.__subclasses__()
    return sorted(found, key=lambda error: error.code)
