"""The base of every dialect: an account, the building of requests, the reading of responses and errors.

Your own dialect may build on `Dialect`, or be any other class that `turnout.providers.protocol.Provider`
describes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Literal, Self, TypeVar

import attrs
import msgspec

from turnout.chat import Capability, ChatRequest, ChatResponse, FinishReason, ModelConfig
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse
from turnout.errors import ProviderError, RemoteProtocolError
from turnout.framing.parser import FrameParser
from turnout.http import Auth, Headers, HttpRequest
from turnout.messages import Role
from turnout.providers.auth import AccessToken
from turnout.providers.catalog.spec import ProviderAccount
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.decoding.error_bodies import ErrorDetails, parse_error
from turnout.providers.decoding.error_mapping import ReadErrorBody, error_reader, to_error
from turnout.providers.decoding.response_headers import rate_limit, request_id
from turnout.providers.decoding.stream_reader import ChunkReader, StreamReader
from turnout.providers.decoding.vectors import check_dimensions
from turnout.providers.demands import demands_call
from turnout.providers.encoding.adapt import Target, adapt, adapt_model, caller_names, given, is_plain
from turnout.providers.encoding.prefill import trailing_blanks
from turnout.providers.encoding.tool_names import OPENAI_TOOL_NAMES, ToolNameRule
from turnout.providers.exchange import DocumentReader, HttpExchange
from turnout.providers.json_codec import LenientDecoder, encode
from turnout.providers.keys import KeyAuth
from turnout.providers.limits import how_to_raise
from turnout.providers.protocol import ModelProfile
from turnout.providers.urls import is_own
from turnout.redaction import Redactor, Secret, escape_controls

__all__ = ["Dialect"]

UNKNOWN = ModelProfile()

T = TypeVar("T")
StructT = TypeVar("StructT", bound=msgspec.Struct)


@attrs.frozen
class Dialect:
    """An account with a provider, and its dialect.

    Attributes:
        account: The account.
        finish_reasons: The dialect's words for the end of an answer, each with Turnout's.
        stream_type: The media type of its streams.
        tool_names: The names of tools that it accepts.
        media_in_answers: Whether an assistant's turn can hold images and sound that another provider made.
        unique_ids: Whether `adapt` makes repeated ids of calls different; False if the dialect does it itself.
    """

    account: ProviderAccount
    # By whether the response is a stream and whether there is a body: the credentials, and the header with them.
    _known_headers: dict[tuple[bool, bool], tuple[tuple[tuple[str, str], ...], Headers]] = attrs.field(
        factory=dict, init=False, repr=False, eq=False
    )
    # The secrets and what removes them: a token can be another one for each request.
    _known_redactor: list[Any] = attrs.field(factory=list, init=False, repr=False, eq=False)
    finish_reasons: ClassVar[Mapping[str, FinishReason]]
    stream_type: ClassVar[str] = "text/event-stream"
    tool_names: ClassVar[ToolNameRule] = OPENAI_TOOL_NAMES
    unique_ids: ClassVar[bool] = True
    media_in_answers: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return self.account.name

    @property
    def idempotency_header(self) -> str | None:
        """The header field by which the provider recognizes a repeated request; None if it has none."""
        return self.account.idempotency_header

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
        """The family that understands the opaque parts of an answer (`Message.origin`)."""
        return self.account.spec.name

    @property
    def scopes(self) -> tuple[str, ...]:
        """Return the names of the extra fields that are for this provider: its dialect, then its entry."""
        return (self.account.spec.dialect, self.account.spec.name)

    def family_of(self, model_id: str) -> str:
        """Return the family of one of its models, if that depends on the model."""
        return self.family

    def facts(self, model_id: str) -> ModelProfile:
        spec = self.account.spec
        rule, window, tokens = spec.rule(model_id), spec.context_window(model_id), spec.embedding_tokens
        if rule is None and window is None and tokens is None and not spec.counts_max_tokens:
            return UNKNOWN
        return ModelProfile(
            first_content=rule.first_token if rule is not None else None,
            context_window=window,
            embedding_tokens=tokens,
            prefill=rule.prefill if rule is not None else None,
            counts_max_tokens=spec.counts_max_tokens,
        )

    def adapt(self, request: ChatRequest, scopes: tuple[str, ...] = ()) -> ChatRequest:
        """Return the request with the extra fields of these scopes, by default this provider's, and its tool names.

        Raises:
            CapabilityUnsupported: A tool runs at other providers only.
        """
        if is_plain(request):
            return request  # most requests are, so that no target need be made for them
        target = Target(
            name=self.name,
            scopes=scopes or self.scopes,
            family=self.family_of(request.model.model_id),
            tool_names=self.tool_names,
            unsupported=self.account.unsupported,
            media_in_answers=self.media_in_answers,
            unique_ids=self.unique_ids,
        )
        return adapt(request, target)

    def adapt_model(self, model: ModelConfig) -> ModelConfig:
        """Return the model with the extra fields that are for this provider."""
        return adapt_model(model, self.scopes)

    # -- requests -----------------------------------------------------------------------------------------------

    def credentials(self) -> Iterable[tuple[str, str]]:
        """Return the header fields that carry the key. The URL never does, because URLs are logged."""
        return (("Authorization", Secret(f"Bearer {self.account.api_key}")),) if self.account.api_key else ()

    def with_key(self, key: AccessToken) -> Self:
        """Return this provider with another key, or with a function that returns one.

        The key is one of `turnout.providers.urls.checked_key`.
        """
        return attrs.evolve(self, account=self.account.with_key(key))

    def build_request(
        self, method: str, url: str, body: Mapping[str, Any] | None, *, stream: bool = False, auth: Auth | None = None
    ) -> HttpRequest:
        """Return the request for `url`, with a JSON body if one is given."""
        headers = self._request_headers(stream, body is not None)
        source = self.account.key_source
        if auth is None and source is not None:
            auth = KeyAuth(source, lambda key: self.with_key(key).credentials())
        return HttpRequest(method, url, headers, encode(body) if body is not None else b"", auth=auth)

    def _request_headers(self, stream: bool, has_body: bool) -> Headers:
        """Return the same object for every request with the same credentials: it keeps its bytes."""
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
        # A user's field replaces ours of the same name.
        own = {name.lower() for name in self.account.headers}
        ours = (field for field in (*fields, *credentials) if field[0].lower() not in own)
        headers = Headers((*ours, *self.account.headers.items()))
        self._known_headers[stream, has_body] = credentials, headers
        return headers

    def document_exchange(
        self,
        http_request: HttpRequest,
        parse: Callable[[bytes, Headers], T],
        dropped: tuple[str, ...] = (),
        *,
        limit: Literal["document", "embeddings"] = "document",
    ) -> HttpExchange[T]:
        """Return the exchange for a response that is one document.

        Args:
            http_request: The request to send.
            parse: Reads the body, with the header fields beside it. It may raise ProviderError and RemoteProtocolError.
            dropped: Settings that were left out of the request.
            limit: The limit of the account that holds for the document.
        """
        limits = self.account.limits

        def make_reader(headers: Headers) -> DocumentReader[T]:
            return DocumentReader(lambda body: parse(body, headers), getattr(limits, limit), limit)

        return HttpExchange(
            http_request,
            make_reader,
            self._read_error(http_request.url),
            dropped=dropped,
            clean=self.clean,
            limits=limits,
        )

    def embedding_exchange(
        self,
        http_request: HttpRequest,
        request: EmbeddingRequest,
        parse: Callable[[bytes, Headers], EmbeddingResponse],
    ) -> HttpExchange[EmbeddingResponse]:
        """Return the exchange for a response with vectors. Their dimensions must be those of the request."""

        def checked(body: bytes, headers: Headers) -> EmbeddingResponse:
            response = parse(body, headers)
            check_dimensions(response.vectors, request)
            return response

        return self.document_exchange(http_request, checked, limit="embeddings")

    def stream_exchange(
        self,
        http_request: HttpRequest,
        request: ChatRequest,
        make_chunks: Callable[[ResponseAccumulator, Headers], ChunkReader],
        make_parser: Callable[[int], FrameParser[Any]] | None = None,
        dropped: tuple[str, ...] = (),
    ) -> HttpExchange[ChatResponse]:
        """Return the exchange for a response that is a stream.

        Args:
            http_request: The request to send.
            request: The chat request.
            make_chunks: Makes the reader of the frames.
            make_parser: Makes the parser of the framing, for a limit of one frame in bytes; None if the framing is an
                event stream, or a JSON array in place of one.
            dropped: Settings that were left out of the request.
        """
        limits = self.account.limits

        def make_reader(headers: Headers) -> StreamReader:
            accumulator = self.new_accumulator(request, headers)
            parser = make_parser(limits.event) if make_parser is not None else None
            return StreamReader(accumulator, self.name, make_chunks(accumulator, headers), parser, limits)

        return HttpExchange(
            http_request,
            make_reader,
            self._read_error(http_request.url),
            dropped=dropped,
            clean=self.clean,
            limits=limits,
        )

    def new_accumulator(self, request: ChatRequest, headers: Headers) -> ResponseAccumulator:
        """Return the accumulator for a response to this request."""
        model = given(request).model
        accumulator = ResponseAccumulator(
            model,
            self.family_of(model.model_id),
            self.finish_reasons,
            len(request.messages),
            request.response_format is not None,
            demands_call(request),
        )
        accumulator.opaque_size.limit = self.account.limits.output
        accumulator.caller_names = caller_names(request)
        if request.messages[-1].role is Role.ASSISTANT and self.continues(request):
            accumulator.known_blanks = trailing_blanks(request.messages[-1])
        accumulator.request_id = self.request_id(headers)
        accumulator.rate_limit = rate_limit(headers)
        return accumulator

    def continues(self, request: ChatRequest) -> bool:
        """Whether the assistant's message at the end is a prefill, which is sent without blanks at its end."""
        return False

    def whole_response(self, accumulator: ResponseAccumulator) -> ChatResponse:
        """Return the response of a document that was read into the accumulator.

        Raises:
            RemoteProtocolError: The document holds no answer, or one above the limit.
        """
        if accumulator.is_empty:
            reason = accumulator.raw_finish_reason or "none"
            raise RemoteProtocolError(f"{accumulator.model}: the response has no content (finish reason: {reason})")
        limit = self.account.limits.output
        if accumulator.size > limit:
            raise RemoteProtocolError(
                f"{accumulator.model}: the answer is larger than {limit} characters{how_to_raise('output')}"
            )
        accumulator.check_demands()
        return accumulator.response()

    def decode(self, shape: LenientDecoder[StructT], body: bytes) -> StructT:
        """Return a document of this shape.

        Raises:
            RemoteProtocolError: The body is no JSON object.
        """
        document = shape.decode(body)
        if document is None:
            shown = body[:200].decode("utf-8", "replace").strip()
            raise RemoteProtocolError(f"{self.name}: the response is no JSON object: {shown!r}")
        return document

    def decode_checked(self, shape: LenientDecoder[Any], body: bytes, headers: Headers) -> Any:
        """Do the same for a shape with a field `error`.

        Raises:
            RemoteProtocolError: The body is no JSON object.
            ProviderError: The field reports an error.
        """
        document = self.decode(shape, body)
        if document.error:
            raise self.error(parse_error({"error": document.error}), headers, body)
        return document

    def read_stream(self, body: bytes, accumulator: ResponseAccumulator, chunks: ChunkReader) -> ChatResponse | None:
        """Return the response of a server that streams without a request for it; None if it does not stream.

        Raises:
            ProviderError: The stream reports an error.
            RemoteProtocolError: The stream breaks off.
        """
        if not body.lstrip().startswith((b"data:", b"event:", b":")):
            return None
        reader = StreamReader(accumulator, self.name, chunks, None, self.account.limits)
        reader.receive_data(body)
        reader.receive_end()
        failure = reader.failure
        if failure is None:
            return reader.result
        if isinstance(failure, ProviderError | RemoteProtocolError):
            raise failure
        raise RemoteProtocolError(str(failure))

    def in_band_error(self, document: object, body: bytes, headers: Headers) -> ProviderError | None:
        """Return the error that a response with a good status reports in its body; None if it reports none."""
        details = parse_error(document)
        return self.error(details, headers, body) if details.message or details.codes else None

    def error(self, facts: ErrorDetails, headers: Headers, body: bytes) -> ProviderError:
        """Return the error with these details, which a response with a good status reports in its body."""
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
    def sends_key_in_clear(self) -> bool:
        """Whether the key goes over plain http to a host that is not this one."""
        return self.account.base_url.startswith("http://") and bool(self.secrets) and not is_own(self.account.base_url)

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
