"""Where the sound of a call is, and in which form a browser can play it.

Conventions
-----------
The path comes from the store, never from an address. With ``recordings.roots`` set only files below
one of them are played, and a recording that has moved is looked for there by the end of its path.
What browsers play goes out as it lies there, so that ranges work; everything else, and what lies
behind a URL, is decoded once into a private folder of this process, which forgets the longest unused.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.desk.scope import Scope
from pipeline.io import files
from pipeline.schema import Recording

AudioState = Literal["here", "moved", "elsewhere", "missing"]
MEDIA_TYPES: Mapping[tuple[str, str], str] = {
    **{
        (suffix, codec): "audio/wav"
        for suffix in (".wav", ".wave")
        for codec in ("pcm_s16le", "pcm_s24le", "pcm_f32le", "pcm_alaw", "pcm_mulaw")
    },
    (".flac", "flac"): "audio/flac",
    (".mp3", "mp3"): "audio/mpeg",
    (".mp3", "mp3float"): "audio/mpeg",
    (".opus", "opus"): "audio/ogg",
    (".opus", "libopus"): "audio/ogg",
    (".ogg", "opus"): "audio/ogg",
    (".ogg", "libopus"): "audio/ogg",
    (".ogg", "vorbis"): "audio/ogg",
}
"""Suffix and codec of what browsers play, with its media type (tried on Chromium)."""


@dataclass(frozen=True, slots=True)
class Playable:
    """A file of this machine that a browser can play."""

    path: Path
    media_type: str


class Recordings:
    """Finds recordings, and keeps what had to be decoded.

    Parameters
    ----------
    roots : sequence of str
        Folders recordings may lie in; none means anywhere.
    cache_mib : float
        Most room for decoded sound, MiB; the newest is kept whatever its size.
    """

    def __init__(self, roots: Sequence[str], cache_mib: float) -> None:
        self._roots = [Path(root).resolve() for root in roots]
        self._most_bytes = cache_mib * 2**20
        self._folder: Path | None = None
        self._decoding = threading.Lock()
        self._other: dict[str, str | None] = {}  # the second file of a call, by its digest

    def find(self, path: str) -> tuple[AudioState, Path | None]:
        """Where the recording of this path is now, and its file if it is on this machine."""
        given = files.plain(path)
        if files.is_url(given):
            return "elsewhere", None
        file = Path(given)
        if self._allowed(file):
            return "here", file.resolve()
        parts = files.parts(given)
        for root in self._roots:
            for first in range(len(parts)):
                moved = root.joinpath(*parts[first:])
                if self._allowed(moved):
                    return "moved", moved.resolve()
        return "missing", None

    def of_call(self, scope: Scope, row: Any) -> Playable | None:
        """The file to send for a call; None where it is not to be found.

        Raises
        ------
        RecordingError
            If it has to be fetched or decoded and cannot be.
        """
        digest = row.sha256 or row.slug
        if digest not in self._other:  # it is looked up once, not for every range that is asked for
            result = scope.result(row.call_id) if row.channels == 2 else None
            self._other[digest] = None if result is None else result.recording.path_2
        return self.playable(row.path or "", row.codec or "", digest, self._other[digest])

    def playable(
        self, path: str, codec: str, sha256: str, other: str | None = None
    ) -> Playable | None:
        """The file to send for a recording; None where it is not to be found.

        A call whose two sides lie in two files (``other``) is made one recording of two channels.

        Raises
        ------
        RecordingError
            If it has to be fetched or decoded and cannot be.
        """
        state, file = self.find(path)
        second = None if other is None else self.find(other)
        if state == "missing" or (second is not None and second[0] == "missing"):
            return None
        media_type = MEDIA_TYPES.get((files.suffix(path), codec))
        if file is not None and media_type is not None and second is None:
            return Playable(file, media_type)
        with self._decoding:
            copy = self._cache() / f"{sha256}.wav"
            if not copy.exists():
                places = [path if file is None else str(file)]
                if other is not None and second is not None:
                    places.append(other if second[1] is None else str(second[1]))
                self._decode(places, copy)
            os.utime(copy)
            self._forget(copy)
        return Playable(copy, "audio/wav")

    def curves(self, scope: Scope, row: Any) -> bytes | None:
        """Make the curves of a call from its recording and keep them; None without a recording.

        Raises
        ------
        RecordingError
            If the recording cannot be decoded.
        """
        from pipeline.export.sound import curves_of

        result = scope.result(row.call_id)
        if result is None:
            return None
        places = []
        for path in (row.path or "", result.recording.path_2):
            if path is None:
                continue
            state, file = self.find(path)
            if state == "missing":
                return None
            places.append(path if file is None else str(file))
        with self._decoding:  # one at a time: each holds a whole recording
            made = scope.sound(row.call_id, result.sha256)
            if made is None:
                made = curves_of(result, *places)
                scope.keep_sound(row.call_id, result.sha256, made)
        return made

    def close(self) -> None:
        """Forget what was decoded."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _allowed(self, file: Path) -> bool:
        try:
            real = file.resolve(strict=True)
        except (OSError, ValueError):
            return False
        below = not self._roots or any(real.is_relative_to(root) for root in self._roots)
        return below and real.is_file()

    def _cache(self) -> Path:
        """The folder of decoded sound, for this user alone."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="callcoach-sound-"))
        return self._folder

    def _decode(self, paths: Sequence[str], copy: Path) -> None:
        from pipeline.audio import decode_recording, write_clip

        wave = decode_recording(Recording(paths[0], "", path_2=paths[1] if paths[1:] else None))
        part = copy.with_name(f"part-{copy.name}")
        write_clip(wave, 0.0, wave.duration, part)
        part.replace(copy)

    def _forget(self, newest: Path) -> None:
        """Remove the longest unused until the rest has room."""
        kept = sorted(self._cache().glob("*.wav"), key=lambda f: f.stat().st_mtime, reverse=True)
        total = 0
        for file in kept:
            total += file.stat().st_size
            if total > self._most_bytes and file != newest:
                file.unlink()
