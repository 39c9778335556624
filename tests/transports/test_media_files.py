"""Images, sound and documents from files: the media type follows from the bytes, then from the name."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnout import Audio, File, Image

PNG = b"\x89PNG\r\n\x1a\n rest"


def test_an_image_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "yard.jpg"
    path.write_bytes(PNG)
    assert Image.from_path(path, detail="low") == Image(data=PNG, media_type="image/png", detail="low")
    assert Image.from_path(str(path)).media_type == "image/png"


@pytest.mark.parametrize(
    ("name", "data", "media_type"),
    [
        ("a.wav", b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
        ("a.mp3", b"\xff\xfb", "audio/mpeg"),
        ("a", b"ID3", "audio/mpeg"),
    ],
)
def test_sound_of_a_file(tmp_path: Path, name: str, data: bytes, media_type: str) -> None:
    (tmp_path / name).write_bytes(data)
    assert Audio.from_path(tmp_path / name) == Audio(data=data, media_type=media_type)


def test_a_document_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "plan.pdf").write_bytes(b"%PDF-1.7")
    expected = File(data=b"%PDF-1.7", media_type="application/pdf", filename="plan.pdf")
    assert File.from_path(tmp_path / "plan.pdf") == expected


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "plan").write_bytes(b"?")
    with pytest.raises(ValueError, match=r"the media type of .*plan is not known: .*media_type="):
        File.from_path(tmp_path / "plan")
    assert File.from_path(tmp_path / "plan", media_type="text/plain").data == b"?"
    with pytest.raises(ValueError, match="is of the type text/plain, which is not image"):
        Image.from_path(tmp_path / "plan", media_type="text/plain")
    with pytest.raises(FileNotFoundError):
        Image.from_path(tmp_path / "none.png")
