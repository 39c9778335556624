"""The options of similar commands, and how the same is done with `turnout chat`."""

from __future__ import annotations

from typing import Final

from turnout.inputs.keywords import MODEL

__all__ = ["OPTIONS_ELSEWHERE"]

_FALLBACKS: Final = "give -m once more for each fallback, in order"
_TOOLS: Final = "only programs can give tools: router.run(…, tools=[…]) of turnout_io"
_SETTING: Final = "settings of the model are -o KEY VALUE, here -o {} VALUE"
_CONVERSATION: Final = "-c continues the last conversation, and turnout logs -n 1 prints its last answer"
_PLAIN: Final = "the answer is printed as it is, without colors, and notes are on stderr"

OPTIONS_ELSEWHERE: Final = {
    "--temp": _SETTING.format("temperature"),
    **dict.fromkeys(("--topp", "--top_p"), _SETTING.format("top_p")),
    **dict.fromkeys(("--topk", "--top_k"), _SETTING.format("top_k")),
    **dict.fromkeys(("--think", "--thinking", "--hidethinking"), _SETTING.format("reasoning_effort")),
    **dict.fromkeys(("-r", "--role", "--agent", "--macro"), "there are no roles; instructions are --system TEXT"),
    **dict.fromkeys(("-C", "-S", "--continue-last", "--show-last"), _CONVERSATION),
    **dict.fromkeys(("--session", "--title"), "a conversation is --conversation ID, and turnout logs has the ids"),
    **dict.fromkeys(("--list", "--list-models", "--models"), "turnout models lists models, and turnout logs answers"),
    **dict.fromkeys(("--code", "-e", "--execute"), "-x prints the first code block; nothing is executed"),
    **dict.fromkeys(("--raw", "--quiet", "--color", "--no-color", "--word-wrap"), _PLAIN),
    **dict.fromkeys(("--at", "--attachment-type"), "the type is found from the content and the name: -a FILE"),
    **dict.fromkeys(("--api", "--provider"), "it is in the name of the model: -m PROVIDER/MODEL"),
    "--no-cache": "no answer is taken from a cache",
    "--insecure": "certificates are always checked; REQUESTS_CA_BUNDLE names those of your own",
    "-t": "there are no templates; instructions are --system, seconds are --timeout",
    "--template": "there are no templates; instructions are --system",
    **{f"--{name.replace('_', '-')}": _SETTING.format(name) for name in sorted(MODEL - {"timeout"})},
    "--key": "keys are in variables such as OPENAI_API_KEY, or in a file: --env-file FILE",
    "--api-key": "keys are in variables such as OPENAI_API_KEY, or in a file: --env-file FILE",
    "--base-url": "it is a variable such as OPENAI_ENDPOINT, or providers.NAME.endpoint of the config file",
    "--fallback": _FALLBACKS,
    "--fallbacks": _FALLBACKS,
    "--format": "JSON is --json, or --schema for an answer that is JSON",
    "--output": "the answer is on stdout: turnout chat PROMPT > FILE",
    "--file": "a file or a URL is -a FILE",
    "--image": "a file or a URL is -a FILE",
    "--retries": "it is router.max_retries of the config file",
    "--max-retries": "it is router.max_retries of the config file",
    **dict.fromkeys(("-i", "--interactive"), "turnout chat -c PROMPT continues the last conversation"),
    "--cid": "it is --conversation",
    "--tool": _TOOLS,
    "--tools": _TOOLS,
    "-T": _TOOLS,
    "--functions": _TOOLS,
    "--stream": "the answer is streamed, unless --no-stream, --json or -x is given",
    "--save": "there are no templates; turnout config set system TEXT sets the instructions of each chat",
    "--fragment": "a file or a URL is -a FILE",
    "-f": "a file or a URL is -a FILE",
    "--prompt": "the question is the argument PROMPT",
    "-p": "the question is the argument PROMPT",
    "-n": "to keep nothing of this call: --no-log",
    "-d": "turnout logs --path prints where conversations are kept",
    "--database": "turnout logs --path prints where conversations are kept",
    "-v": "decisions are shown with --explain; the log with TURNOUT_LOG=debug",
    "--verbose": "decisions are shown with --explain; the log with TURNOUT_LOG=debug",
    "--debug": "decisions are shown with --explain; the log with TURNOUT_LOG=debug",
    "-q": "the model is -m PROVIDER/MODEL; turnout models lists them",
    "--header": "headers belong to a provider in the config file: providers.NAME.headers",
    "--system-file": 'the instructions are a text: --system "$(cat FILE)"',
}
