"""The chunk headers of a WAV file: what they declare, whether or not it is true.

References
----------
Multimedia Programming Interface and Data Specifications 1.0, IBM and Microsoft 1991 (RIFF WAVE);
EBU Tech 3306 (RF64).
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace
from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING

from pipeline.schema import Seconds

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

FIXED_SIZE_TAGS = {1, 3, 6, 7}
"""Format tags of PCM, float, A-law and u-law."""

_TAG_EXTENSIBLE = 0xFFFE
_STREAM_SIZE = 0xFFFFFF00  # from here on a declared size means "not known when written"
_MAX_CHUNKS = 256
_MAX_RECORDINGS = 1000
_RIFF = (b"RIFF", b"RF64")
_STALE_S = 0.05  # less behind the declared end is dirt, not samples


@dataclass(frozen=True)
class WavHeader:
    """What the chunk headers of a WAV file say.

    ``data_bytes`` is as declared, maybe not true; ``available_bytes`` is what the file has from the
    samples on. ``is_empty``: no samples, and what follows is another chunk or nothing.
    ``is_stale``: samples go on behind the declared end (a size that was not brought up to date, or
    that does not fit in 32 bits). ``size_at`` is where in the file the size is declared, ``begins``
    where the header is: behind another recording in the same file, not at 0. ``form`` is the format
    as it is written.
    """

    tag: int
    byte_rate: int
    data_bytes: int
    available_bytes: int
    is_empty: bool
    is_stale: bool = False
    size_at: int = 0
    begins: int = 0
    form: bytes = b""

    @property
    def is_stream(self) -> bool:
        """Whether the header was written before the length was known."""
        return self.data_bytes == 0 or _STREAM_SIZE <= self.data_bytes < 2**32

    @property
    def declared(self) -> Seconds | None:
        """Length by the header if the file ends before it, else None."""
        if self.is_stream or self.available_bytes >= self.data_bytes or self.byte_rate <= 0:
            return None
        return self.data_bytes / self.byte_rate

    @property
    def expected(self) -> Seconds | None:
        """Length of the samples that are in the file, None where no rate is named."""
        if self.byte_rate <= 0:
            return None
        size = self.available_bytes if self.is_stream or self.is_stale else self.data_bytes
        return min(size, self.available_bytes) / self.byte_rate


def read_wav_header(file: BufferedReader, begins: int = 0) -> WavHeader | None:
    """Walk the chunks up to the data; None when this is not a WAV file or it has no such chunk."""
    size = os.fstat(file.fileno()).st_size
    file.seek(begins)
    head = file.read(12)
    if not _is_wave(head):
        return None
    tag, byte_rate, long_size, form = 0, 0, 0, b""
    for _ in range(_MAX_CHUNKS):
        name, length = struct.unpack("<4sI", file.read(8).ljust(8, b"\0"))
        start = file.tell()
        if name == b"data":
            declared = long_size if head[:4] == b"RF64" and length == 0xFFFFFFFF else length
            empty = declared == 0 and _is_chunk(file.read(8), size - start)
            header = WavHeader(
                tag, byte_rate, declared, size - start, empty,
                size_at=start - 4, begins=begins, form=form,
            )  # fmt: skip
            return replace(header, is_stale=_goes_on(file, header, start))
        if start + length > size:
            return None
        body = file.read(min(length, 40))
        if name == b"fmt " and len(body) >= 16:
            tag, byte_rate = _sample_format(body)
            form = body[:length]
        elif name == b"ds64" and len(body) >= 16:
            long_size = struct.unpack("<Q", body[8:16])[0]
        file.seek(start + length + (length & 1))
    return None


def _goes_on(file: BufferedReader, header: WavHeader, start: int) -> bool:
    """Whether samples, and no other chunk, follow the declared end."""
    end = start + header.data_bytes + (header.data_bytes & 1)
    room = start + header.available_bytes - end
    if header.is_stream or room < max(8, _STALE_S * header.byte_rate):
        return False
    file.seek(end)
    head = file.read(12)
    return not (_is_chunk(head[:8], room) or _is_wave(head))


def recordings_behind(file: BufferedReader, first: WavHeader) -> list[WavHeader]:
    """Headers of the WAV files that somebody joined to the end of one, in order."""
    size = os.fstat(file.fileno()).st_size
    found: list[WavHeader] = []
    last: WavHeader | None = first
    while last and not last.is_stream and not last.is_stale and len(found) < _MAX_RECORDINGS:
        last = read_wav_header(file, _next_riff(file, last, size))
        found += [last] if last else []
    return found


def _next_riff(file: BufferedReader, header: WavHeader, size: int) -> int:
    """Where the next RIFF header is behind the data and the chunks after it, else the end of the file."""
    at = header.size_at + 4 + header.data_bytes + (header.data_bytes & 1)
    for _ in range(_MAX_CHUNKS):
        if at >= size:  # as far as a damaged length may point, where no file can be looked at
            break
        file.seek(at)
        head = file.read(12)
        if len(head) < 12 or _is_wave(head):
            return at
        length = int.from_bytes(head[4:8], "little")
        at += 8 + length + (length & 1)
    return size


class PartOfFile(RawIOBase):
    """A stretch of a file, as if it were all of it; to the end of the file without ``ends``."""

    def __init__(self, name: str | bytes, begins: int = 0, ends: int | None = None) -> None:
        self._file, self._begins = open(name, "rb"), begins  # noqa: SIM115 - close() closes it
        self._ends = os.fstat(self._file.fileno()).st_size if ends is None else ends
        self._file.seek(begins)

    def close(self) -> None:
        """Close the file; reading ends."""
        self._file.close()
        super().close()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer from where the file stands; the number of bytes."""
        view = memoryview(buffer).cast("B")
        return self._file.readinto(view[: max(0, self._ends - self._file.tell())])

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a place in the part."""
        start = {os.SEEK_SET: self._begins, os.SEEK_END: self._ends}.get(whence)
        if start is None:
            start = self._file.tell()
        return self._file.seek(start + offset) - self._begins

    def tell(self) -> int:
        """Place in the part."""
        return self._file.tell() - self._begins

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True


class WholeFile(PartOfFile):
    """A WAV file whose declared size reads as "not known", so that readers go on to its end."""

    def __init__(self, name: str | bytes, size_at: int, begins: int = 0) -> None:
        super().__init__(name, begins)
        self._size_at = size_at - begins

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer from where the file stands; the number of bytes."""
        at = self.tell()
        view = memoryview(buffer).cast("B")
        data = bytearray(self._file.read(len(view)))
        for place in range(self._size_at, self._size_at + 4):
            if at <= place < at + len(data):
                data[place - at] = 0xFF
        view[: len(data)] = data
        return len(data)


def _is_wave(head: bytes) -> bool:
    return head[:4] in _RIFF and head[8:12] == b"WAVE"


def _sample_format(body: bytes) -> tuple[int, int]:
    """Format tag and bytes a second, worked out where each sample has a fixed size."""
    tag, channels, rate, byte_rate, _, bits = struct.unpack("<HHIIHH", body[:16])
    if tag == _TAG_EXTENSIBLE and len(body) >= 26:
        tag = struct.unpack("<H", body[24:26])[0]
    if tag in FIXED_SIZE_TAGS:
        byte_rate = rate * channels * -(-bits // 8)
    return tag, byte_rate


def _is_chunk(head: bytes, room: int) -> bool:
    """Tell whether these bytes are a chunk header that fits in the rest of the file, or its end."""
    if len(head) < 8:
        return room == 0
    name, length = head[:4], int.from_bytes(head[4:], "little")
    return name.isascii() and name.decode("ascii").isprintable() and 8 + length <= room
