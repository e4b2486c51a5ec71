"""Some 440 damaged, odd and hostile recordings, the same for the same seed.

(But for the serial numbers and dates that some of the writers put into sound files.)

``write(folder)`` makes them and says of each what must become of it: ``decoded`` to samples,
``refused`` by an error of ours, or ``either`` where chance decides. To look at them:

    python -m tests.damage FOLDER

What they stand for: transfers that broke off, disks with bad sectors, recorders that crashed before
the header was finished, headers that lie, files under a wrong name, pages saved in place of a
download, and things in a folder that are no files.
"""

from __future__ import annotations

import gzip
import io
import os
import struct
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np

from tests.audio_files import FORMATS, Format, known, write_video, write_wav_header

RATE = 8000
SECONDS = 1.2
HOUR_S = 3600
Fate = Literal["decoded", "refused", "either"]

DAMAGED = (
    "wav-pcm16", "wav-float", "wav-ulaw", "wav-ms-adpcm", "wav-gsm610", "w64-pcm16", "aiff-pcm16",
    "au-ulaw", "caf-pcm16", "flac", "mp3-8k", "m4a-aac-8k", "ogg-opus", "ogg-vorbis-8k", "webm-opus",
    "amr-nb",
)  # fmt: skip
CUTS: tuple[float, ...] = (1, 3, 11, 43, 0.2, 0.5, 0.9, -1)  # bytes, or a share of the file
HEADER_BYTES = 120


@dataclass(frozen=True)
class Case:
    """A file and what must become of it."""

    path: str
    fate: Fate


def write(folder: Path, seed: int = 0) -> list[Case]:
    """Make all files in an empty folder.

    Returns
    -------
    list of Case
        In a fixed order. What this system cannot make (names, pipes) is left out.
    """
    rng = np.random.default_rng(seed)
    cases = []
    for name, content, fate in (
        *_cut_off(), *_flipped(rng), *_misnamed(), *_lying_headers(), *_odd_formats(),
        *_odd_samples(), *_odd_structures(), *_not_audio(rng), *_nearly_nothing(),
    ):  # fmt: skip
        path = folder / name
        path.write_bytes(content)
        cases.append(Case(str(path), fate))
    return [*cases, *_odd_names(folder), *_long_silences(folder), *_no_files(folder)]


@cache
def _whole(form: Format, seconds: float = SECONDS) -> bytes:
    """An undamaged recording in one format."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"whole{form.suffix}"
        sound = known(form.rate, form.channels, seconds)
        form.write(path, sound, form.rate, form.subtype, form.form)
        return path.read_bytes()


def _forms() -> list[Format]:
    return [form for form in FORMATS if form.id in DAMAGED]


def _pcm(seconds: float = SECONDS, channels: int = 1, rate: int = RATE) -> bytes:
    return (known(rate, channels, seconds).T * 32767).astype("<i2").tobytes()


def _wav(
    data: bytes | None = None,
    *,
    tag: int = 1,
    channels: int = 1,
    rate: int = RATE,
    bits: int = 16,
    size: int | None = None,
) -> bytes:
    return write_wav_header(tag, channels, rate, bits, _pcm() if data is None else data, size)


def _chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return struct.pack("<4sI", name, len(body) if size is None else size) + body


def _riff(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def _format(rate: int = RATE, byte_rate: int = 2 * RATE, block: int = 2, bits: int = 16) -> bytes:
    return _chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, rate, byte_rate, block, bits))


# -- damage by chance --------------------------------------------------------------------------


def _cut_off() -> Iterator[tuple[str, bytes, Fate]]:
    for form in _forms():
        whole = _whole(form)
        for cut in CUTS:
            kept = round(len(whole) * cut) if 0 < cut < 1 else int(cut)
            yield f"cut {form.id} {cut}{form.suffix}", whole[:kept], "either"


def _flipped(rng: np.random.Generator) -> Iterator[tuple[str, bytes, Fate]]:
    """Bits turned over in the header, and a hole of zeros or noise in the body."""
    for form in _forms():
        clean = np.frombuffer(_whole(form), np.uint8)
        for turn in range(4):
            mutant = clean.copy()
            where = rng.integers(0, min(len(clean), HEADER_BYTES), rng.integers(1, 6))
            mutant[where] ^= (1 << rng.integers(0, 8, len(where))).astype(np.uint8)
            yield f"flip {form.id} {turn}{form.suffix}", mutant.tobytes(), "either"
        for turn, fill in enumerate((bytes, rng.bytes)):
            start = int(rng.integers(HEADER_BYTES, len(clean) - 200))
            holed = clean.tobytes()[:start] + fill(200) + clean.tobytes()[start + 200 :]
            yield f"hole {form.id} {turn}{form.suffix}", holed, "either"


def _misnamed() -> Iterator[tuple[str, bytes, Fate]]:
    """Sound recordings under a name that belongs to another format, or to none."""
    forms = _forms()
    for form, other in zip(forms, [*forms[1:], forms[0]], strict=True):
        yield f"misnamed {form.id}{other.suffix}", _whole(form), "decoded"
    for suffix in (".txt", ".WAV", ".wav.part", "", ".docx"):
        yield f"misnamed wav{suffix}", _wav(), "decoded"


# -- headers that lie --------------------------------------------------------------------------


def _lying_headers() -> Iterator[tuple[str, bytes, Fate]]:
    for size in (0, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF):
        yield f"lie data size {size:#x}.wav", _wav(size=size), "decoded"
    sound = _pcm()
    for size in (2**40, 2**63, 2**64 - 1):
        ds64 = _chunk(b"ds64", struct.pack("<QQQI", size, size, size // 2 % 2**63, 0))
        yield (
            f"lie rf64 {size:#x}.wav",
            b"RF64\xff\xff\xff\xffWAVE" + ds64 + _format() + _chunk(b"data", sound, 0xFFFFFFFF),
            "decoded" if size < 2**63 else "either",
        )
    for name, block in (("block 1", 1), ("block 0", 0), ("block 65535", 65535)):
        made = _riff(_format(block=block), _chunk(b"data", sound))
        yield f"lie {name}.wav", made, "either"
    for name, byte_rate in (("1", 1), ("0", 0), ("max", 2**32 - 1)):
        made = _riff(_format(byte_rate=byte_rate), _chunk(b"data", sound))
        yield f"lie byte rate {name}.wav", made, "decoded"
    whole = {form.id: _whole(form) for form in _forms()}
    aiff = bytearray(whole["aiff-pcm16"])
    at = aiff.find(b"COMM") + 10
    aiff[at : at + 4] = b"\xff\xff\xff\xff"
    yield "lie aiff frames.aiff", bytes(aiff), "either"
    au = bytearray(whole["au-ulaw"])
    au[8:12] = b"\x7f\xff\xff\xff"
    yield "lie au size.au", bytes(au), "either"
    caf = bytearray(whole["caf-pcm16"])
    at = caf.find(b"data") + 4
    for name, size in (("huge", 2**62), ("negative", -(2**40))):
        caf[at : at + 8] = struct.pack(">q", size)
        yield f"lie caf {name}.caf", bytes(caf), "either"
    w64 = bytearray(whole["w64-pcm16"])
    at = w64.find(b"data") + 16
    w64[at : at + 8] = struct.pack("<Q", 2**50)
    yield "lie w64 size.w64", bytes(w64), "either"
    flac = bytearray(whole["flac"])
    flac[21:26] = bytes([flac[21] | 0x0F, 255, 255, 255, 255])  # 2**36 - 1 samples
    yield "lie flac samples.flac", bytes(flac), "refused"
    mp4 = whole["m4a-aac-8k"]
    for box, value in ((b"stsz", 2**31 - 1), (b"stco", 2**32 - 1), (b"stts", 2**32 - 1)):
        changed = bytearray(mp4)
        at = mp4.find(box) + (8 if box == b"stsz" else 12)
        changed[at : at + 4] = struct.pack(">I", value)
        yield f"lie mp4 {box.decode()}.m4a", bytes(changed), "either"
    mkv = bytearray(whole["webm-opus"])
    at = mkv.find(b"\x1f\x43\xb6\x75") + 4  # size of the first cluster
    mkv[at : at + 8] = b"\x01\x7f\xff\xff\xff\xff\xff\xff"
    yield "lie webm cluster.webm", bytes(mkv), "either"
    id3 = b"ID3\x03\x00\x00\x7f\x7f\x7f\x7f"
    yield "lie id3 of 256 MB.mp3", id3 + whole["mp3-8k"], "either"


# -- formats that few recorders write ----------------------------------------------------------


def _odd_formats() -> Iterator[tuple[str, bytes, Fate]]:
    for rate in (1, 100, 3_999, 768_001, 2_000_000_000, 0):
        yield f"rate {rate}.wav", _wav(rate=rate), "refused"
    for rate in (4_000, 6_000, 7_999, 11_025, 22_050, 44_100, 96_000, 384_000, 768_000):
        made = _wav(_pcm(0.5, 1, rate), rate=rate)
        yield f"rate {rate}.wav", made, "decoded"
    for channels in (3, 10, 16):
        made = _wav(_pcm(0.5, channels), channels=channels)
        yield f"channels {channels}.wav", made, "decoded"
    for channels in (0, 17, 1000, 65535):
        yield f"channels {channels}.wav", _wav(channels=channels), "refused"
    yield (
        "ten channels at 384 kHz.wav",
        _wav(_pcm(0.2, 10, 384_000), channels=10, rate=384_000),
        "decoded",
    )
    for bits in (8, 24, 32):
        yield f"bits {bits}.wav", _wav(bits=bits), "decoded"
    for bits in (0, 1, 7, 12, 17, 64, 255, 65535):
        yield f"bits {bits}.wav", _wav(bits=bits), "either"
    laws = {"alaw": 6, "ulaw": 7}
    for law, tag in laws.items():
        form = next(form for form in FORMATS if form.id == f"wav-{law}")
        coded = _whole(form)[-round(RATE * SECONDS) :]
        yield f"{law} tagged as pcm.wav", _wav(coded, bits=8), "decoded"
        yield f"pcm tagged as {law}.wav", _wav(tag=tag, bits=8), "decoded"
        yield f"{law} of 16 bits.wav", _wav(tag=tag), "either"
    floats = known(RATE, 1, SECONDS).T.astype("<f4").tobytes()
    yield "float tagged as pcm.wav", _wav(floats, bits=32), "decoded"
    yield "pcm tagged as float.wav", _wav(tag=3, bits=32), "decoded"
    for tag in (0, 0x1234, 0xFFFE, 0xFFFF):
        yield f"tag {tag:#06x}.wav", _wav(tag=tag), "either"


def _odd_samples() -> Iterator[tuple[str, bytes, Fate]]:
    clean = known(RATE, 2, SECONDS).T.astype("<f4")
    values = {
        "nan": np.nan, "inf": np.inf, "minus inf": -np.inf, "1e38": 1e38, "1e-42": 1e-42,
    }  # fmt: skip
    for name, value in values.items():
        some, every = clean.copy(), np.full_like(clean, value)
        some[1000:1100, 0] = value
        for kind, samples in (("some", some), ("all", every)):
            made = _wav(samples.tobytes(), tag=3, channels=2, bits=32)
            yield f"float {kind} {name}.wav", made, "decoded"
    whole_numbers = (clean * 32768).tobytes()
    yield "float whole numbers.wav", _wav(whole_numbers, tag=3, channels=2, bits=32), "decoded"
    wild = np.random.default_rng(9).integers(0, 2**32, 4000, np.uint32).tobytes()
    yield "float of any bits.wav", _wav(wild, tag=3, bits=32), "decoded"
    doubles = np.full(8000, 1e300, "<f8").tobytes()
    yield "double 1e300.wav", _wav(doubles, tag=3, bits=64), "decoded"
    for name, value in (("offset", 12000), ("full scale", 32767), ("lowest", -32768)):
        constant = np.full(9600, value, "<i2").tobytes()
        yield f"constant {name}.wav", _wav(constant), "decoded"
    square = np.tile(np.repeat(np.array([32767, -32768], "<i2"), 20), 240).tobytes()
    yield "square wave.wav", _wav(square), "decoded"


def _odd_structures() -> Iterator[tuple[str, bytes, Fate]]:
    sound, data = _wav(), _chunk(b"data", _pcm())
    yield "riff in riff.wav", _riff(_format(), _chunk(b"data", sound)), "decoded"
    yield "riff in riff, nothing else.wav", _riff(sound), "refused"
    yield "riff after riff.wav", sound + sound, "decoded"
    yield "format after data.wav", _riff(data, _format()), "either"
    yield "no format.wav", _riff(data), "refused"
    yield "two formats.wav", _riff(_format(), _format(16000, 32000), data), "decoded"
    yield "two data chunks.wav", _riff(_format(), data, data), "decoded"
    yield "odd chunk without pad.wav", _riff(_format(), b"LIST\x03\0\0\0abc", data), "either"
    yield "huge chunk.wav", _riff(_format(), _chunk(b"LIST", b"INFO", 2**31), data), "refused"
    yield "many chunks.wav", _riff(_format(), _chunk(b"junk", b"") * 200, data), "decoded"
    yield "endless chunks.wav", _riff(_format(), _chunk(b"junk", b"") * 20_000, data), "either"
    yield "bytes before.wav", b"\r\n\r\n" + sound, "either"
    yield "http header before.wav", b"HTTP/1.1 200 OK\r\n\r\n" + sound, "either"
    yield "big endian rifx.wav", b"RIFX" + sound[4:], "either"


# -- what is no audio at all -------------------------------------------------------------------


def _not_audio(rng: np.random.Generator) -> Iterator[tuple[str, bytes, Fate]]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("call.wav"), _wav())
    page = b"<!DOCTYPE html><html><head><title>404</title></head><body>" + b"<p>x</p>" * 500
    contents = {
        "text": "坐席: 您好\n客户: 你好\n".encode() * 300,
        "text in gbk": "坐席: 您好\n客户: 你好\n".encode("gbk") * 300,
        "page": page + b"</body></html>",
        "json": b'{"error": "not found", "code": 404}',
        "zip": packed.getvalue(),
        "gzip": gzip.compress(_wav(), mtime=0),
        "pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF" * 20,
        "png": b"\x89PNG\r\n\x1a\n" + bytes(4000),
        "program": b"\x7fELF\x02\x01\x01" + bytes(4000),
        "script": b"#!/bin/sh\necho hello\n",
        "playlist": b"#EXTM3U\n#EXTINF:5,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
        "list of files": b"ffconcat version 1.0\nfile '/etc/hostname'\n",
        "noise": rng.bytes(100_000),
        "zeros": bytes(100_000),
        "ones": b"\xff" * 100_000,
    }
    for name, content in contents.items():
        for suffix in (".wav", ".mp3"):
            yield f"{name}{suffix}", content, "refused" if suffix == ".wav" else "either"
    for suffix in (".al", ".vox", ".g722"):  # formats without a header: anything is sound
        yield f"noise{suffix}", rng.bytes(8000), "decoded"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        write_video(path, None, RATE)
        yield "picture without sound.mp4", path.read_bytes(), "refused"


def _nearly_nothing() -> Iterator[tuple[str, bytes, Fate]]:
    whole = {form.id: _whole(form) for form in _forms()}
    for suffix in (".wav", ".mp3", ".flac", ".ul"):
        yield f"empty{suffix}", b"", "refused"
        yield f"one byte{suffix}", b"R", "either"
    yield "one sample.wav", _wav(b"\x00\x40"), "decoded"
    yield "half a sample.wav", _wav(b"\x01"), "refused"
    yield "no samples.wav", _wav(b""), "refused"
    yield "no samples, list after.wav", _wav(b"") + _chunk(b"LIST", b"INFO"), "refused"
    yield "only an id3 tag.mp3", b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10), "refused"
    mp4 = whole["m4a-aac-8k"]
    yield "mp4 without moov.m4a", mp4[: mp4.find(b"moov") - 4], "refused"
    yield "mp4 of moov only.m4a", mp4[mp4.find(b"moov") - 4 :], "either"
    amr = whole["amr-nb"]
    yield "amr header only.amr", b"#!AMR\n", "refused"
    yield "amr of bad frames.amr", b"#!AMR\n" + b"\xfc\xff" * 2000, "either"
    yield "amr with bad frames.amr", amr[:100] + b"\xf8" * 300 + amr[400:], "either"
    yield "amr wide band cut.awb", b"#!AMR-WB\n" + b"\x04" * 61, "either"
    yield "silk.wav", b"#!SILK_V3" + bytes(500), "refused"
    for name in ("ogg-opus", "ogg-vorbis-8k"):
        ogg = whole[name]
        last = ogg.rfind(b"OggS")
        yield f"{name} cut inside a page.ogg", ogg[: last + 40], "either"
        yield f"{name} without first page.ogg", ogg[ogg.find(b"OggS", 4) :], "either"
        swapped = bytearray(ogg)
        swapped[last + 22 : last + 26] = b"\0\0\0\0"  # checksum
        yield f"{name} wrong checksum.ogg", bytes(swapped), "either"
    yield "flac header only.flac", whole["flac"][:42], "refused"
    yield "webm header only.webm", whole["webm-opus"][:60], "refused"


# -- the folder itself -------------------------------------------------------------------------


def _odd_names(folder: Path) -> Iterator[Case]:
    names: tuple[str | bytes, ...] = (
        "坐席 1 通话.wav", " leading.wav", "trailing .wav", "a\nb.wav", "tab\t.wav", "'quote\".wav",
        "-n.wav", "100%d.wav", "http:x.wav", "a?b#c.wav", "x" * 250 + ".wav", "客" * 80 + ".wav",
        "📞.wav", ".hidden.wav", b"\xb2\xe2\xca\xd4.wav", b"\xff\xfe.mp3",
    )  # fmt: skip
    for name in names:
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        try:
            called = name if isinstance(name, bytes) else name.encode()
            Path(os.fsdecode(path)).write_bytes(_wav() + _chunk(b"note", called))
        except OSError:
            continue  # not a name on this file system
        yield Case(os.fsdecode(path), "decoded")


def _long_silences(folder: Path) -> Iterator[Case]:
    """Hours of silence that take no room on disk: their samples are holes in the file."""
    hours: tuple[tuple[str, int, int, float, Fate], ...] = (
        ("half an hour of silence", 1, 8_000, 0.5, "decoded"),
        ("8 hours of silence, stereo 48 kHz", 2, 48_000, 8, "refused"),
        ("6 hours of silence, stereo 8 kHz", 2, 8_000, 6, "refused"),
    )
    for name, channels, rate, length, fate in hours:
        size = round(length * HOUR_S * rate) * channels * 2
        path = folder / f"{name}.wav"
        path.write_bytes(_wav(b"", channels=channels, rate=rate, size=min(size, 2**32 - 1)))
        os.truncate(path, path.stat().st_size + size)
        yield Case(str(path), fate)
    for name, size in (("a terabyte of nothing.wav", 2**40), ("a terabyte.mp3", 2**40)):
        (folder / name).write_bytes(b"")
        try:
            os.truncate(folder / name, size)
        except OSError:
            continue  # too large for this file system
        yield Case(str(folder / name), "refused")


def _no_files(folder: Path) -> Iterator[Case]:
    (folder / "folder.wav").mkdir()
    yield Case(str(folder / "folder.wav"), "refused")
    yield Case(str(folder / "not there.wav"), "refused")
    links = {"loop a.wav": "loop b.wav", "loop b.wav": "loop a.wav", "dangling.wav": "nowhere.wav"}
    for name, target in {**links, "zero.wav": "/dev/zero", "null.wav": "/dev/null"}.items():
        (folder / name).symlink_to(target)
        yield Case(str(folder / name), "refused")
    os.mkfifo(folder / "pipe.wav")
    yield Case(str(folder / "pipe.wav"), "refused")
    locked = folder / "locked.wav"
    locked.write_bytes(_wav())
    locked.chmod(0)
    yield Case(str(locked), "decoded" if os.access(locked, os.R_OK) else "refused")


def main() -> int:
    """Write the files into the folder that is named, and list what must become of them."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    for case in write(folder):
        sys.stdout.write(f"{case.fate:8} {case.path!r}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
