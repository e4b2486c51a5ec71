"""Addresses: paths, file://, an in-memory store, a web server on this machine, and what fails."""

from __future__ import annotations

import hashlib
import http.server
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import fsspec
import pytest

from pipeline.errors import UnreadableAudio, UsageError
from pipeline.io import files

CONTENT = os.urandom(3 * files.BLOCK + 7)  # more than one block, and not a whole number of them


@pytest.fixture
def bucket() -> Iterator[str]:
    """An object store in memory with a few recordings and things that are none."""
    memory = fsspec.filesystem("memory")
    for name in ("day/a.wav", "day/b.mp3", "day/late/c.wav", "day/.part/d.wav", "day/.e.wav"):
        memory.pipe_file(f"/calls/{name}", name.encode())
    yield "memory:///calls"
    memory.rm("/calls", recursive=True)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server with one folder."""
    (tmp_path / "day").mkdir()
    (tmp_path / "day" / "a.wav").write_bytes(CONTENT)
    (tmp_path / "day" / "b b.wav").write_bytes(b"b")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def read(path: str) -> bytes:
    with files.local(path) as name:
        return Path(name).read_bytes()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("path", "is_url"),
    [
        ("s3://bucket/a.wav", True), ("memory://a", True), ("file:///a.wav", True),
        ("/calls/a.wav", False), ("a.wav", False), ("C:\\calls\\a.wav", False),
        ("C://calls/a.wav", False), ("calls/s3://a", False), ("", False),
    ],
)  # fmt: skip
def test_what_is_a_url(path: str, is_url: bool) -> None:
    assert files.is_url(path) is is_url


def test_a_path_is_used_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a b.wav"
    path.write_bytes(CONTENT)
    for name in (str(path), f"file://{path}", f"file://localhost{path}", path.as_uri()):
        with files.local(name) as found:
            assert found == str(path)
        assert files.sha256(name) == sha256(CONTENT)
    assert path.exists()


def test_a_copy_has_the_suffix_and_goes_with_the_block(bucket: str) -> None:
    url = f"{bucket}/day/b.mp3"
    with files.local(url) as name:
        assert Path(name).suffix == ".mp3"
        assert Path(name).read_bytes() == b"day/b.mp3"
    assert not Path(name).parent.exists()
    with pytest.raises(ZeroDivisionError), files.local(url) as name:
        _ = 1 / 0
    assert not Path(name).parent.exists()
    assert files.sha256(url) == sha256(b"day/b.mp3")


def test_a_web_server(web: str) -> None:
    assert read(f"{web}/day/a.wav") == CONTENT
    assert read(f"{web}/day/a.wav?key=1") == CONTENT
    assert files.sha256(f"{web}/day/a.wav") == sha256(CONTENT)
    assert files.find(f"{web}/day/a.wav") == [f"{web}/day/a.wav"]
    assert files.find(f"{web}/day/") == [f"{web}/day/a.wav", f"{web}/day/b%20b.wav"]
    assert read(f"{web}/day/b%20b.wav") == b"b"


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("day", ["day/a.wav", "day/b.mp3", "day/late/c.wav"]),
        ("day/", ["day/a.wav", "day/b.mp3", "day/late/c.wav"]),
        ("day/a.wav", ["day/a.wav"]),
        ("day/*.wav", ["day/a.wav"]),
        ("day/**/*.wav", ["day/a.wav", "day/late/c.wav"]),
        ("day/a*", ["day/a.wav"]),
        ("*/[ab].*", ["day/a.wav", "day/b.mp3"]),
        ("nothing", []),
        ("nothing/*", []),
    ],
)
def test_listing_leaves_hidden_files_out(given: str, names: list[str], bucket: str) -> None:
    assert files.find(f"{bucket}/{given}") == [f"{bucket}/{name}" for name in names]


def test_a_listing_shows_what_came_in_since(bucket: str) -> None:
    before = files.find(f"{bucket}/day")
    fsspec.filesystem("memory").pipe_file("/calls/day/z.wav", b"z")
    assert files.find(f"{bucket}/day") == [*before, f"{bucket}/day/z.wav"]


def test_what_is_not_there_is_one_unreadable_recording(web: str, bucket: str) -> None:
    for url in (f"{web}/gone.wav", f"{bucket}/gone.wav"):
        for use in (read, files.sha256):
            with pytest.raises(UnreadableAudio, match=r"(no such file|404)") as caught:
                use(url)
            assert url in caught.value.message
            assert caught.value.hint
    with pytest.raises(UnreadableAudio, match="cannot be read"):
        files.sha256("/nowhere/a.wav")


def test_a_server_that_does_not_answer_is_one_unreadable_recording() -> None:
    for use in (read, files.sha256):
        with pytest.raises(UnreadableAudio, match=r":1/a\.wav cannot be read: \w+Error: .*onnect"):
            use("http://127.0.0.1:1/a.wav")
    with pytest.raises(UnreadableAudio, match="cannot be read"):
        files.find("http://127.0.0.1:1/")


@pytest.mark.parametrize(
    ("url", "message"),
    [("oss://bucket/a.wav", "Install ossfs"), ("nosuch://bucket/a.wav", "nosuch")],
)
def test_a_protocol_without_driver_says_what_to_install(url: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        files.find(url)
    assert caught.value.hint
    for use in (read, files.sha256):
        with pytest.raises(UnreadableAudio, match=message) as lost:
            use(url)
        assert lost.value.hint == caught.value.hint


def test_passwords_are_seen() -> None:
    assert files.has_password("ftp://me:secret@host/a.wav")
    assert not files.has_password("ftp://me@host/a.wav")
    assert not files.has_password("s3://bucket/me:you@home.wav")


@pytest.mark.parametrize(
    ("path", "suffix"),
    [("/a.b/c.WAV", ".wav"), ("s3://b.c/d", ""), ("http://h/c.mp3?v=1.2", ".mp3")],
)
def test_suffixes(path: str, suffix: str) -> None:
    assert files.suffix(path) == suffix


def test_a_pipe_is_refused_and_not_waited_on(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(UnreadableAudio, match="not a regular file"):
        files.sha256(str(tmp_path / "pipe.wav"))
