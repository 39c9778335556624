"""TLS settings, and one SSL context for each set of them, made on first use: making one takes some 30 ms."""

from __future__ import annotations

import os
import ssl
import threading

import attrs

from turnout.errors import LocalProtocolError
from turnout_io.process_lock import process_lock

__all__ = ["TlsSettings"]

_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def _as_tuple(given: str | os.PathLike[str] | tuple[str, ...] | None) -> tuple[str, ...] | None:
    return given if given is None or isinstance(given, tuple) else (os.fspath(given),)


@attrs.define(eq=False)
class TlsSettings:
    """The certificates that a TLS connection trusts and shows.

    Attributes:
        ca_file: Certificates to trust instead of the system's: a PEM file or a directory.
        client_cert: A PEM file with certificate and key, or (certificate, key), or (certificate, key, password).
        ssl_context: Used as it is, instead of the two above.
        trust_env: True if `SSL_CERT_FILE`, `SSL_CERT_DIR`, `REQUESTS_CA_BUNDLE` and `CURL_CA_BUNDLE` may name trusted
            certificates.
    """

    ca_file: str | os.PathLike[str] | None = None
    client_cert: tuple[str, ...] | None = attrs.field(default=None, converter=_as_tuple, repr=False)
    ssl_context: ssl.SSLContext | None = None
    trust_env: bool = True
    _lock: threading.Lock = attrs.field(factory=process_lock, init=False, repr=False)

    def context(self) -> ssl.SSLContext:
        """Return the context of these settings, always the same one.

        Raises:
            LocalProtocolError: If a certificate file cannot be used.
        """
        with self._lock:
            if self.ssl_context is None:
                self.ssl_context = self._make_context()
            return self.ssl_context

    def disable_verification(self) -> None:
        """Accept every certificate, as `verify=False` of `requests` does."""
        context = _strict_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._load_client_cert(context)
        self.ssl_context = context

    def _make_context(self) -> ssl.SSLContext:
        context = _strict_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A name only in the certificate's subject is not checked since RFC 9110 section 4.3.4; browsers refuse it too.
        context.hostname_checks_common_name = False
        trusted = self.ca_file or (self._named_by_environment() if self.trust_env else None)
        if trusted is not None:
            self._trust(context, trusted)
        else:
            self._trust_system(context)
        self._load_client_cert(context)
        return context

    def _load_client_cert(self, context: ssl.SSLContext) -> None:
        if self.client_cert is not None:
            try:
                context.load_cert_chain(*self.client_cert)
            except OSError as error:
                raise LocalProtocolError(
                    f"the client certificate in {self.client_cert[0]} cannot be used: {_reason(error)}"
                ) from error

    def _trust(self, context: ssl.SSLContext, trusted: str | os.PathLike[str]) -> None:
        try:
            if os.path.isdir(trusted):
                context.load_verify_locations(capath=trusted)
            else:
                context.load_verify_locations(cafile=trusted)
        except OSError as error:
            raise LocalProtocolError(
                f"the trusted certificates in {os.fspath(trusted)} cannot be used: {_reason(error)}"
            ) from error

    def _trust_system(self, context: ssl.SSLContext) -> None:
        if self.trust_env or os.name == "nt":
            context.load_default_certs()
        else:
            # OpenSSL reads SSL_CERT_FILE and SSL_CERT_DIR itself if it loads its defaults.
            paths = ssl.get_default_verify_paths()
            cafile = paths.openssl_cafile if os.path.isfile(paths.openssl_cafile) else None
            capath = paths.openssl_capath if os.path.isdir(paths.openssl_capath) else None
            if cafile or capath:
                context.load_verify_locations(cafile, capath)
        _trust_certifi_if_empty(context)

    def _named_by_environment(self) -> str | None:
        return next((path for name in _VARIABLES if (path := os.environ.get(name))), None)


def _strict_context() -> ssl.SSLContext:
    """Return a context that reports an end without close_notify as an error: anyone on the way can cut a connection.

    With OpenSSL 3, Python before 3.11.3 sets the option to ignore such an end (github.com/python/cpython/issues/95494).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    return context


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "it is not a PEM file"
    return error.strerror or str(error)


def _trust_certifi_if_empty(context: ssl.SSLContext) -> None:
    """Trust the certificates of certifi if the system has none, as with python.org's Python for macOS."""
    paths = ssl.get_default_verify_paths()
    if context.cert_store_stats()["x509_ca"] or paths.cafile or paths.capath:
        return
    try:
        import certifi
    except ImportError:
        return
    context.load_verify_locations(certifi.where())
