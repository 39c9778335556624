"""Certificates for the checks of TLS: good ones, and ones with each of the usual flaws. Needs `trustme`."""

from __future__ import annotations

import datetime
import pathlib
import ssl
import tempfile
from types import TracebackType
from typing import Self

__all__ = ["Certificates"]


class Certificates:
    """A new CA, and server contexts with certificates that it issued. The files exist until the `with` ends."""

    def __init__(self) -> None:
        import trustme  # for these checks alone

        self._trustme = trustme
        self._ca = trustme.CA()
        self._folder = tempfile.TemporaryDirectory(prefix="turnout-conformance-")

    def __enter__(self) -> Self:
        self._ca.cert_pem.write_to_path(self.ca_file)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    @property
    def ca_file(self) -> str:
        """The certificate of the CA, to trust."""
        return str(pathlib.Path(self._folder.name) / "ca.pem")

    def client_cert(self) -> str:
        """A file with a certificate and key for a client."""
        path = pathlib.Path(self._folder.name) / "client.pem"
        self._ca.issue_cert("client@example.test").private_key_and_cert_chain_pem.write_to_path(str(path))
        return str(path)

    def good(self, *names: str) -> ssl.SSLContext:
        """A certificate for these names; without any, for the loopback address and localhost."""
        return self._context(self._ca.issue_cert(*(names or ("127.0.0.1", "localhost"))))

    def expired(self) -> ssl.SSLContext:
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        return self._context(
            self._ca.issue_cert("127.0.0.1", "localhost", not_before=now - 20 * day, not_after=now - 10 * day)
        )

    def unknown_issuer(self) -> ssl.SSLContext:
        return self._context(self._trustme.CA().issue_cert("127.0.0.1", "localhost"))

    def asking_for_client_cert(self) -> ssl.SSLContext:
        """Accepts only clients that show a certificate of this CA."""
        context = self.good()
        context.verify_mode = ssl.CERT_REQUIRED
        self._ca.configure_trust(context)
        return context

    def _context(self, issued: object) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issued.configure_cert(context)  # type: ignore[attr-defined]  # trustme is imported late
        return context
