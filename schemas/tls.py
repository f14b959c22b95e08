"""TLS to the database: what each mode checks, the files it takes, and what a failed handshake means.

Modes: MySQL documentation, «Configuring MySQL to Use Encrypted Connections». Codes of a refused certificate: OpenSSL,
«X509_STORE_CTX_get_error»; reasons of a failed handshake: the alerts of RFC 8446, section 6.2, as OpenSSL names them.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Literal

from schemas.errors import ConfigError

Mode = Literal["disabled", "preferred", "required", "verify-ca", "verify-identity"]
VERIFYING = frozenset(("verify-ca", "verify-identity"))

_NOT_YET_VALID, _EXPIRED, _OTHER_HOST, _OTHER_ADDRESS = 9, 10, 62, 64
_REFUSED_CERTIFICATES = {
    _NOT_YET_VALID: "compare the clocks of this machine and of the one that made the certificate",
    _EXPIRED: "renew the server's certificate",
    _OTHER_HOST: "name the host in `source` as the server's certificate does, or set `tls: verify-ca`",
    _OTHER_ADDRESS: "name the host in `source` as the server's certificate does, or set `tls: verify-ca`",
}
_UNKNOWN_AUTHORITY = (
    "`ca` must hold the certificate of the authority that signed the server's, or the server's own;"
    " without `ca` the authorities that this machine knows count"
)
_OUR_CERTIFICATE = "`tls_cert` must be signed by an authority that the server's ssl_ca holds, and be valid"
_REASONS = {
    **dict.fromkeys(
        (
            "TLSV1_ALERT_UNKNOWN_CA",
            "TLSV13_ALERT_CERTIFICATE_REQUIRED",
            "SSLV3_ALERT_BAD_CERTIFICATE",
            "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
            "SSLV3_ALERT_CERTIFICATE_REVOKED",
            "SSLV3_ALERT_CERTIFICATE_EXPIRED",
            "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
            "TLSV1_ALERT_DECRYPT_ERROR",
        ),
        _OUR_CERTIFICATE,
    ),
    **dict.fromkeys(
        (
            "TLSV1_ALERT_PROTOCOL_VERSION",
            "TLSV1_ALERT_INSUFFICIENT_SECURITY",
            "SSLV3_ALERT_HANDSHAKE_FAILURE",
            "UNSUPPORTED_PROTOCOL",
            "NO_CIPHERS_AVAILABLE",
            "DH_KEY_TOO_SMALL",
            "EE_KEY_TOO_SMALL",
        ),
        "the server must offer TLS 1.2 or later (tls_version), with ciphers and keys that OpenSSL accepts here",
    ),
}


@dataclass(frozen=True)
class Tls:
    """`ca`, `cert` and `key` are files in PEM format. They are read anew at every login, so renewed ones are taken up.

    `preferred` encrypts where the server can, `required` always, both without checking who answers. `verify-ca` checks
    the certificate, `verify-identity` also that it is for the host of `source`.
    """

    mode: Mode = "preferred"
    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    def context(self) -> ssl.SSLContext | None:
        """None for `disabled`. Raises ConfigError where a file cannot be used.

        The same under every Python: 3.13 began to refuse what MySQL's and MariaDB's own authorities leave out
        (VERIFY_X509_STRICT), and to accept a certificate itself as `ca` (VERIFY_X509_PARTIAL_CHAIN).
        """
        if self.mode == "disabled":
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = self.mode == "verify-identity"
        if self.mode not in VERIFYING:
            context.verify_mode = ssl.CERT_NONE
        elif self.ca is None:
            context.load_default_certs()
        else:
            try:
                context.load_verify_locations(self.ca)
            except OSError as error:
                raise ConfigError([f"ca: {self.ca} cannot be used: {error}"]) from error
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self.cert is not None:
            self._load_own(context, self.cert)
        return context

    def _load_own(self, context: ssl.SSLContext, cert: str) -> None:
        try:
            context.load_cert_chain(cert, self.key, password=_no_passphrase)
        except (OSError, ValueError) as error:
            files = f"{cert} and {self.key}" if self.key is not None else cert
            raise ConfigError([f"tls_cert, tls_key: {files} cannot be used: {error}"]) from error


def _no_passphrase() -> str:
    """Asked only for an encrypted key; else OpenSSL would ask for it on the terminal, and wait."""
    raise ValueError("the key is encrypted; give one without a passphrase")


def handshake_problem(error: BaseException | None) -> tuple[str, str] | None:
    """What went wrong in a TLS handshake and what to do, where trying again cannot help; else None."""
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = _REFUSED_CERTIFICATES.get(error.verify_code, _UNKNOWN_AUTHORITY)
        return f"the server's certificate is not accepted: {error.verify_message}", hint
    reason = getattr(error, "reason", None) if isinstance(error, ssl.SSLError) else None
    if reason in _REASONS:
        return f"the TLS handshake failed: {reason}", _REASONS[reason]
    return None
