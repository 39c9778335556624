"""Profiles for the property tests: none has a deadline for one example, for a shared machine stalls at times.

`pytest` draws anew at each run, and so goes on searching. `pytest --hypothesis-profile=repeatable` draws the same each
time: what it says of a change is about the change.
"""

import signal

from hypothesis import HealthCheck, settings

from turnout.routing.call import attempt

# Errors that no exchange should raise fail a test, and do not only fail an attempt.
attempt.RAISE_UNEXPECTED = True

settings.register_profile("searching", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", settings.get_profile("searching"), derandomize=True)
settings.load_profile("searching")

# A shell that starts the tests in the background ignores Ctrl-C for them, and each process that a test starts inherits
# that. A handler is not inherited: then the tests of Ctrl-C see what a terminal would show.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
