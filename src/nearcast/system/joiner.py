"""The edge's side of a join: takes a token to the main host, and keeps what it is given. Blocks; used by the command."""

from __future__ import annotations

import contextlib
import secrets as random
import ssl
from pathlib import Path

import httpx
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct

from nearcast.base.errors import Conflict, NearcastError, Problem, Unavailable, remote
from nearcast.base.options import toml
from nearcast.base.paths import Home
from nearcast.system import issue, peers, secrets, tls
from nearcast.system.join import JoinAnswer, JoinQuestion, Token, from_text
from nearcast.system.settings import LOOPBACK
from nearcast.system.table import CALLS

TIMEOUT_S = 10.0
WRITTEN = "# Written by `nearcast edge join`: an edge of another host's system."


class HomeTaken(Conflict):
    """The home folder holds a system or a configuration of its own, which a join would spoil."""

    code = "NC0223"
    cure = "name another home folder for the edge (NEARCAST_HOME)"


class WrongAuthority(NearcastError):
    """What answers at the token's address is not the system that the token is of."""

    code = "NC0224"
    status = 502
    cure = "see that the address leads to the main host, and that nobody answers in its place; print a new token there"


class NoAnswer(Unavailable):
    """Nobody answers at the token's address."""

    code = "NC0225"
    cure = "see that the main host is up, has [network] internal_host, and lets this one reach its join, edges and origin ports"


class Place(Struct, frozen=True, kw_only=True):
    """Where the new edge serves viewers. ``listen`` empty: every address where it has a public name, else loopback."""

    port: int = 8101
    listen: tuple[str, ...] = ()


def join(home: Home, text: str, place: Place) -> JoinAnswer:
    """Have this home be an edge of the system that ``text`` is a token of.

    Raises BadToken, HomeTaken, NoAnswer, WrongAuthority, or what the main host answers. Cut off in the middle, it may be repeated
    with the same token.
    """
    token = from_text(text)
    _check_free(home)
    home.make()
    authority = _authority(token)
    key = _key(home.secrets / "joining.key")
    authority_path = home.secrets / tls.AUTHORITY
    secrets.write(authority_path, issue.pem(authority))
    answer = _ask(token, authority_path, JoinQuestion(invitation=token.invitation, request=issue.make_request(key)))
    secrets.write(peers.path(home), answer.chain.encode() + tls.key_pem(key))
    given = secrets.Joined(appliance=answer.id, site=answer.site, keys={**answer.keys, CALLS: random.token_hex(32)})
    secrets.write(home.secrets / secrets.JOINED, msgspec.json.encode(given))
    secrets.write(home.config, configuration(answer, token.address.rpartition(":")[0], place).encode())
    (home.secrets / "joining.key").unlink()
    return answer


def configuration(answer: JoinAnswer, host: str, place: Place) -> str:
    """The file with which `nearcast edge` runs. ``host``: the main host, as this one reaches it (bracketed where IPv6)."""
    origin = answer.origin_url or f"https://{host}:{answer.origin_port}"
    listen = place.listen or (("0.0.0.0",) if answer.public_name else (LOOPBACK,))  # noqa: S104  (it has TLS, and the edge's MAC)
    lines = [WRITTEN, "[network]", f"origin_url = {toml(origin)}"]
    lines += [f"public_name = {toml(answer.public_name)}"] if answer.public_name else []
    lines += ["", "[network.addresses]", f"fleet = {toml(f'{host}:{answer.edges_port}')}", ""]
    lines += ["[[appliances]]", f"id = {toml(answer.id)}", f"site = {toml(answer.site)}"]
    return "\n".join([*lines, f"port = {place.port}", f"listen = {toml(listen)}", ""])


def _check_free(home: Home) -> None:
    if (home.secrets / secrets.ROOT).exists():
        raise HomeTaken(f"{home.root} holds the secrets of a system of its own")
    if home.config.exists() and not home.config.read_text(errors="replace").startswith(WRITTEN):
        raise HomeTaken(f"there is a configuration already: {home.config}")


def _authority(token: Token) -> x509.Certificate:
    """The main host's authority: believed because its fingerprint is the token's, not because of who brings it."""
    try:
        answer = httpx.get(f"https://{token.address}/authority.pem", verify=False, trust_env=False, timeout=TIMEOUT_S)  # noqa: S501
        found = x509.load_pem_x509_certificate(answer.content)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NoAnswer(f"nobody answers at {token.address} ({type(error).__name__})") from error
    except ValueError as error:
        raise WrongAuthority(f"what answers at {token.address} is no Nearcast") from error
    if issue.fingerprint(found) != token.fingerprint:
        raise WrongAuthority(f"what answers at {token.address} has another authority than the token's")
    return found


def _ask(token: Token, authority: Path, question: JoinQuestion) -> JoinAnswer:
    context = ssl.create_default_context(cafile=str(authority))
    try:
        with httpx.Client(verify=context, trust_env=False, timeout=TIMEOUT_S) as client:
            answer = client.post(
                f"https://{token.address}/join", content=msgspec.json.encode(question), extensions={"sni_hostname": peers.SERVER_NAME}
            )
    except (httpx.HTTPError, ssl.SSLError) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise WrongAuthority(f"what answers at {token.address} holds no certificate of the token's authority") from error
        raise NoAnswer(f"nobody answers at {token.address} ({type(error).__name__})") from error
    try:
        if answer.status_code != 200:
            raise remote(msgspec.json.decode(answer.content, type=Problem))
        return msgspec.json.decode(answer.content, type=JoinAnswer)
    except msgspec.MsgspecError as error:
        if answer.status_code >= 500:  # it holds the authority's certificate, so it is the main host, and something failed there
            said = f"the main host at {token.address} answers {answer.status_code}: {answer.text[:200]}"
            raise Unavailable(said, hint="its logs/fleet.log says why; then repeat the join with the same token") from error
        raise WrongAuthority(f"what answers at {token.address} speaks another version of Nearcast") from error


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The edge's own key, kept until the join is done, so that one that was cut off comes again as the same."""
    with contextlib.suppress(OSError, ValueError):
        found = serialization.load_pem_private_key(path.read_bytes(), None)
        if isinstance(found, ec.EllipticCurvePrivateKey):
            return found
    made = ec.generate_private_key(ec.SECP256R1())
    secrets.write(path, tls.key_pem(made))
    return made
