"""The router for blocking code: scripts, threads, Celery, gevent. It needs no event loop.

    with Router.from_env() as router:
        reply = router.chat(ChatRequest(...))
        with router.stream(ChatRequest(...)) as stream:
            for event in stream: ...

One router may be shared by any number of threads.
"""

from turnout_io.drivers.sync_driver import ChatStream, Router

__all__ = ["ChatStream", "Router"]
