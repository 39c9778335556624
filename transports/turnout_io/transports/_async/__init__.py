"""The HTTP/1.1 client over sockets, written with `await`. It is the source of the blocking client in `_sync`."""
