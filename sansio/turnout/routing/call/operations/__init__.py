"""The operations of a router: each one is a kind of call, such as a chat or an embedding."""

from turnout.routing.call.operations.base import Operation
from turnout.routing.call.operations.chat import Chat, Stream
from turnout.routing.call.operations.embed import Embed
from turnout.routing.call.operations.list_models import ListModels
from turnout.routing.call.operations.single_exchange import CountTokens, Rerank

__all__ = ["Chat", "CountTokens", "Embed", "ListModels", "Operation", "Rerank", "Stream"]
