"""What the gateway itself refuses. Errors of the services behind it pass through with their own code and status."""

from __future__ import annotations

from nearcast.base.errors import BadInput, Conflict, Denied, NearcastError, NotFound, TooLarge, Unauthenticated


class BadProxy(BadInput):
    """A proxy of the configuration is neither an address nor a network."""

    code = "NC4701"
    cure = "write it as 10.0.0.1, 10.0.0.0/8 or 2001:db8::/32"


class BadRequest(BadInput):
    """The request's body, query or headers do not fit what the address takes."""

    code = "NC4702"
    cure = "compare with /openapi.json, which describes every request"


class BodyTooLarge(TooLarge):
    """The request's body is larger than is taken."""

    code = "NC4703"
    cure = "send less at once; films are uploaded to the address that POST /api/v1/ingest answers with, not to the gateway"


class NotJson(BadInput):
    """The request's body is not declared as JSON."""

    code = "NC4704"
    status = 415
    cure = "send the header Content-Type: application/json"


class NoSuchAddress(NotFound):
    """Nothing is at this address."""

    code = "NC4705"
    cure = "see /openapi.json for all addresses"


class WrongMethod(BadInput):
    """The address does not take this method; the Allow header has those that it takes."""

    code = "NC4706"
    status = 405
    cure = "use one of the methods in the Allow header"


class NotSignedIn(Unauthenticated):
    """The request carries no token."""

    code = "NC4707"
    cure = "sign in, or send the header Authorization: Bearer with a token of POST /api/v1/login"


class NotAdmin(Denied):
    """The address is for accounts with the admin role."""

    code = "NC4708"
    cure = "sign in with an admin account"


class CrossSite(Denied):
    """A page of another origin tried to act with this browser's sign-in."""

    code = "NC4709"
    cure = "use a bearer token instead of the cookie"


class Lapsed(NearcastError):
    """The account's subscription has lapsed."""

    code = "NC4710"
    status = 402
    cure = "renew the subscription, then press Play again"


class Revoked(Unauthenticated):
    """The sign-in was ended by its account or by an admin."""

    code = "NC4711"


class Processing(Conflict):
    """The film is still being prepared."""

    code = "NC4712"
    cure = "wait until its first rendition is ready; the page shows it by itself"


class NoPicture(NotFound):
    """The title has no such picture."""

    code = "NC4713"


class MetricsElsewhere(Denied):
    """Metrics are not for this address."""

    code = "NC4714"
    cure = "add the address to gateway.metrics_from in the configuration"


class NoWebApp(NotFound):
    """The web app was not built."""

    code = "NC4715"
    cure = "run `make up`, which builds it, or use the HTTP API: /openapi.json"


class NoProfile(NotFound):
    """The account has no profile."""

    code = "NC4716"
    cure = "make one with POST /api/v1/profiles"


class Gone(BadInput):
    """The client went away within its request."""

    code = "NC4717"


class BodyTooSlow(BadInput):
    """The request's body did not come in time."""

    code = "NC4718"
    status = 408
    cure = "send the request again, its body at once"
