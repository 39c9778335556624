"""Requests to Amazon Bedrock signed with AWS credentials (Signature Version 4), by botocore's own signer.

    router.register(create("bedrock", region="eu-central-1", auth=SigV4()))

`pip install "turnout[bedrock]"`. Not needed with a Bedrock API key (`AWS_BEARER_TOKEN_BEDROCK`).
Source: the AWS reference, "Create a signed AWS API request".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from turnout.errors import AuthenticationFailed
from turnout.http import Headers, HttpRequest
from turnout.http.origin import split_url

if TYPE_CHECKING:
    from botocore.session import Session

__all__ = ["SigV4"]

# Of the public endpoints of all partitions, those in a private network, and the dual-stack ones.
_REGION = re.compile(
    r"bedrock(?:-runtime)?(?:-fips)?\.([a-z0-9-]+)\.(?:vpce\.)?"
    r"(?:amazonaws\.(?:com|eu)|api\.aws|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
)


class SigV4:
    """Signs each request just before it is sent, with the credentials that the AWS tools would use.

    botocore renews credentials that expire, which may need a request to AWS. If there are no credentials, or they
    cannot be fetched, the attempt fails with AuthenticationFailed, and the call continues with the next candidate.

    Args:
        profile: The name of a profile in ~/.aws/config and ~/.aws/credentials. By default it is AWS_PROFILE; without
            that, the credentials are those in the environment or of the machine's role.
        region: The AWS region. By default it is the one in the request's host, then the profile's.
        session: A session of botocore with other credentials.
        service: The service that the signature is for.
    """

    def __init__(
        self,
        *,
        profile: str | None = None,
        region: str | None = None,
        session: Session | None = None,
        service: str = "bedrock",
    ) -> None:
        try:
            from botocore.session import Session as Made
        except ImportError:
            raise ImportError('to sign requests to AWS, pip install "turnout[bedrock]"') from None
        self._session = session if session is not None else Made(profile=profile)
        self._region = region
        self._service = service
        self._last: Any = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the credentials of the last request, which no error may show."""
        last = self._last
        return tuple(filter(None, (last.access_key, last.secret_key, last.token))) if last is not None else ()

    def __repr__(self) -> str:
        return f"SigV4(region={self._region!r}, service={self._service!r})"

    def __call__(self, request: HttpRequest) -> HttpRequest:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError

        try:
            credentials = self._session.get_credentials()
            if credentials is None:
                raise AuthenticationFailed(
                    "no AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, "
                    "or use a Bedrock API key in AWS_BEARER_TOKEN_BEDROCK"
                )
            region = self._region or self._region_of(request)
            # Only these fields are signed, because a proxy or the transport may change the others.
            signed = [(name, value) for name, value in request.headers if name.lower() in ("accept", "content-type")]
            wire: Any = AWSRequest(request.method, request.url, headers=dict(signed), data=request.body)
            self._last = credentials.get_frozen_credentials()
            SigV4Auth(self._last, self._service, region).add_auth(wire)
        except BotoCoreError as error:
            raise AuthenticationFailed(f"the AWS credentials cannot be used: {error}") from error
        fresh = {name: value for name, value in wire.headers.items() if (name, value) not in signed}
        kept = [(name, value) for name, value in request.headers if name.lower() not in {key.lower() for key in fresh}]
        return HttpRequest(request.method, request.url, Headers((*kept, *fresh.items())), request.body)

    def _region_of(self, request: HttpRequest) -> str:
        found = _REGION.search(split_url(request.url)[0].host)
        region = found[1] if found is not None else self._session.get_config_variable("region")
        if not region:
            raise AuthenticationFailed("no AWS region is known: set AWS_REGION, or give SigV4(region=…)")
        return str(region)
