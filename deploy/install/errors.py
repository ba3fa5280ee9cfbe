"""What stops a set-up, told in one line with its remedy."""

from __future__ import annotations

import re

PYTORCH_SAYS = "TORCH=default takes the package index's own build"


class InstallError(RuntimeError):
    """The set-up cannot go on; the message is one line that says what to do."""


# What pip prints, and what a user can do about it. The first that matches is told: a proxy's certificate and a full
# disk show up as failed downloads as well.
_REMEDIES: tuple[tuple[str, str], ...] = (
    (
        r"No space left on device|Errno 28|Disk quota exceeded|Errno 122",
        "the disk is full; make room here and in the folder for temporary files (TMPDIR names another), then run again",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|SSLError|SSLCertVerificationError|self[- ]signed",
        "the network presents a certificate that this machine does not know, as a company's proxy does; name its file: "
        "export PIP_CERT=/path/ca.pem SSL_CERT_FILE=/path/ca.pem REQUESTS_CA_BUNDLE=/path/ca.pem, then run again",
    ),
    (
        r"407 Proxy|ProxyError|Cannot connect to proxy|Tunnel connection failed",
        "the proxy refuses; check HTTPS_PROXY=http://user:password@host:port, then run again",
    ),
    (
        r"THESE PACKAGES DO NOT MATCH THE HASHES",
        "a download came with other bytes than expected; run again, or empty pip's cache: pip cache purge",
    ),
    (
        r"Temporary failure in name resolution|Name or service not known|Failed to resolve|NameResolutionError|"
        r"Network is unreachable|Connection refused|NewConnectionError|Failed to establish a new connection|"
        r"ConnectTimeout|Read timed out|ReadTimeoutError|Connection reset|ConnectionResetError|"
        r"Could not find a version .*\(from versions: none\)",
        "the package index does not answer; check the network (behind a proxy: export HTTPS_PROXY=http://host:port; a "
        "mirror: PIP_INDEX_URL), then run again",
    ),
    (
        r"Permission denied|Errno 13|Read-only file system|Errno 30",
        "a file here cannot be written; run as the user who owns this folder",
    ),
)


# Errors whose reason pip gives elsewhere, in the warnings of its attempts or in what a build printed.
_REASON_ELSEWHERE = re.compile(r"No matching distribution|from versions: none|Max retries|subprocess-exited-with-error")


def explained(output: str) -> str:
    """One line for what pip printed: the remedy of a known fault, otherwise pip's own last error."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    said = "\n".join(errors)
    where = output if _REASON_ELSEWHERE.search(said) else said  # a warning of an attempt that went well later is none
    for pattern, remedy in _REMEDIES:
        if re.search(pattern, where, re.IGNORECASE):
            return remedy
    return (errors or lines or ["pip said nothing"])[-1]
