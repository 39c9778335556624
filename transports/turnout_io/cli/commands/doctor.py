"""`turnout doctor`: checks everything that a call needs, from the versions and the clock to each provider's key."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import attrs
import click

from turnout._utils.names import vendor_of
from turnout.chat import Capability, ProviderStatus
from turnout.config.settings import ProviderSettings
from turnout.config.values import SettingsError
from turnout.errors import AuthenticationFailed, ConnectFailed, PermissionDenied, TurnoutError
from turnout.http import shown_url
from turnout.providers import CATALOG
from turnout_io.cli.options import CONFIG, ENV_FILE, JSON, Duration, complete_provider
from turnout_io.cli.router import Session, check_names, open_session
from turnout_io.cli.standard_files import reason_of

__all__ = ["doctor"]

# Seconds between the clocks of this machine and of a provider. Signatures of requests allow five minutes.
CLOCK_TOLERANCE = 60.0
PACKAGES = ("turnout", "requests", "urllib3", "certifi", "h11", "msgspec", "attrs", "click", "rich", "trio")
EXTRAS = {"config": "yaml", "prices": "genai_prices", "trio": "trio", "socks": "socksio", "bedrock": "botocore"}
# Providers that list their models for everybody, whatever the key is.
LISTS_FOR_ALL = ("openrouter",)
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


@attrs.frozen
class Finding:
    """One result: `ok`, `info` (no judgement), `warning` (calls may fail) or `error` (calls fail)."""

    level: Literal["ok", "info", "warning", "error"]
    subject: str
    text: str


@click.command()
@click.argument("providers", nargs=-1, metavar="[PROVIDER]...", shell_complete=complete_provider)
@click.option(
    "--timeout", default=10.0, show_default=True, type=Duration(), metavar="SECONDS",
    help="How long to wait for each provider.",
)  # fmt: skip
@click.option("--offline", is_flag=True, help="Connect to nothing.")
@JSON
@CONFIG
@ENV_FILE
def doctor(
    providers: tuple[str, ...], timeout: float, offline: bool, as_json: bool, config: str | None, env_file: str
) -> None:
    """Check versions, settings, proxy, clock, TLS, and the keys of providers.

    Each provider that is configured, or each PROVIDER, is asked for its list of
    models, which costs nothing. Keys are never printed. The exit code is 1 if an
    error is found.

    \b
    Examples:
      turnout doctor
      turnout doctor openai --json
      turnout doctor --offline
    """
    findings = [*_versions(), *_variables(env_file)]
    try:
        with open_session(config, env_file) as session:
            findings += _settings(session, config)
            findings += _providers(session)
            statuses = _chosen(session, providers)
            findings += [finding for status in statuses for finding in _key_findings(status, session)]
            if not offline:
                usable = [status for status in statuses if status.status == "available"]
                findings += _asked(session, usable, timeout, named=bool(providers))
    except (SettingsError, OSError) as error:
        text = reason_of(error) if isinstance(error, OSError) else str(error)
        findings.append(Finding("error", "settings", text))
    if as_json:
        click.echo(json.dumps([attrs.asdict(finding) for finding in findings], ensure_ascii=False, indent=1))
    else:
        _print(findings)
    if any(finding.level == "error" for finding in findings):
        raise click.exceptions.Exit(1)


def _print(findings: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    styles = {"ok": "green", "info": "dim", "warning": "yellow", "error": "bold red"}
    for finding in findings:
        console.print(Text.assemble((f"{finding.level:<8}", styles[finding.level]), (finding.subject, "bold")))
        console.print(Padding(Text(finding.text), (0, 0, 0, 8), expand=False))


def _versions() -> Iterator[Finding]:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    system = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {ssl.OPENSSL_VERSION}"
    yield Finding("info", "versions", f"{system}; {', '.join(found)}")
    missing = [extra for extra, module in EXTRAS.items() if importlib.util.find_spec(module) is None]
    if missing:
        yield Finding("info", "extras", f'not installed: {", ".join(missing)}; pip install "turnout[{missing[0]}]"')


def _variables(env_file: str) -> Iterator[Finding]:
    proxies = [
        f"{name}={shown_url(value)}"
        for name in PROXIES
        if (value := os.environ.get(name) or os.environ.get(name.lower()))
    ]
    yield Finding("info", "proxy", ", ".join(proxies) or "no variable names a proxy")
    for name in CERTIFICATES:
        value = os.environ.get(name)
        if value and not Path(value).exists():
            yield Finding("error", "certificates", f"{name} names {value}, which does not exist")
        elif value:
            yield Finding("info", "certificates", f"{name}={value}")
    present = "is read" if Path(env_file).is_file() else "does not exist"
    yield Finding("info", "variables", f"the file {env_file} {present}; the environment is read")


def _settings(session: Session, config: str | None) -> Iterator[Finding]:
    yield Finding("info", "settings", config or "no config file; turnout config path prints where it can be")
    model = session.defaults.model
    if model is None:
        yield Finding("info", "default model", "none; turnout config set model PROVIDER/MODEL")
        return
    known = {settings.name for settings in session.settings.providers}
    if not model.is_route and model.provider not in known:
        yield Finding("error", "default model", f"{model}: there is no provider {model.provider!r}")
        return
    status = next((one for one in session.router.statuses() if one.provider == model.provider), None)
    if status is not None and status.status == "not-configured":
        yield Finding("error", "default model", f"{model}: set {' and '.join(status.missing_env)}")
    else:
        yield Finding("ok", "default model", str(model))


def _providers(session: Session) -> Iterator[Finding]:
    statuses = session.router.statuses()
    names = [one.provider for one in statuses if one.status == "available" and _has_key(session, one.provider)]
    yield Finding(
        "info", "providers", f"with a key: {', '.join(names) or 'none; turnout providers names the variables'}"
    )


def _chosen(session: Session, names: Sequence[str]) -> list[ProviderStatus]:
    """Return the named providers, else those that are configured, and the local ones that need no key."""
    check_names(session, names, "doctor")
    statuses = {status.provider: status for status in session.router.statuses()}
    if names:
        return [statuses[name] for name in names]
    return [status for status in statuses.values() if status.status != "not-configured"]


def _key_findings(status: ProviderStatus, session: Session) -> Iterator[Finding]:
    if status.status == "disabled":
        yield Finding("warning", status.provider, f"it is disabled: {status.reason or 'by the settings'}")
    elif status.status == "not-configured":
        yield Finding("error", status.provider, f"it is not configured; set {' and '.join(status.missing_env)}")
    for key in _settings_of(session, status.provider).keys:
        if key != key.strip("\"'") or any(character.isspace() for character in key):
            yield Finding(
                "warning", status.provider, "its key has quotes, spaces or line breaks, which no real key has"
            )


def _settings_of(session: Session, name: str) -> ProviderSettings:
    return next(settings for settings in session.settings.providers if settings.name == name)


def _asked(session: Session, statuses: Sequence[ProviderStatus], timeout: float, *, named: bool) -> list[Finding]:
    """Ask all providers at once, and return the findings in the order of the providers."""
    found: dict[str, list[Finding]] = {}

    def ask(status: ProviderStatus) -> None:
        try:
            found[status.provider] = list(_findings_of(session, status, timeout))
        except Exception as error:
            found[status.provider] = [Finding("error", status.provider, f"{type(error).__name__}: {error}")]

    # Daemon threads, because Ctrl-C must not wait for the slowest provider.
    threads = [threading.Thread(target=ask, args=(status,), daemon=True) for status in statuses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    findings = []
    for status in statuses:
        results = found[status.provider]
        if named or _needs_key(status.provider) or any(finding.level == "ok" for finding in results):
            findings += results
    asked = [finding for finding in findings if finding.level in ("ok", "error")]
    if not asked:
        findings.append(Finding("error", "providers", "none is configured; turnout providers names the variables"))
    return findings


def _findings_of(session: Session, status: ProviderStatus, timeout: float) -> Iterator[Finding]:
    name = status.provider
    base_url = _settings_of(session, name).base_url or (CATALOG[name].base_url if name in CATALOG else "")
    if Capability.MODELS in status.capabilities:
        started = time.monotonic()
        try:
            models = session.router.models(name, timeout=timeout)
        except TurnoutError as error:
            at = f" (at {_shown(base_url)})" if base_url else ""
            yield Finding("error", name, f"{_cause(error)}: {' '.join(str(error).split())}{at}")
            if isinstance(error, ConnectFailed):
                return
        else:
            took = time.monotonic() - started
            at = f" at {_shown(base_url)}" if base_url else ""
            yield Finding("ok", name, _listed(session, name, f"{len(models)} models in {took:.2f} s{at}"))
    else:
        yield Finding("info", name, "it has no list of models, so its key cannot be checked without a call that costs")
    if base_url:
        yield from _connection_findings(name, base_url, timeout)


def _shown(base_url: str) -> str:
    """Return an address without what can be a secret: a password or a query."""
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _needs_key(name: str) -> bool:
    entry = CATALOG.get(vendor_of(name))
    return entry is None or entry.needs_key


def _has_key(session: Session, name: str) -> bool:
    return _needs_key(name) and bool(_settings_of(session, name).keys)


def _listed(session: Session, name: str, models: str) -> str:
    if not _has_key(session, name):
        return f"it runs; {models}"
    if vendor_of(name) in LISTS_FOR_ALL:
        return f"it can be reached; {models}; its list needs no key, so the key is not checked"
    return f"the key is accepted; {models}"


def _cause(error: TurnoutError) -> str:
    if isinstance(error, AuthenticationFailed | PermissionDenied):
        return "the key is rejected"
    if isinstance(error, ConnectFailed):
        return {
            "name": "no such host",
            "refused": "the connection is refused",
            "certificate": "the certificate is not trusted",
            "tls": "TLS fails",
            "proxy": "the proxy fails",
            "proxy-refused": "the proxy refuses",
        }.get(error.reason, "no connection")
    return "the list of models fails"


def _connection_findings(name: str, base_url: str, timeout: float) -> Iterator[Finding]:
    """Compare the clocks, and look at the certificate if the connection needs no proxy."""
    import requests

    try:
        head = requests.head(base_url, timeout=timeout, allow_redirects=False)
    except requests.RequestException:
        return  # the list of models has reported it
    date = head.headers.get("Date")
    try:
        offset = time.time() - parsedate_to_datetime(date).timestamp() if date else 0.0
    except ValueError:
        offset = 0.0
    if abs(offset) > CLOCK_TOLERANCE:
        side = "ahead of" if offset > 0 else "behind"
        yield Finding("warning", name, f"the clock of this machine is {abs(offset):.0f} s {side} the provider's")
    parts = urlsplit(base_url)
    if parts.scheme == "https" and not requests.utils.get_environ_proxies(base_url) and parts.hostname:
        yield from _tls_findings(name, parts.hostname, parts.port or 443, timeout)


def _tls_findings(name: str, host: str, port: int, timeout: float) -> Iterator[Finding]:
    import certifi

    try:
        context = ssl.create_default_context(cafile=os.environ.get("REQUESTS_CA_BUNDLE") or certifi.where())
        with (
            socket.create_connection((host, port), timeout=timeout) as plain,
            context.wrap_socket(plain, server_hostname=host) as encrypted,
        ):
            certificate: Any = encrypted.getpeercert() or {}
            version = encrypted.version()
    except (OSError, ValueError):
        return  # the list of models has reported it
    days = (ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / 86400
    yield Finding("info", name, f"{version}, the certificate of {host} is valid for {days:.0f} days")
