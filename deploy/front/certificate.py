"""A certificate that signs itself. Browsers warn of it once, and let a page use the microphone all the same."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from speech.files import write_atomically

_LIFE = timedelta(days=820)  # telephones of Apple take none that lives longer than 825 days
_RENEWAL = timedelta(days=30)


def self_made(folder: Path, names: Sequence[str], now: datetime | None = None) -> Path:
    """The file that holds key and certificate. It is made anew where it is missing, broken, nearly over, or lacks a
    name.

    Besides `names` the certificate is for localhost, and for this machine's name and addresses at the time it was made.
    A container has others at every start, and who trusts the certificate should not be asked each time. The certificate
    alone lies beside the file as `certificate.crt`, for whoever wants to install it on a telephone.
    """
    now = now or datetime.now(UTC)
    path = folder / "self-made.pem"
    if not _serves(path, names, now):
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _signed(key, [*names, *own_names()], now).public_bytes(serialization.Encoding.PEM)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_atomically(folder / "certificate.crt", certificate)
        write_atomically(path, secret + certificate, 0o600)
    return path


def own_names() -> list[str]:
    """localhost, and what this machine calls itself: its host name and the addresses of its interfaces."""
    found = ["localhost", "127.0.0.1", "::1"]
    if (host := socket.gethostname().lower()).isascii():
        found.append(host)
    for addresses in psutil.net_if_addrs().values():
        found += [one.address for one in addresses if one.family in (socket.AF_INET, socket.AF_INET6)]
    return [name for name in found if "%" not in name]  # link-local ones mean nothing elsewhere


def _signed(key: ec.EllipticCurvePrivateKey, names: Sequence[str], now: datetime) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Vnyatno")])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clocks differ
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in dict.fromkeys(names)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _serves(path: Path, names: Sequence[str], now: datetime) -> bool:
    try:
        raw = path.read_bytes()
        serialization.load_pem_private_key(raw, None)
        certificate = x509.load_pem_x509_certificate(raw)
        held = set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    return certificate.not_valid_after_utc > now + _RENEWAL and held.issuperset(_general(name) for name in names)
