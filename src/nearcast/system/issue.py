"""Certificates between hosts: made for a host that holds the authority, signed for an edge that asks with a request of its own."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nearcast.base.errors import BadInput
from nearcast.system import tls
from nearcast.system.secrets import write

_BOTH = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)


class BadRequestForCertificate(BadInput):
    """A request for a certificate is damaged, or for a key of a kind that is not signed here."""

    code = "NC0217"
    cure = "make it with `nearcast edge join`: a P-256 key, signed by itself"


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def fingerprint(certificate: x509.Certificate) -> bytes:
    return certificate.fingerprint(hashes.SHA256())


def make_host(path: Path, uri: str, server_name: str, authority: tls.Authority, now: datetime.datetime) -> None:
    """Write certificate, authority and key of a host of this system to ``path``."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.DNSName(server_name), x509.UniformResourceIdentifier(uri)]
    leaf = tls.sign(key.public_key(), "nearcast host", names, _BOTH, authority, now)
    write(path, pem(leaf) + pem(authority[0]) + tls.key_pem(key))


def make_request(key: ec.EllipticCurvePrivateKey) -> str:
    """A request for a certificate. Who it is for the issuer knows by other means, so that it names nobody."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nearcast edge")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def read_request(text: str) -> ec.EllipticCurvePublicKey:
    """The key of a request, whose holder has signed it. Raises BadRequestForCertificate."""
    try:
        request = x509.load_pem_x509_csr(text.encode())
        key = request.public_key()
        if request.is_signature_valid and isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
            return key
    except (ValueError, TypeError, InvalidSignature) as error:
        raise BadRequestForCertificate("the request for a certificate cannot be read") from error
    raise BadRequestForCertificate("the request for a certificate is not signed by its own P-256 key")


def key_mark(key: ec.EllipticCurvePublicKey) -> str:
    """A short name for a public key."""
    raw = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(raw)
    return digest.finalize().hex()


def sign_edge(key: ec.EllipticCurvePublicKey, uri: str, public_name: str, authority: tls.Authority, now: datetime.datetime) -> str:
    """The chain of a certificate for the edge ``uri``, also good for serving viewers under ``public_name`` where it has one.

    It never bears the name of this system's servers: an edge cannot pass for one.
    """
    names = [*(tls.names_of(public_name) if public_name else []), x509.UniformResourceIdentifier(uri)]
    uses = _BOTH if public_name else _BOTH[:1]
    return (pem(tls.sign(key, uri.rpartition("/")[2], names, uses, authority, now)) + pem(authority[0])).decode()


def lasts(path: Path, authority: tls.Authority, now: datetime.datetime) -> bool:
    """Whether the certificate at ``path`` is the authority's and good for a while yet."""
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
        found.verify_directly_issued_by(authority[0])
    except (OSError, ValueError, TypeError, InvalidSignature):
        return False
    return not ends_soon(path, now)


def ends_soon(path: Path, now: datetime.datetime) -> bool:
    """Whether the certificate at ``path`` should be renewed now."""
    return due(x509.load_pem_x509_certificate(path.read_bytes()), now)


def due(found: x509.Certificate, now: datetime.datetime) -> bool:
    """A certificate is renewed when a third of its time is left: months in which the other side may be away for a while."""
    return found.not_valid_after_utc - now < (found.not_valid_after_utc - found.not_valid_before_utc) / 3


def ends_at(path: Path) -> datetime.datetime:
    """When the certificate at ``path`` lapses."""
    return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc


def issued_at_s(found: x509.Certificate) -> float:
    """When a certificate of our authority was signed, in Unix seconds."""
    return (found.not_valid_before_utc + tls.BACKDATED).timestamp()
