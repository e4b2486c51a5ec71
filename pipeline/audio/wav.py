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
_STALE_S = 0.05  # less behind the declared end is dirt, not samples


@dataclass(frozen=True)
class WavHeader:
    """What the chunk headers of a WAV file say.

    ``data_bytes`` is as declared, maybe not true; ``available_bytes`` is what the file has from the
    samples on. ``is_empty``: no samples, and what follows is another chunk or nothing.
    ``is_stale``: samples go on behind the declared end (a size that was not brought up to date, or
    that does not fit in 32 bits). ``size_at`` is where in the file the size is declared.
    """

    tag: int
    byte_rate: int
    data_bytes: int
    available_bytes: int
    is_empty: bool
    is_stale: bool = False
    size_at: int = 0

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


def read_wav_header(file: BufferedReader) -> WavHeader | None:
    """Walk the chunks up to the data; None when this is not a WAV file or it has no such chunk."""
    size = os.fstat(file.fileno()).st_size
    head = file.read(12)
    if head[:4] not in (b"RIFF", b"RF64") or head[8:12] != b"WAVE":
        return None
    tag, byte_rate, long_size = 0, 0, 0
    for _ in range(_MAX_CHUNKS):
        name, length = struct.unpack("<4sI", file.read(8).ljust(8, b"\0"))
        start = file.tell()
        if name == b"data":
            declared = long_size if head[:4] == b"RF64" and length == 0xFFFFFFFF else length
            empty = declared == 0 and _is_chunk(file.read(8), size - start)
            header = WavHeader(tag, byte_rate, declared, size - start, empty, size_at=start - 4)
            return replace(header, is_stale=_goes_on(file, header, start))
        if start + length > size:
            return None
        body = file.read(min(length, 40))
        if name == b"fmt " and len(body) >= 16:
            tag, byte_rate = _sample_format(body)
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
    return not _is_chunk(file.read(8), room)


class WholeFile(RawIOBase):
    """A WAV file whose declared size reads as "not known", so that readers go on to its end."""

    def __init__(self, name: str | bytes, size_at: int) -> None:
        self._file, self._size_at = open(name, "rb"), size_at  # noqa: SIM115 - close() closes it

    def close(self) -> None:
        """Close the file; reading ends."""
        self._file.close()
        super().close()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer from where the file stands; the number of bytes."""
        at = self._file.tell()
        view = memoryview(buffer).cast("B")
        data = bytearray(self._file.read(len(view)))
        for place in range(self._size_at, self._size_at + 4):
            if at <= place < at + len(data):
                data[place - at] = 0xFF
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a place in the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Place in the file."""
        return self._file.tell()

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True


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
