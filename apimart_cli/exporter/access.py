"""Who is let in: the certificate that an exporter shows, and the token that it asks for. Read again when told so."""

import hmac
import ssl
from pathlib import Path
from typing import NamedTuple

from apimart_cli.config.private_file import read_private_file
from apimart_cli.errors import ConfigError, UsageError

LEAST_TOKEN = 16
"""Fewest characters of a token: what is shorter can be guessed."""


class AccessFiles(NamedTuple):
    """The files that say who is let in; None where that is not asked for."""

    certificate: Path | None = None
    key: Path | None = None
    token: Path | None = None

    def check(self) -> None:
        """Raise UsageError for a certificate without a key, or a key without a certificate."""
        if (self.certificate is None) is not (self.key is None):
            missing = "--tls-key" if self.key is None else "--tls-cert"
            raise UsageError(f"TLS needs a certificate and its key: {missing} is missing", "give both, as PEM files")


class Access(NamedTuple):
    """Who is let in."""

    tls: ssl.SSLContext | None = None
    token: bytes | None = None

    def admits(self, authorization: str | None) -> bool:
        """Tell whether this header opens the page. In a time that tells nothing about the token."""
        if self.token is None:
            return True
        scheme, _, said = (authorization or "").partition(" ")
        is_token = hmac.compare_digest(said.strip().encode("utf-8", "surrogateescape"), self.token)
        return is_token and scheme.lower() == "bearer"

    def __repr__(self) -> str:
        return f"Access(tls={self.tls is not None}, token={self.token is not None})"


def read_access(files: AccessFiles) -> Access:
    """Read the files. Raises ConfigError, which names the file, where one cannot be used."""
    tls = None
    if files.certificate is not None and files.key is not None:
        tls = _tls(files.certificate, files.key)
    return Access(tls, None if files.token is None else _token(files.token))


def _token(path: Path) -> bytes:
    token = _secret(path, "holds the token").strip()
    if len(token) < LEAST_TOKEN or not all("!" <= character <= "~" for character in token):
        raise ConfigError(
            f"{path} holds no token: it must be one word of {LEAST_TOKEN} or more letters, digits and punctuation",
            "make one with: openssl rand -hex 32",
        )
    return token.encode("ascii")


def _secret(path: Path, words: str) -> str:
    """Return the text of a file. Raises ConfigError where others can read or change it; its group may read it.

    That is how Kubernetes gives secrets to a process that is not root.
    """
    file = read_private_file(path)
    exposure = file.exposure(group_may_read=True, what=words)
    if exposure is not None:
        raise exposure
    return file.text


def _tls(certificate: Path, key: Path) -> ssl.SSLContext:
    _secret(key, "holds a private key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    fault = None
    try:
        # The password is never asked for on a terminal: nobody may be there.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except ssl.SSLError as error:
        reason = (error.reason or "").replace("_", " ").lower() or "they are not PEM files, or the key has a password"
        fault = f"the certificate {certificate} and the key {key} cannot be used: {reason}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a file that can be read"
        fault = f"the certificate {certificate} or the key {key} cannot be read: {reason}"
    if fault is not None:
        raise ConfigError(fault, "give PEM files that belong together, the key without a password")
    return context
