"""Framing: splits the bytes of a response body into frames. Each framing has one module.

    turnout.framing.sse          SseParser          -> SseEvent             event streams (WHATWG HTML, section 9.2)
    turnout.framing.ndjson       NdjsonParser       -> JsonText             one JSON text a line
    turnout.framing.json_array   JsonArrayParser    -> JsonText             the elements of one top-level JSON array
    turnout.framing.eventstream  EventStreamParser  -> EventStreamMessage   AWS event stream, binary, with checksums

All parsers have the interface of `turnout.framing.parser.FrameParser`:

    parser.receive_data(data) -> list[Frame]   every frame that these bytes complete, in order; [] if none
    parser.receive_end()      -> list[Frame]   the body has ended: at most one frame, marked `terminated=False`
    parser.failure                             None, or the RemoteProtocolError that ended the parsing
    parser.complete                            True if the bytes so far are a complete body

The rules for each parser:

* **Every split gives the same frames**, and the same failure: the body in one piece, byte by byte, or cut anywhere.
* **The peer's errors are never raised.** A call returns the frames before the error, and sets `failure`. It ignores
  all later bytes. Read `failure` after you have used the frames, not before. Any bytes at all give frames or a
  permanent `RemoteProtocolError`. Only a wrong call (data after the end) raises `LocalProtocolError`.
* **A frame is not decoded.** Its `data` are the bytes as received. The caller decodes them, and finds out whether they
  are JSON and UTF-8.
* **A frame that the end of the body cut is returned with a mark.** `receive_end` returns it with `terminated=False`,
  and the dialect decides whether to use it. If a server fails in the middle of a body, this frame often has the reason.
  A binary message without its checksum cannot be trusted, so it is not returned, and only `complete` shows the cut.
* **Time is linear and memory is limited.** An unfinished frame grows in place, in a bytearray, which takes amortised
  linear time. A list of pieces is a little faster. But if a peer sends two bytes at a time, the list takes twenty times
  the memory of its bytes. A frame may have at most `max_frame` bytes, by default 64 MiB; a larger one is a failure.
"""
