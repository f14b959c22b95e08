"""TLS contexts, the files they are made of, and what a failed handshake is called."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.hazmat.primitives.serialization import load_pem_private_key as load_key

from schemas.errors import ConfigError
from schemas.tls import Tls, handshake_problem


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> str:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


def shake(client: ssl.SSLContext, server: ssl.SSLContext, host: str = "db.example.org") -> BaseException | None:
    """What the client's handshake, and its first read, end with."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(theirs, server_side=True) as wrapped:
                wrapped.sendall(b"welcome")
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname=host) as wrapped:
            assert wrapped.recv(7) == b"welcome"
    except OSError as error:
        return error
    finally:
        thread.join()
        ours.close()
    return None


def server_context(*leaf: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for one in leaf:
        one.configure_cert(context)
    return context


@pytest.mark.parametrize(
    ("mode", "names", "hint"),
    [
        ("required", "other.example.org", None),
        ("verify-ca", "other.example.org", None),
        ("verify-identity", "db.example.org", None),
        ("verify-identity", "other.example.org", "as the server's certificate does"),
    ],
)
def test_modes(authority: trustme.CA, ca: str, mode: Any, names: str, hint: str | None) -> None:
    context = Tls(mode, ca).context()
    assert context is not None
    problem = handshake_problem(shake(context, server_context(authority.issue_cert(names))))
    if hint is None:
        assert problem is None
    else:
        assert problem is not None
        assert hint in problem[1]


def test_disabled_has_no_context() -> None:
    assert Tls("disabled", "/none").context() is None


def test_certificate_itself_as_authority(authority: trustme.CA, tmp_path: Path) -> None:
    """Pinned: MySQL shows a certificate of an authority that only its data folder holds."""
    leaf, other = authority.issue_cert("db.example.org"), authority.issue_cert("db.example.org")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "pinned.pem")
    for shown, accepted in ((leaf, True), (other, False)):
        context = Tls("verify-identity", str(tmp_path / "pinned.pem")).context()
        assert context is not None
        assert (shake(context, server_context(shown)) is None) is accepted


def test_own_certificate(authority: trustme.CA, ca: str, tmp_path: Path) -> None:
    """One file, or certificate and key apart; the server may refuse it."""
    ours, strange = authority.issue_cert("worker"), trustme.CA().issue_cert("worker")
    server = server_context(authority.issue_cert("db.example.org"))
    server.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(server)
    ours.private_key_pem.write_to_path(tmp_path / "key.pem")
    ours.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    ours.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    strange.private_key_and_cert_chain_pem.write_to_path(tmp_path / "strange.pem")
    for cert, key in (("cert.pem", "key.pem"), ("both.pem", None)):
        context = Tls("required", ca, str(tmp_path / cert), str(tmp_path / key) if key else None).context()
        assert context is not None
        assert shake(context, server) is None
    for own in (None, str(tmp_path / "strange.pem")):
        context = Tls("required", ca, own).context()
        assert context is not None
        problem = handshake_problem(shake(context, server))
        assert problem is not None
        assert "tls_cert" in problem[1]


def test_no_version_in_common(authority: trustme.CA, ca: str) -> None:
    context = Tls("verify-ca", ca).context()
    assert context is not None
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    server = server_context(authority.issue_cert("db.example.org"))
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    problem = handshake_problem(shake(context, server))
    assert problem is not None
    assert "tls_version" in problem[1]


def test_nothing_below_tls_1_2() -> None:
    for mode in ("required", "verify-ca", "verify-identity"):
        context = Tls(mode).context()  # type: ignore[arg-type]
        assert context is not None
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_what_may_not_come_again_is_no_problem_of_tls() -> None:
    for error in (None, ConnectionResetError(), ssl.SSLEOFError(8, "EOF"), TimeoutError()):
        assert handshake_problem(error) is None


def test_files_that_cannot_be_used(authority: trustme.CA, ca: str, tmp_path: Path) -> None:
    """Each is named; an encrypted key is not asked for on the terminal."""
    leaf = authority.issue_cert("worker")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    authority.issue_cert("other").private_key_pem.write_to_path(tmp_path / "other-key.pem")
    locked = load_key(leaf.private_key_pem.bytes(), None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    (tmp_path / "locked.pem").write_bytes(locked)
    (tmp_path / "text.pem").write_text("not a certificate")
    cert, none, text = str(tmp_path / "cert.pem"), str(tmp_path / "none.pem"), str(tmp_path / "text.pem")
    for tls, found in (
        (Tls("verify-ca", none), "ca: .*none.pem"),
        (Tls("verify-identity", text), "ca: .*text.pem"),
        (Tls("required", None, none), "tls_cert, tls_key: .*none.pem"),
        (Tls("required", None, cert, str(tmp_path / "other-key.pem")), "other-key.pem cannot be used.*MISMATCH"),
        (Tls("required", None, cert, str(tmp_path / "locked.pem")), "locked.pem cannot be used.*without a passphrase"),
    ):
        with pytest.raises(ConfigError, match=found):
            tls.context()
