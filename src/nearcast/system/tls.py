"""TLS for what is public: certificates from the configuration, or an authority of this system's own (``nearcast up --public NAME``).

The authority's certificate is what viewers' devices must trust; its key never leaves ``secrets/``. Browsers take leaf
certificates of at most 398 days (CA/Browser Forum ballot SC31), so they are made for less and renewed on a start.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import ipaddress
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nearcast.base.errors import BadInput
from nearcast.base.paths import Home
from nearcast.base.web import Tls
from nearcast.system.folders import below_home
from nearcast.system.secrets import JOINED, PEER, write
from nearcast.system.settings import Settings

LEAF_DAYS = 390
RENEW_DAYS = 60
AUTHORITY_DAYS = 3650
BACKDATED = datetime.timedelta(hours=1)
"""A certificate is good from before it was signed: a viewer's clock may be behind ours."""
AUTHORITY = "authority.pem"
AUTHORITY_KEY = "authority.key"

Authority = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


class BadPublicName(BadInput):
    """The name under which this machine is to be reached is no host name and no address."""

    code = "NC0208"
    cure = "give a host name (films.example.org) or an IP address"


def names_of(public_name: str) -> list[x509.GeneralName]:
    """What a certificate for ``public_name`` is valid for, this machine's loopback among it. Raises BadPublicName."""
    found: list[x509.GeneralName] = []
    try:
        found.append(x509.IPAddress(ipaddress.ip_address(public_name)))
    except ValueError:
        labels = public_name.rstrip(".").split(".")
        if not all(label and len(label) <= 63 and label.replace("-", "").isalnum() and label.isascii() for label in labels):
            raise BadPublicName(f"{public_name!r} is no host name") from None
        found.append(x509.DNSName(public_name.rstrip(".").lower()))
    loopback = [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]
    return [*found, x509.DNSName("localhost"), *(x509.IPAddress(each) for each in loopback)]


def make_authority(name: str, now: datetime.datetime) -> Authority:
    """A self-signed authority that may sign leaf certificates and no further authorities."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Nearcast authority of {name}"[:64])])
    certificate = (
        _begun(subject, subject, key.public_key(), now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def make_leaf(
    public_name: str, authority: x509.Certificate, authority_key: ec.EllipticCurvePrivateKey, now: datetime.datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A server certificate for ``public_name``, signed by the authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    names, uses = names_of(public_name), [ExtendedKeyUsageOID.SERVER_AUTH]
    return sign(key.public_key(), public_name, names, uses, (authority, authority_key), now), key


def sign(
    key: ec.EllipticCurvePublicKey,
    common_name: str,
    names: Sequence[x509.GeneralName],
    uses: Sequence[x509.ObjectIdentifier],
    authority: Authority,
    now: datetime.datetime,
) -> x509.Certificate:
    """A leaf certificate for the holder of ``key``, good for ``names`` and ``uses``."""
    signer, signing_key = authority
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])
    return (
        _begun(subject, signer.subject, key, now, LEAF_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False)
        .sign(signing_key, hashes.SHA256())
    )


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def serves(certificate: x509.Certificate, public_name: str, now: datetime.datetime) -> bool:
    """Whether a certificate made earlier is for this name and lasts for a while yet."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    lasts = certificate.not_valid_after_utc - now > datetime.timedelta(days=RENEW_DAYS)
    return lasts and list(names) == names_of(public_name)


def prepare(home: Home, settings: Settings, now: datetime.datetime | None = None) -> Tls | None:
    """The certificate and key with which public listeners serve; made where none is configured. None without a public name."""
    if settings.tls.certificate:
        return Tls(certificate=below_home(home, settings.tls.certificate), key=below_home(home, settings.tls.key))
    name = settings.network.public_name
    if not name:
        return None
    now = now or datetime.datetime.now(datetime.UTC)
    files = _files(home)
    authority, authority_key = make_or_load_authority(home.secrets, name, now)
    try:
        if files.key.exists() and serves(x509.load_pem_x509_certificate(files.certificate.read_bytes()), name, now):
            return files
    except (OSError, ValueError):
        pass
    leaf, leaf_key = make_leaf(name, authority, authority_key, now)
    write(files.key, key_pem(leaf_key))
    write(files.certificate, leaf.public_bytes(serialization.Encoding.PEM) + authority.public_bytes(serialization.Encoding.PEM))
    return files


def current(home: Home, settings: Settings) -> Tls | None:
    """What ``prepare`` made or found, for the processes that serve with it."""
    if settings.tls.certificate:
        return Tls(certificate=below_home(home, settings.tls.certificate), key=below_home(home, settings.tls.key))
    if not settings.network.public_name:
        return None
    own = home.secrets / PEER
    return Tls(certificate=own, key=own) if (home.secrets / JOINED).exists() else _files(home)


def _files(home: Home) -> Tls:
    return Tls(certificate=home.secrets / "public.pem", key=home.secrets / "public.key")


def make_or_load_authority(folder: Path, name: str, now: datetime.datetime) -> Authority:
    """The authority in ``folder``, made for ``name`` where there is none. Of two starts at once, the second finds the first one's."""
    with locked(folder):
        found = load_authority(folder)
        if found is None:
            found = make_authority(name, now)
            write(folder / AUTHORITY_KEY, key_pem(found[1]))
            write(folder / AUTHORITY, found[0].public_bytes(serialization.Encoding.PEM))
        return found


def load_authority(folder: Path) -> Authority | None:
    """The authority and its key; None where there is none, or one that cannot be read. Raises BadInput for a key of another kind."""
    try:
        certificate = x509.load_pem_x509_certificate((folder / AUTHORITY).read_bytes())
        key = serialization.load_pem_private_key((folder / AUTHORITY_KEY).read_bytes(), None)
    except (OSError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadInput(f"{folder / AUTHORITY_KEY} is not a key of this system", hint="remove it; a new authority is made on the next start")
    return certificate, key


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time makes certificates."""
    with (folder / ".certificates.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
