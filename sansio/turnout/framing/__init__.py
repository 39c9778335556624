"""Framing: from the bytes of a response body to the frames in it. One module a framing.

    turnout.framing.sse          SseParser          -> SseEvent             event streams (WHATWG HTML, section 9.2)
    turnout.framing.ndjson       NdjsonParser       -> JsonText             one JSON text a line
    turnout.framing.json_array   JsonArrayParser    -> JsonText             the elements of one top-level JSON array
    turnout.framing.eventstream  EventStreamParser  -> EventStreamMessage   AWS event stream, binary, with checksums

All have one shape, which `turnout.framing.parser.FrameParser` spells out:

    parser.receive_data(data) -> list[Frame]   every frame that these bytes complete, in order; [] where none
    parser.receive_end()      -> list[Frame]   the body is over: at most one frame, marked `terminated=False`
    parser.failure                             None, or the RemoteProtocolError that stands from then on
    parser.complete                            whether what came so far is a whole body

The rules that hold for each:

* **Any split gives the same frames**, and the same failure: the body whole, byte by byte, or cut anywhere.
* **The peer's faults are never raised.** A call returns the frames that came before the fault and leaves the fault in
  `failure`; what comes after it is ignored. Look at `failure` after the frames have been used, not before. Any bytes
  at all give frames or a `RemoteProtocolError` that stands; only a wrong call (data after the end) raises,
  `LocalProtocolError`.
* **A frame is not looked into.** Its `data` are the bytes as they came: whether they are JSON, and UTF-8, is the
  business of the one who decodes them.
* **What the end cut off is handed on, marked.** A last frame that its framing did not end comes out of `receive_end`
  with `terminated=False`: whether it is good enough is for the dialect to say. It has the most to tell where a server
  dies in the middle. A binary message without its checksum cannot be trusted, so there only `complete` tells.
* **Time is linear and memory bounded.** An unfinished frame grows in place (a bytearray, whose growth is amortised: a
  list of pieces is a little faster, but a peer that sends two bytes at a time makes it twenty times the size of what
  it holds). One frame may have at most `max_frame` bytes, 64 MiB unless told otherwise; more is a failure.
"""
