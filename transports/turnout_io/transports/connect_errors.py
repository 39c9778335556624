"""Why a connection could not be made, as one line that says what to do."""

from __future__ import annotations

import errno
import socket
import ssl

from turnout.errors import ConnectFailed
from turnout.http.origin import Origin

__all__ = ["connect_failed", "is_certificate_alert", "proxy_refused"]

# OpenSSL's X509_V_ERR_* numbers, which Python gives as `verify_code`.
_EXPIRED, _NOT_YET_VALID, _HOSTNAME, _ADDRESS = 10, 9, 62, 64
_SELF_SIGNED = (18, 19)
_UNKNOWN_ISSUER = (2, 20, 21)


def connect_failed(origin: Origin, fault: OSError, *, proxy: str | None = None) -> ConnectFailed:
    """The error for `fault`, met on the way to `origin`; `proxy` names the proxy where it stood in between."""
    where = origin.authority if proxy is None else f"the proxy {proxy}"
    reason = ""
    match fault:
        case socket.gaierror():
            reason = "name"
            told = f"no address is known for {where} ({fault.strerror}): check the host name and this machine's DNS"
        case ssl.SSLCertVerificationError():
            reason, told = "certificate", _certificate(fault, where, origin.host)
        case ssl.SSLError():
            reason, told = _tls(fault, where)
        case ConnectionRefusedError():
            reason = "refused"
            told = f"{where} refused the connection: check that the server runs and that the port is right"
        case ConnectionResetError() | BrokenPipeError() | ConnectionAbortedError():
            reason, told = "closed", f"{where} closed the connection while it was being set up"
        case OSError(errno=errno.ENETUNREACH | errno.EHOSTUNREACH | errno.EADDRNOTAVAIL):
            reason, told = "route", f"there is no route to {where} ({fault.strerror}): check this machine's network"
        case OSError(errno=errno.ETIMEDOUT):
            reason, told = "silence", f"{where} did not answer: check the address, and firewalls on the way"
        case OSError(errno=errno.EMFILE | errno.ENFILE):
            told = f"no connection to {where}: this process has too many open files ({fault.strerror})"
        case _:
            told = f"no connection to {where}: {fault}"
    return ConnectFailed(told, reason=reason)


def _certificate(fault: ssl.SSLCertVerificationError, where: str, host: str) -> str:
    match fault.verify_code:
        case code if code == _EXPIRED:
            return f"the certificate of {where} has expired: its owner must renew it, or this machine's clock is wrong"
        case code if code == _NOT_YET_VALID:
            return f"the certificate of {where} is not valid yet: check this machine's clock"
        case code if code in (_HOSTNAME, _ADDRESS):
            return f"the certificate of {where} is not for {host}: check the host name in the URL"
        case code if code in _SELF_SIGNED:
            return f"the certificate of {where} is self-signed: if it is meant to be, name it as ca_file"
        case code if code in _UNKNOWN_ISSUER:
            return (
                f"the issuer of the certificate of {where} is not trusted here: name its CA as ca_file if you trust it"
            )
    return f"the certificate of {where} was not accepted: {fault.verify_message}"


def _tls(fault: ssl.SSLError, where: str) -> tuple[str, str]:
    """The reason and the message."""
    code = getattr(fault, "reason", None) or str(fault)  # OpenSSL alone sets it
    if code in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"):
        return "tls", f"{where} does not speak TLS: should the URL begin with http://, or is the port another one?"
    if isinstance(fault, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "closed", f"{where} closed the connection during the TLS handshake"
    if "CERTIFICATE_REQUIRED" in code or "BAD_CERTIFICATE" in code:
        return "certificate", f"{where} wants a client certificate: name one as client_cert ({code})"
    if code.endswith("ALERT_HANDSHAKE_FAILURE"):
        return "tls", (
            f"{where} refused the TLS handshake: perhaps it wants a client certificate, named as client_cert, "
            f"or accepts no cipher of this machine ({code})"
        )
    return "tls", f"the TLS handshake with {where} failed: {code}"


def is_certificate_alert(error: OSError) -> bool:
    """True if the server rejected the client's certificate, or requires one that the client did not send."""
    code = (getattr(error, "reason", None) or "") if isinstance(error, ssl.SSLError) else ""
    return "ALERT" in code and ("CERTIFICATE" in code or "UNKNOWN_CA" in code)


def proxy_refused(proxy: str, status: int, target: str, *, authorized: bool) -> ConnectFailed:
    """The error for a proxy that answered CONNECT with a status other than 2xx."""
    reason = "proxy-refused" if 400 <= status < 500 else "proxy"
    if status in (401, 407) and authorized:  # tinyproxy answers 401 to a password that is wrong
        told = f"the proxy {proxy} does not accept its user name and password"
    elif status == 407:
        told = f"the proxy {proxy} wants a user name and password: give them in its URL, http://user:password@host:port"
    elif status == 403:
        told = f"the proxy {proxy} does not allow connections to {target}"
    else:
        told = f"the proxy {proxy} made no connection to {target}: it answered with status {status}"
    return ConnectFailed(told, reason=reason)
