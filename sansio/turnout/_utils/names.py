"""Tables by the name of a provider or a model, with wildcard entries, and suggestions for names that are misspelled."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

__all__ = [
    "PROVIDER_NAMES",
    "Advised",
    "Elsewhere",
    "NameTable",
    "account_of",
    "did_you_mean",
    "matches",
    "must_be_called",
    "nearest",
    "vendor_of",
    "whole_name",
    "without_advice",
]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

# The names that vendors and other libraries give to providers of the catalog.
PROVIDER_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("google", "google_genai", "google-genai", "google-gla", "google-vertex", "googleai"), "gemini"),
    **dict.fromkeys(("vertex", "vertex_ai", "vertexai", "google-ai-studio", "models"), "gemini"),
    **dict.fromkeys(("gpt", "chatgpt", "openai_chat", "openai-chat", "openai-responses"), "openai"),
    **dict.fromkeys(("custom_openai", "openai_like", "openai-like", "custom"), "openai-compatible"),
    "claude": "anthropic",
    **dict.fromkeys(("azure_ai", "azure-openai", "azure_openai", "azureopenai"), "azure"),
    **dict.fromkeys(("aws", "amazon", "amazon-bedrock", "bedrock_converse"), "bedrock"),
    **dict.fromkeys(("grok", "x-ai", "x.ai"), "xai"),
    **dict.fromkeys(("zhipu", "zhipuai", "bigmodel", "glm", "chatglm"), "glm4"),
    **dict.fromkeys(("z-ai", "z.ai"), "zai"),
    **dict.fromkeys(("kimi", "moonshotai"), "moonshot"),
    **dict.fromkeys(("qwen", "alibaba", "tongyi"), "dashscope"),
    **dict.fromkeys(("pplx", "sonar"), "perplexity"),
    **dict.fromkeys(("hf", "hugging_face"), "huggingface"),
    **dict.fromkeys(("nvidia_nim", "nim"), "nvidia"),
    **dict.fromkeys(("llamacpp", "llama_cpp", "llamafile"), "llama-cpp"),
    **dict.fromkeys(("lmstudio", "lm_studio"), "lm-studio"),
    "hosted_vllm": "vllm",
    **dict.fromkeys(("copilot", "github_copilot", "github-copilot"), "github"),
}

# How the names of a maker's models begin, with the provider of that maker.
_MAKERS: Mapping[tuple[str, ...], str] = {
    ("gpt-", "chatgpt-", "ft:gpt-", "o1", "o3", "o4-", "text-embedding-3-", "text-embedding-ada"): "openai",
    ("claude-",): "anthropic",
    ("gemini-", "gemma-"): "gemini",
    ("mistral-", "ministral-", "codestral-", "magistral-", "devstral-", "pixtral-"): "mistral",
    ("deepseek-",): "deepseek",
    ("grok-",): "xai",
    ("command-", "embed-v", "rerank-v"): "cohere",
    ("glm-",): "zai",
    ("kimi-", "moonshot-"): "moonshot",
    ("qwen-", "qwen3-", "qwen2.5-"): "dashscope",
    ("sonar",): "perplexity",
}

# Between the name of a provider and the name of one of its keys: `openai#2`.
ACCOUNT_MARK = "#"


class _AdvisedType(type):
    def __dir__(cls) -> Iterable[str]:
        return without_advice(cls, super().__dir__())


class Advised(metaclass=_AdvisedType):
    """Base of a class with members of `Elsewhere`: `dir` and the completion of editors leave them out."""

    __slots__ = ()

    def __dir__(self) -> Iterable[str]:
        return without_advice(type(self), super().__dir__())


def without_advice(owner: type, names: Iterable[str]) -> list[str]:
    """Return the names that are no members of `Elsewhere`."""
    found: dict[str, object] = {}
    for base in reversed(owner.__mro__):
        found.update(vars(base))
    return [name for name in names if not isinstance(found.get(name), Elsewhere)]


class Elsewhere:
    """Has the place of a class attribute that other libraries have. Its error names the right spelling."""

    def __init__(self, advice: str) -> None:
        self._advice = advice
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> object:
        raise AttributeError(f"{owner.__name__} has no {self._name!r}: {self._advice}")


def must_be_called(call: str) -> Callable[[F], F]:
    """Return a decorator of a method that other libraries have as an attribute.

    If the method itself is used as its result, for example `reply.parsed.name`, the error names the call.

    Args:
        call: How the method is called, such as `reply.parsed(City)`.
    """

    def decorate(method: F) -> F:
        marked: Any = _MustBeCalled(method, call)
        return marked  # type: ignore[no-any-return]  # for type checkers it is the method

    return decorate


class _MustBeCalled:
    def __init__(self, method: Callable[..., Any], call: str) -> None:
        self._method = method
        self._call = call

    def __get__(self, instance: object, owner: type) -> object:
        return self._method if instance is None else _BoundMethod(self._method, instance, self._call)


class _BoundMethod:
    """A method of one object. Its attributes and items are those of its result, so they are refused with the call."""

    def __init__(self, method: Callable[..., Any], instance: object, call: str) -> None:
        functools.update_wrapper(self, method)
        self._method = method
        self._instance = instance
        self._call = call

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return self._method(self._instance, *args, **keywords)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)  # a protocol of Python or of another library, which asks whether it is there
        # Do not pass `name`: Python would then add another suggestion.
        raise AttributeError(f"{self.__dict__['__name__']} is a method: write {self._call}.{name}")

    def __getitem__(self, item: object) -> Any:
        raise TypeError(f"{self.__dict__['__name__']} is a method: write {self._call}[{item!r}]")

    def __repr__(self) -> str:
        return f"<method {self.__dict__['__qualname__']}: write {self._call}>"


class NameTable(dict[str, T]):
    """A table by names, in which a key such as `openai/*` or `gpt-5*` is for every name that matches it.

    Attributes:
        patterns: The keys with a wildcard. The longest one is first, because it is the most specific.
    """

    __slots__ = ("patterns",)

    def __init__(self, entries: Mapping[str, T] | Iterable[tuple[str, T]] = ()) -> None:
        super().__init__(entries)
        wild = [key for key in self if isinstance(key, str) and "*" in key]
        self.patterns = tuple(sorted(wild, key=len, reverse=True))

    def find(self, *names: str) -> T | None:
        """Return the entry of the first name that is a key, else of the first pattern that matches a name."""
        for name in names:
            found = self.get(name)
            if found is not None:
                return found
        for pattern in self.patterns:
            if any(matches(pattern, name) for name in names):
                return self[pattern]
        return None


def matches(pattern: str, name: str) -> bool:
    """True if the name begins and ends as the pattern does around its first `*`."""
    head, _, tail = pattern.partition("*")
    return len(name) >= len(head) + len(tail) and name.startswith(head) and name.endswith(tail)


def account_of(provider: str, key: str) -> str:
    """Return the name of one key of a provider, such as `openai#2`."""
    return f"{provider}{ACCOUNT_MARK}{key}"


def vendor_of(name: str) -> str:
    """Return a provider's name, or a model's, without the name of the key: `openai/gpt-5` for `openai#2/gpt-5`."""
    mark = name.find(ACCOUNT_MARK)
    if mark < 0:
        return name
    slash = name.find("/")
    if slash < 0:
        return name[:mark]
    return name if slash < mark else name[:mark] + name[slash:]


def whole_name(model: str) -> str | None:
    """Return `provider/model` for a model that was written without its provider; None if its maker is not known.

    Other libraries write `openai:gpt-4o`. After a model of Ollama, there is the size: `mistral:7b`.
    """
    head, _, rest = model.partition(":")
    if rest and head != "ft":
        size = rest[0].isdigit() or rest == "latest"
        return f"ollama/{model}" if size else f"{PROVIDER_NAMES.get(head.lower(), head.lower())}/{rest}"
    model = model.strip()
    return next((f"{maker}/{model}" for heads, maker in _MAKERS.items() if model.lower().startswith(heads)), None)


def nearest(name: str, known: Iterable[str], most: int, similarity: float = 0.6) -> list[str]:
    """Return the known names that were probably meant, the most likely one first.

    A name that a vendor or another library gives to a provider means that provider, if it is known: `google/…`.
    """
    names = list(known)
    for meant in (name.lower(), PROVIDER_NAMES.get(name.lower())):
        if meant in names:
            return [meant]
    import difflib  # only for messages of errors

    return difflib.get_close_matches(name, names, most, similarity)


def did_you_mean(name: str, known: Iterable[str], similarity: float = 0.6) -> str:
    """Return the end of an error message about an unknown name: the nearest known name, or all of them."""
    names = list(known)
    near = nearest(name, names, 1, similarity)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(names) or 'none'}"
