"""The chunk headers of a WAV file: what they declare, whether or not it is true.

References
----------
Multimedia Programming Interface and Data Specifications 1.0, IBM and Microsoft 1991 (RIFF WAVE);
EBU Tech 3306 (RF64).
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from io import BufferedReader

from pipeline.schema import Seconds

FIXED_SIZE_TAGS = {1, 3, 6, 7}
"""Format tags of PCM, float, A-law and u-law."""

_TAG_EXTENSIBLE = 0xFFFE
_STREAM_SIZE = 0xFFFFFF00  # from here on a declared size means "not known when written"
_MAX_CHUNKS = 256


@dataclass(frozen=True)
class WavHeader:
    """What the chunk headers of a WAV file say.

    ``data_bytes`` is as declared, maybe not true; ``available_bytes`` is what the file has from the
    samples on. ``is_empty``: no samples, and what follows is another chunk or nothing.
    """

    tag: int
    byte_rate: int
    data_bytes: int
    available_bytes: int
    is_empty: bool

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
        size = self.available_bytes if self.is_stream else self.data_bytes
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
            return WavHeader(tag, byte_rate, declared, size - start, empty)
        if start + length > size:
            return None
        body = file.read(min(length, 40))
        if name == b"fmt " and len(body) >= 16:
            tag, byte_rate = _sample_format(body)
        elif name == b"ds64" and len(body) >= 16:
            long_size = struct.unpack("<Q", body[8:16])[0]
        file.seek(start + length + (length & 1))
    return None


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
