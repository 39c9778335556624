"""Every recorded exchange whose dialect is there is read as a correct client reads it, however its bytes are cut."""

from __future__ import annotations

import pytest

from tests.sansio.providers.recordings import ROOT, Recording, differences, play, provider_of, recordings

READ = [recording for recording in recordings() if provider_of(recording) is not None]

pytestmark = pytest.mark.skipif(not READ, reason=f"no recordings in {ROOT}; set TURNOUT_RECORDINGS to their folder")


@pytest.mark.parametrize("recording", READ, ids=[recording.path for recording in READ])
def test_a_recording_is_read_as_it_should_be(recording: Recording) -> None:
    provider = provider_of(recording)
    assert provider is not None
    whole = play(recording, provider)
    assert differences(recording, whole) == []
    hows = ["random 1", "random 2", "random 3"]
    # Byte by byte is the sharpest cut; a body of a megabyte takes too long that way, and random cuts meet it.
    if len(recording.body) <= 60_000:
        hows.append("bytes")
    for how in hows:
        assert play(recording, provider, how).agreed() == whole.agreed(), how
