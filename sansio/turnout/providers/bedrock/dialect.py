"""The dialect of Amazon Bedrock: Converse, with one shape for the models of all makers, and a binary stream.

Source: the Amazon Bedrock API reference ("Converse", "ConverseStream", "ListFoundationModels",
"ListInferenceProfiles", "Common errors") and its user guide on API keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import attrs

from turnout.chat import ChatRequest, ChatResponse, FinishReason, ModelInfo
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse
from turnout.errors import CapabilityUnsupported, RemoteProtocolError, TurnoutError
from turnout.http import Auth, Headers, HttpRequest
from turnout.providers.auth import secrets_of_auth
from turnout.providers.bedrock.frames import converse_frames
from turnout.providers.bedrock.request import converse_body
from turnout.providers.bedrock.stream import ANSWER, ConverseReader
from turnout.providers.bedrock.turns import family_of
from turnout.providers.bedrock.wire import FoundationModels, InferenceProfiles
from turnout.providers.decoding.token_counts import count_exchange, without_sampling
from turnout.providers.dialect import Dialect
from turnout.providers.exchange import HttpExchange
from turnout.providers.json_codec import LenientDecoder, decode_any
from turnout.providers.protocol import ModelPage
from turnout.providers.urls import checked_label, path_segment
from turnout.token_counting import TokenCount

__all__ = ["FINISH_REASONS", "Bedrock"]

FINISH_REASONS = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "guardrail_intervened": FinishReason.CONTENT_FILTER,
    "content_filtered": FinishReason.CONTENT_FILTER,
    "malformed_model_output": FinishReason.ERROR,
    "malformed_tool_use": FinishReason.ERROR,
}

_MODELS = LenientDecoder(FoundationModels)
_PROFILES = LenientDecoder(InferenceProfiles)
# The domains of Amazon's partitions, by the beginnings of their regions.
_PARTITIONS = (
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
)
# The fields of Converse that the counting of tokens takes.
_COUNTED = ("messages", "system", "toolConfig", "additionalModelRequestFields")
# The model list is in two parts, and the second has pages: their tokens go behind this.
_PROFILE_PAGE = "profiles:"


def _is_region(instance: object, attribute: object, value: str | None) -> None:
    if value is not None:
        checked_label(value, "region")


@attrs.frozen
class Bedrock(Dialect):
    """A provider that speaks Converse (`turnout.providers.protocol.Provider`).

    The other fields of Converse (`guardrailConfig`, `additionalModelRequestFields`, `performanceConfig`, …) are for
    `ModelConfig.extra`.

    Attributes:
        region: The region of the service, such as us-east-1. It is not needed beside a base URL and a bearer token.
        auth: Signs each request just before it is sent, if there is no key (`turnout_io.aws.SigV4`).
    """

    region: str | None = attrs.field(default=None, validator=_is_region)
    auth: Auth | None = attrs.field(default=None, repr=False, eq=False)
    finish_reasons = FINISH_REASONS
    unique_ids = False
    stream_type = "application/vnd.amazon.eventstream"

    def continues(self, request: ChatRequest) -> bool:
        """See `Dialect.continues`."""
        return True

    def family_of(self, model_id: str) -> str:
        return family_of(model_id)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (*self.account.secrets, *secrets_of_auth(self.auth))

    @property
    def missing_env(self) -> tuple[str, ...]:
        """The key, unless requests are signed; and the region, unless there are a base URL and a key."""
        entry, account = self.account.spec, self.account
        key = () if account.has_key or self.auth is not None else entry.key_env[:1]
        located = self.region or (account.base_url and not (self.auth is not None and not account.has_key))
        return key + (() if located else entry.option_env["region"][:1])

    def chat(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        request = self.adapt(request)
        body, dropped = converse_body(request, self.account)
        http_request = self._converse(request, "converse", body)
        return self.document_exchange(
            http_request, lambda body, headers: self._parse_chat(body, request, headers), dropped
        )

    def stream(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        request = self.adapt(request)
        body, dropped = converse_body(request, self.account)
        http_request = self._converse(request, "converse-stream", body, stream=True)
        return self.stream_exchange(
            http_request, request, lambda *parts: ConverseReader(self, *parts), converse_frames, dropped
        )

    def embed(self, request: EmbeddingRequest) -> HttpExchange[EmbeddingResponse]:
        raise CapabilityUnsupported(f"{request.model}: Converse offers no embeddings")

    def count_tokens(self, request: ChatRequest) -> HttpExchange[TokenCount]:
        """See `turnout.providers.protocol.TokenCounter`."""
        body, _ = converse_body(without_sampling(self.adapt(request)), self.account)
        counted = {name: value for name, value in body.items() if name in _COUNTED}
        http_request = self._converse(request, "count-tokens", {"input": {"converse": counted}})
        return count_exchange(self, http_request, request.model)

    def models(self, page: str | None = None) -> HttpExchange[ModelPage]:
        """List the foundation models, then the inference profiles: many models need one."""
        endpoint = self._endpoint().replace("bedrock-runtime", "bedrock", 1)
        if page is None:
            http_request = self.build_request("GET", f"{endpoint}/foundation-models", None, auth=self._signer)
            return self.document_exchange(http_request, self._parse_models)
        token = page.removeprefix(_PROFILE_PAGE)
        query = "?maxResults=1000" + (f"&nextToken={quote(token, safe='')}" if token else "")
        http_request = self.build_request("GET", f"{endpoint}/inference-profiles{query}", None, auth=self._signer)
        return self.document_exchange(http_request, self._parse_profiles)

    # -- requests -----------------------------------------------------------------------------------------------

    @property
    def _signer(self) -> Auth | None:
        return None if self.account.has_key else self.auth

    def _endpoint(self) -> str:
        if self.account.base_url:
            return self.account.base_url
        domains = (domain for prefix, domain in _PARTITIONS if (self.region or "").startswith(prefix))
        return f"https://bedrock-runtime.{self.region}.{next(domains, 'amazonaws.com')}"

    def _converse(self, request: ChatRequest, verb: str, body: dict[str, Any], *, stream: bool = False) -> HttpRequest:
        # The colon of a version and the slashes of an ARN belong to the id, and not to the path of the URL.
        model = path_segment(request.model.model_id, f"{self.name}: the model's id {request.model.model_id!r}")
        url = f"{self._endpoint()}/model/{model}/{verb}"
        return self.build_request("POST", url, body, stream=stream, auth=self._signer)

    # -- responses ----------------------------------------------------------------------------------------------

    def _parse_chat(self, body: bytes, request: ChatRequest, headers: Headers) -> ChatResponse:
        answer = self.decode(ANSWER, body)
        if answer.output is None and answer.stop_reason is None:
            raise self._no_answer(body, headers, f"{request.model}: the response has neither content nor a stop reason")
        accumulator = self.new_accumulator(request, headers)
        reader = ConverseReader(self, accumulator, headers)
        reader.apply(answer, [])
        accumulator.raw = body
        return self.whole_response(accumulator)

    def _parse_models(self, body: bytes, headers: Headers) -> ModelPage:
        wire = self.decode(_MODELS, body)
        if wire.model_summaries is None:
            raise self._no_answer(body, headers, f"{self.name}: the response has no model list")
        infos = (
            ModelInfo(model.model_id, self.name, owned_by=model.provider_name)
            for model in wire.model_summaries
            if model.model_id
        )
        return ModelPage(tuple(infos), _PROFILE_PAGE)

    def _parse_profiles(self, body: bytes, headers: Headers) -> ModelPage:
        wire = self.decode(_PROFILES, body)
        profiles = wire.inference_profile_summaries
        if profiles is None:
            raise self._no_answer(body, headers, f"{self.name}: the response has no list of inference profiles")
        ids: Iterable[str] = (profile.inference_profile_id for profile in profiles if profile.inference_profile_id)
        next_page = _PROFILE_PAGE + wire.next_token if wire.next_token else None
        return ModelPage(tuple(ModelInfo(id, self.name) for id in ids), next_page)

    def _no_answer(self, body: bytes, headers: Headers, otherwise: str) -> TurnoutError:
        """Return the error that a body with a good status reports, or the one for a body that is no answer."""
        return self.in_band_error(decode_any(body), body, headers) or RemoteProtocolError(otherwise)
