"""What the providers of every dialect have in common: an account, the making of requests, the reading of errors.

A dialect of your own may build on `Dialect`, or be anything else that `turnout.providers.protocol.Provider` describes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeVar

import attrs
import msgspec

from turnout.chat import Capability, ChatRequest, ChatResponse, FinishReason, ModelConfig
from turnout.errors import ProviderError, RemoteProtocolError
from turnout.framing.parser import FrameParser
from turnout.http import Auth, Headers, HttpRequest
from turnout.providers.catalog.spec import ProviderAccount
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.decoding.error_bodies import ErrorDetails, parse_error
from turnout.providers.decoding.error_mapping import ReadErrorBody, error_reader, to_error
from turnout.providers.decoding.response_headers import rate_limit, request_id
from turnout.providers.decoding.stream_reader import ChunkReader, StreamReader
from turnout.providers.encoding.adapt import Target, adapt, adapt_model, caller_names, given
from turnout.providers.encoding.tool_names import OPENAI_TOOL_NAMES, ToolNameRule
from turnout.providers.exchange import DocumentReader, HttpExchange
from turnout.providers.json_codec import LenientDecoder, encode
from turnout.providers.protocol import ModelProfile
from turnout.redaction import Redactor, escape_controls

__all__ = ["Dialect"]

UNKNOWN = ModelProfile()

T = TypeVar("T")
StructT = TypeVar("StructT", bound=msgspec.Struct)


@attrs.frozen
class Dialect:
    """An account with a provider, and how its dialect is asked and read.

    finish_reasons  the dialect's words for the end of an answer, in Turnout's
    stream_type     the media type of its streams
    tool_names      the names of tools that it accepts
    unique_ids      whether `adapt` makes repeated ids of calls different; False if the dialect does it itself
    """

    account: ProviderAccount
    # By whether a stream is asked for and whether there is a body: the credentials, and the header with them.
    _known_headers: dict[tuple[bool, bool], tuple[tuple[tuple[str, str], ...], Headers]] = attrs.field(
        factory=dict, init=False, repr=False, eq=False
    )
    # The secrets and what removes them: a token can be another one for each request.
    _known_redactor: list[Any] = attrs.field(factory=list, init=False, repr=False, eq=False)
    finish_reasons: ClassVar[Mapping[str, FinishReason]]
    stream_type: ClassVar[str] = "text/event-stream"
    tool_names: ClassVar[ToolNameRule] = OPENAI_TOOL_NAMES
    unique_ids: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return self.account.name

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self.account.spec.capabilities

    @property
    def missing_env(self) -> tuple[str, ...]:
        return self.account.missing_env

    @property
    def embedding_batch(self) -> int | None:
        return self.account.spec.embedding_batch

    @property
    def family(self) -> str:
        """Who understands what an answer has to carry back to its maker (`Message.origin`)."""
        return self.account.spec.name

    @property
    def scopes(self) -> tuple[str, ...]:
        """Return the names of the extra fields that are for this provider: its dialect, then its entry."""
        return (self.account.spec.dialect, self.account.spec.name)

    def family_of(self, model_id: str) -> str:
        """Return the family of one of its models, if that depends on the model."""
        return self.family

    def facts(self, model_id: str) -> ModelProfile:
        rule, window = self.account.spec.rule(model_id), self.account.spec.context_window(model_id)
        if rule is None:
            return UNKNOWN if window is None else ModelProfile(context_window=window)
        return ModelProfile(first_content=rule.first_token, context_window=window, prefill=rule.prefill)

    def adapt(self, request: ChatRequest, scopes: tuple[str, ...] = ()) -> ChatRequest:
        """Return the request with the extra fields of these scopes, by default this provider's, and its tool names.

        Raises:
            CapabilityUnsupported: A tool runs at other providers only.
        """
        target = Target(
            name=self.name,
            scopes=scopes or self.scopes,
            family=self.family_of(request.model.model_id),
            tool_names=self.tool_names,
            unsupported=self.account.unsupported,
            unique_ids=self.unique_ids,
        )
        return adapt(request, target)

    def adapt_model(self, model: ModelConfig) -> ModelConfig:
        """Return the model with the extra fields that are for this provider."""
        return adapt_model(model, self.scopes)

    # -- asking -------------------------------------------------------------------------------------------------

    def credentials(self) -> Iterable[tuple[str, str]]:
        """The header fields that carry the key. Never the URL: URLs are logged."""
        return (("Authorization", f"Bearer {self.account.api_key}"),) if self.account.api_key else ()

    def build_request(
        self, method: str, url: str, body: Mapping[str, Any] | None, *, stream: bool = False, auth: Auth | None = None
    ) -> HttpRequest:
        """The request for `url`, with a JSON body where one is given."""
        headers = self._request_headers(stream, body is not None)
        return HttpRequest(method, url, headers, encode(body) if body is not None else b"", auth=auth)

    def _request_headers(self, stream: bool, has_body: bool) -> Headers:
        """The same object for every request, as long as the credentials are the same: it keeps its bytes."""
        credentials = tuple(self.credentials())
        known = self._known_headers.get((stream, has_body))
        if known is not None and known[0] == credentials:
            return known[1]
        fields = [("Accept", self.stream_type if stream else "application/json")]
        if stream:
            # A compressor may hold tokens back until its block is full.
            fields.append(("Accept-Encoding", "identity"))
        if has_body:
            fields.append(("Content-Type", "application/json"))
        headers = Headers((*fields, *credentials, *self.account.headers.items()))
        self._known_headers[stream, has_body] = credentials, headers
        return headers

    def document_exchange(
        self, http_request: HttpRequest, parse: Callable[[bytes, Headers], T], dropped: tuple[str, ...] = ()
    ) -> HttpExchange[T]:
        """The exchange for an answer that is one document."""

        def make_reader(headers: Headers) -> DocumentReader[T]:
            return DocumentReader(lambda body: parse(body, headers))

        return HttpExchange(
            http_request, make_reader, self._read_error(http_request.url), dropped=dropped, clean=self.clean
        )

    def stream_exchange(
        self,
        http_request: HttpRequest,
        request: ChatRequest,
        make_chunks: Callable[[ResponseAccumulator, Headers], ChunkReader],
        make_parser: Callable[[], FrameParser[Any]] | None = None,
        dropped: tuple[str, ...] = (),
    ) -> HttpExchange[ChatResponse]:
        """The exchange for an answer that comes in chunks."""

        def make_reader(headers: Headers) -> StreamReader:
            accumulator = self.new_accumulator(request, headers)
            parser = make_parser() if make_parser is not None else None
            return StreamReader(accumulator, self.name, make_chunks(accumulator, headers), parser)

        return HttpExchange(
            http_request, make_reader, self._read_error(http_request.url), dropped=dropped, clean=self.clean
        )

    # -- reading ------------------------------------------------------------------------------------------------

    def new_accumulator(self, request: ChatRequest, headers: Headers) -> ResponseAccumulator:
        model = given(request).model
        accumulator = ResponseAccumulator(
            model, self.family_of(model.model_id), self.finish_reasons, len(request.messages)
        )
        accumulator.caller_names = caller_names(request)
        accumulator.request_id = self.request_id(headers)
        accumulator.rate_limit = rate_limit(headers)
        return accumulator

    def decode(self, shape: LenientDecoder[StructT], body: bytes) -> StructT:
        """A document of this shape. Raises RemoteProtocolError where it is no JSON object."""
        answer = shape.decode(body)
        if answer is None:
            shown = body[:200].decode("utf-8", "replace").strip()
            raise RemoteProtocolError(f"{self.name}: the answer is no JSON object: {shown!r}")
        return answer

    def read_stream(self, body: bytes, accumulator: ResponseAccumulator, chunks: ChunkReader) -> ChatResponse | None:
        """The answer where a server streams that was not asked to (some know nothing else); None where it does not.

        Raises ProviderError for an error that the stream tells of, RemoteProtocolError where it breaks off.
        """
        if not body.lstrip().startswith((b"data:", b"event:", b":")):
            return None
        reader = StreamReader(accumulator, self.name, chunks)
        reader.receive_data(body)
        reader.receive_end()
        failure = reader.failure
        if failure is None:
            return reader.result
        if isinstance(failure, ProviderError | RemoteProtocolError):
            raise failure
        raise RemoteProtocolError(str(failure))

    def decode_checked(self, shape: LenientDecoder[Any], body: bytes, headers: Headers) -> Any:
        """The same, of a shape with a field `error`; raises the error that it tells of, if it does."""
        answer = self.decode(shape, body)
        if answer.error:
            raise self.error(parse_error({"error": answer.error}), headers, body)
        return answer

    def error(self, facts: ErrorDetails, headers: Headers, body: bytes) -> ProviderError:
        """The error that an answer with a good status tells of in its body."""
        account = self.account
        return to_error(
            facts,
            status=facts.status,
            headers=headers,
            provider=account.name,
            provider_codes=account.spec.error_codes,
            body=body,
            redact=self.redactor,
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return every secret that this provider's requests carry, as far as they are known."""
        return self.account.secrets

    @property
    def redactor(self) -> Redactor:
        """Return what removes the secrets from the texts of this provider's server."""
        secrets = self.secrets
        known = self._known_redactor
        if not known or known[0] != secrets:
            known[:] = [secrets, Redactor(secrets)]
        redactor: Redactor = known[1]
        return redactor

    def clean(self, text: str) -> str:
        """Return a text of the server without secrets and control characters."""
        return escape_controls(self.redactor(text))

    def request_id(self, headers: Headers) -> str | None:
        """Return the provider's id for a request."""
        found = request_id(headers)
        return found if found is None or not self.redactor.finds(found) else self.clean(found)

    def _read_error(self, url: str) -> ReadErrorBody:
        def read(status: int, headers: Headers, body: bytes) -> ProviderError:
            return error_reader(self.name, self.account.spec.error_codes, self.redactor, url)(status, headers, body)

        return read
