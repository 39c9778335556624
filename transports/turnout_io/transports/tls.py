"""TLS settings, and one SSL context for each set of them, made when first needed: making one costs some 30 ms."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Mapping

import attrs

from turnout.errors import LocalProtocolError
from turnout_io.process_lock import process_lock

__all__ = ["TlsSettings"]


def _as_pair(given: str | os.PathLike[str] | tuple[str, ...] | None) -> tuple[str, ...] | None:
    return given if given is None or isinstance(given, tuple) else (os.fspath(given),)


@attrs.define(eq=False)
class TlsSettings:
    """What a TLS connection trusts and shows.

    ca_file      certificates to trust in place of the system's: a PEM file or a directory
    client_cert  PEM file with certificate and key, or (certificate, key), or (certificate, key, password)
    ssl_context  used as it is, in place of the two above
    environ      where `SSL_CERT_FILE`, `REQUESTS_CA_BUNDLE` or `CURL_CA_BUNDLE` may name `ca_file`; None to read none
    """

    ca_file: str | os.PathLike[str] | None = None
    client_cert: tuple[str, ...] | None = attrs.field(default=None, converter=_as_pair, repr=False)
    ssl_context: ssl.SSLContext | None = None
    environ: Mapping[str, str] | None = attrs.field(default=None, repr=False)
    _lock: threading.Lock = attrs.field(factory=process_lock, init=False, repr=False)

    def context(self) -> ssl.SSLContext:
        """The context of these settings, always the same one. Raises LocalProtocolError where a file cannot be used."""
        with self._lock:
            if self.ssl_context is None:
                self.ssl_context = self._make_context()
            return self.ssl_context

    def _make_context(self) -> ssl.SSLContext:
        trusted = self.ca_file or self._named_by_environment()
        try:
            if trusted is None:
                context = ssl.create_default_context()
                _trust_certifi_where_system_has_none(context)
            elif os.path.isdir(trusted):
                context = ssl.create_default_context(capath=trusted)
            else:
                context = ssl.create_default_context(cafile=trusted)
        except OSError as fault:
            raise LocalProtocolError(f"the trusted certificates in {trusted} cannot be used: {fault}") from fault
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.client_cert is not None:
            try:
                context.load_cert_chain(*self.client_cert)
            except OSError as fault:
                raise LocalProtocolError(
                    f"the client certificate in {self.client_cert[0]} cannot be used: {fault}"
                ) from fault
        return context

    def _named_by_environment(self) -> str | None:
        if self.environ is None:
            return None
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            if path := self.environ.get(name):
                return path
        return None


def _trust_certifi_where_system_has_none(context: ssl.SSLContext) -> None:
    """Some builds of Python (python.org's for macOS) come without a trust store; requests brings certifi's."""
    paths = ssl.get_default_verify_paths()
    if context.cert_store_stats()["x509_ca"] or paths.cafile or paths.capath:
        return
    try:
        import certifi
    except ImportError:
        return
    context.load_verify_locations(certifi.where())
