"""Decode recordings, change their sampling rate and write clips: the only codec code.

What
----
PyAV (FFmpeg) reads every container and codec. soundfile (libsndfile) takes over where it is
better: WAV with PCM, float, A-law or u-law samples, which it reads about four times faster, and
headerless Dialogic ``.vox`` files, for which FFmpeg has no reader. A few lines of our own read
the chunk headers of a WAV file, to tell how much of it is missing.

Conventions
-----------
Samples are float32 of shape (channels, n) with full scale 1.0. Channels are never mixed. Audio
above :data:`TARGET_RATE_HZ` is brought down to it while decoding; lower rates stay as they are.
Decoding works block by block and refuses more than :data:`MAX_SAMPLES`, so memory is bounded by
about four bytes a kept sample (3 hours of 8 kHz stereo: 0.7 GB).

References
----------
Multimedia Programming Interface and Data Specifications 1.0, IBM and Microsoft 1991 (RIFF WAVE);
EBU Tech 3306 (RF64).
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from itertools import chain
from typing import Any

import av
import numpy as np
import soundfile
import soxr

from pipeline.errors import EmptyAudio, OutputError, ParameterError, UnreadableAudio
from pipeline.schema import Audio, Seconds, Waveform

TARGET_RATE_HZ = 16_000
RATE_RANGE_HZ = (2_000, 768_000)
MAX_CHANNELS = 64
MAX_SAMPLES = 2**29
"""Most samples kept of one recording, all channels together: 2 GiB, 9.3 hours of 8 kHz stereo."""

AUDIO_SUFFIXES = (
    ".3gp", ".aac", ".aif", ".aifc", ".aiff", ".al", ".alaw", ".amr", ".ape", ".asf", ".au", ".awb",
    ".caf", ".flac", ".g722", ".g729", ".gsm", ".m4a", ".mka", ".mp2", ".mp3", ".mp4", ".oga",
    ".ogg", ".opus", ".rf64", ".snd", ".spx", ".tta", ".ul", ".ulaw", ".vox", ".w64", ".wav",
    ".wave", ".weba", ".webm", ".wma", ".wv",
)  # fmt: skip
"""Suffixes (lower case) by which recordings are recognised in a folder."""

HEADERLESS = {
    ".al": "alaw", ".alaw": "alaw", ".g722": "g722", ".g729": "g729", ".gsm": "gsm",
    ".ul": "mulaw", ".ulaw": "mulaw", ".vox": "vox",
}  # fmt: skip
"""Suffix -> format of files that carry no header; read as one channel."""

_LIBSNDFILE_TAGS = {1, 3, 6, 7}  # WAVE format tags: PCM, float, A-law, u-law
_TAG_EXTENSIBLE = 0xFFFE
_CODEC_OF_SUBTYPE = {
    "PCM_U8": "pcm_u8", "PCM_16": "pcm_s16le", "PCM_24": "pcm_s24le", "PCM_32": "pcm_s32le",
    "FLOAT": "pcm_f32le", "DOUBLE": "pcm_f64le", "ALAW": "pcm_alaw", "ULAW": "pcm_mulaw",
    "VOX_ADPCM": "adpcm_ima_oki",
}  # fmt: skip
_STREAM_SIZE = 0xFFFFFF00  # from here on a declared size means "not known when written"
_EXACT_DURATION = ("aiff", "caf", "flac", "mov,mp4,m4a,3gp,3g2,mj2", "tta", "w64", "wav", "wv")
_TIME_STAMPED = ("asf", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "ogg")
_DEMUXERS = (
    "3gp,aac,ac3,aiff,alaw,amr,ape,asf,au,caf,eac3,flac,g722,g729,gsm,loas,m4a,matroska,mka,mov,"
    "mp3,mp4,mulaw,nistsphere,ogg,tta,w64,wav,webm,wv"
)
_BLOCK_SAMPLES = 1 << 20  # per channel
_GAP_RANGE = (0.1, 600.0)  # seconds between time stamps that are filled with silence
_OVERSCALE = 16.0  # 24 dB above full scale: no longer a loud float recording
_GUESS = "Check that the file plays; if it does, convert it to WAV or FLAC and try again."
_COPY = "The file looks damaged or cut off: fetch the original from the recorder again."
_DECODER_ERRORS = (
    av.error.FFmpegError, soundfile.LibsndfileError,
    ValueError, LookupError, RuntimeError, OverflowError, MemoryError,
)  # fmt: skip


def decode(path: str | os.PathLike[str], *, max_samples: int = MAX_SAMPLES) -> Waveform:
    """Decode every channel of the audio in a file.

    Parameters
    ----------
    path : str or PathLike
        Any regular file; what it holds is judged by its bytes (by its suffix only where the
        format has no header). Of several streams the default audio stream is taken.
    max_samples : int
        Most samples to keep, all channels together.

    Returns
    -------
    Waveform
        ``samples`` float32 of shape (channels, n), all finite, at the rate of the file or at
        16 kHz, whichever is lower. ``warnings`` say what was missing, damaged or assumed.

    Raises
    ------
    UnreadableAudio
        The file cannot be opened, is not audio, uses an unknown codec or is too long.
    EmptyAudio
        The file is empty or decodes to no samples.
    """
    name = os.fspath(path)
    try:
        with _open_file(name) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            with _open_source(file, name) as source:
                samples, rate = _gather(source, max_samples)
    except OSError as error:
        raise UnreadableAudio(
            f"The file cannot be read: {error.strerror or error}.",
            "Check the path, the access rights and the disk or network drive.",
        ) from error
    if samples.shape[1] == 0:
        raise EmptyAudio("The file holds no audio samples.", _COPY)
    source.note_missing(samples.shape[1] / rate)
    return Waveform(
        samples=_within_scale(samples, source.warnings),
        sample_rate=rate,
        source_sample_rate=source.rate,
        codec=source.codec,
        sha256=digest,
        warnings=tuple(source.warnings),
    )


def resample(samples: Audio, from_hz: int, to_hz: int) -> Audio:
    """Change the sampling rate of each channel.

    Parameters
    ----------
    samples : ndarray [shape=(n,) or (channels, n)]
        float32.
    from_hz, to_hz : int
        Rates in Hz, both positive.

    Returns
    -------
    ndarray [shape=(m,) or (channels, m)]
        float32; the input itself when the rates are equal.

    Raises
    ------
    ParameterError
        If a rate is not positive.
    """
    if from_hz <= 0 or to_hz <= 0:
        raise ParameterError(f"Rates must be positive, not {from_hz} and {to_hz} Hz.")
    if from_hz == to_hz:
        return samples
    if samples.ndim == 1:
        return np.asarray(soxr.resample(samples, from_hz, to_hz), np.float32)
    return np.stack([resample(channel, from_hz, to_hz) for channel in samples])


def write_clip(
    waveform: Waveform, start: Seconds, end: Seconds, path: str | os.PathLike[str]
) -> None:
    """Write a stretch of a recording, all channels, as 16-bit WAV or FLAC (by the suffix).

    Raises
    ------
    ParameterError
        If the stretch does not overlap the recording.
    OutputError
        If the file cannot be written.
    """
    rate = waveform.sample_rate
    first = max(0, round(start * rate))
    last = min(waveform.samples.shape[1], round(end * rate))
    if first >= last:
        raise ParameterError(
            f"No audio between {start:g} and {end:g} s: the recording lasts "
            f"{waveform.duration:g} s and the end must come after the start."
        )
    try:
        soundfile.write(os.fspath(path), waveform.samples[:, first:last].T, rate, subtype="PCM_16")
    except (OSError, soundfile.LibsndfileError, TypeError, ValueError) as error:
        raise OutputError(
            f"The clip cannot be written to {os.fspath(path)}: {_one_line(error)}",
            "Check the folder and give a name that ends in .wav or .flac.",
        ) from error


@dataclass
class _Source:
    """An opened recording: what it is and where its blocks (channels, n) come from."""

    codec: str
    rate: int
    channels: int
    blocks: Iterator[Audio]
    declared: Seconds | None = None  # length by the header, where it can be trusted
    warnings: list[str] = field(default_factory=list)

    def check(self, max_samples: int) -> int:
        """Return the rate to keep, or refuse what no recorder writes or memory cannot hold."""
        low, high = RATE_RANGE_HZ
        if not low <= self.rate <= high or not 1 <= self.channels <= MAX_CHANNELS:
            raise UnreadableAudio(
                f"The header names {self.rate} Hz and {self.channels} channels; allowed are "
                f"{low} to {high} Hz and 1 to {MAX_CHANNELS} channels.",
                _COPY,
            )
        rate = min(self.rate, TARGET_RATE_HZ)
        if self.declared is not None and self.declared * rate * self.channels > max_samples:
            raise self.too_long(max_samples)
        return rate

    def too_long(self, max_samples: int) -> UnreadableAudio:
        """Build the error for a recording above the limit."""
        rate = min(self.rate, TARGET_RATE_HZ)
        hours = max_samples / rate / self.channels / 3600
        return UnreadableAudio(
            f"The recording is longer than {hours:.3g} hours, the most that fits in memory "
            f"at {rate} Hz with {self.channels} channel(s).",
            "Cut it into shorter files.",
        )

    def note_missing(self, decoded: Seconds) -> None:
        """Warn when the header promised clearly more than was decoded."""
        missing = 0.0 if self.declared is None else self.declared - decoded
        if missing > max(0.05, 0.002 * decoded):
            self.warnings.append(
                f"The file is cut off: {missing:.1f} s of {self.declared:.1f} s are missing."
            )


def _open_file(name: str) -> BufferedReader:
    """Open a regular, non-empty file; never wait on a pipe or device."""
    info = os.stat(name)
    if stat.S_ISDIR(info.st_mode):
        raise UnreadableAudio("This is a folder, not a recording.", "Name a file.")
    if not stat.S_ISREG(info.st_mode):
        raise UnreadableAudio("This is a device or pipe, not a file.", "Save it to a file first.")
    if info.st_size == 0:
        raise EmptyAudio("The file is empty (0 bytes).", _COPY)
    return open(name, "rb")


def _open_source(file: BufferedReader, name: str) -> AbstractContextManager[_Source]:
    """Choose the reader by the bytes of the file, by its suffix where there is no header."""
    wav = _read_wav_header(file)
    headerless = None if wav else HEADERLESS.get(os.path.splitext(name)[1].lower())
    try:
        if wav is not None and wav.tag in _LIBSNDFILE_TAGS and wav.data_bytes != 0:
            return _read_by_soundfile(soundfile.SoundFile(name), wav)
        if headerless == "vox":
            raw = {"format": "RAW", "subtype": "VOX_ADPCM", "samplerate": 8000, "channels": 1}
            return _read_by_soundfile(soundfile.SoundFile(name, **raw), None)
    except soundfile.LibsndfileError:
        pass  # FFmpeg forgives more
    return _read_by_pyav(name, wav, headerless)


@dataclass(frozen=True)
class _WavHeader:
    """What the chunk headers of a WAV file say. ``data_bytes`` is as declared, maybe not true."""

    tag: int
    byte_rate: int
    data_bytes: int
    available_bytes: int

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


def _read_wav_header(file: BufferedReader) -> _WavHeader | None:
    """Walk the chunks up to the data; None when this is not a WAV file or it has no such chunk."""
    size = os.fstat(file.fileno()).st_size
    head = file.read(12)
    if head[:4] not in (b"RIFF", b"RF64") or head[8:12] != b"WAVE":
        return None
    tag, byte_rate, long_size = 0, 0, 0
    for _ in range(256):
        name, length = struct.unpack("<4sI", file.read(8).ljust(8, b"\0"))
        start = file.tell()
        if name == b"data":
            declared = long_size if head[:4] == b"RF64" and length == 0xFFFFFFFF else length
            if declared == 0 and _is_chunk(file.read(8), size - start):
                raise EmptyAudio("The WAV file holds no audio samples (data size 0).", _COPY)
            return _WavHeader(tag, byte_rate, declared, size - start)
        if start + length > size:
            return None
        body = file.read(min(length, 40))
        if name == b"fmt " and len(body) >= 16:
            tag, byte_rate = struct.unpack("<H6xI", body[:12])
            if tag == _TAG_EXTENSIBLE and len(body) >= 26:
                tag = struct.unpack("<H", body[24:26])[0]
        elif name == b"ds64" and len(body) >= 16:
            long_size = struct.unpack("<Q", body[8:16])[0]
        file.seek(start + length + (length & 1))
    return None


def _is_chunk(head: bytes, room: int) -> bool:
    """Tell whether these bytes are a chunk header that fits in the rest of the file, or its end."""
    if len(head) < 8:
        return room == 0
    name, length = head[:4], int.from_bytes(head[4:], "little")
    return name.isascii() and name.decode("ascii").isprintable() and 8 + length <= room


@contextmanager
def _read_by_soundfile(sound: soundfile.SoundFile, wav: _WavHeader | None) -> Iterator[_Source]:
    """Read WAV samples that need no codec, or (without a header) Dialogic ADPCM."""
    source = _Source(
        codec=_CODEC_OF_SUBTYPE.get(sound.subtype, sound.subtype.lower()),
        rate=sound.samplerate,
        channels=sound.channels,
        blocks=_soundfile_blocks(sound),
        declared=wav.declared if wav else None,
    )
    if wav is None:
        source.warnings.append("A .vox file has no header: 8000 Hz, one channel assumed.")
    elif wav.is_stream:
        source.warnings.append(_STREAM_WARNING)
    try:
        with sound:
            yield source
    except _DECODER_ERRORS as error:
        raise UnreadableAudio(f"The audio cannot be decoded: {_one_line(error)}", _GUESS) from error


_STREAM_WARNING = "The header does not give the length (written as a stream): read to the end."


def _soundfile_blocks(sound: soundfile.SoundFile) -> Iterator[Audio]:
    while len(block := sound.read(_BLOCK_SAMPLES, dtype="float32", always_2d=True)):
        yield block.T


@contextmanager
def _read_by_pyav(name: str, wav: _WavHeader | None, headerless: str | None) -> Iterator[_Source]:
    """Read anything FFmpeg knows. Playlists and the network are out of reach by the white list."""
    options = {"format_whitelist": _DEMUXERS}
    if headerless in ("alaw", "mulaw"):
        options |= {"sample_rate": "8000"}
    warnings: list[str] = []
    try:
        with av.open(
            f"file:{name}", format=headerless, options=options, metadata_errors="ignore"
        ) as container:
            stream = _audio_stream(container, warnings)
            codec = _codec_name(wav, stream)
            frames = _frames(container, stream, warnings)
            first = next(frames, None)
            timed = container.format.name in _TIME_STAMPED
            source = _Source(
                codec=codec,
                rate=first.sample_rate if first else TARGET_RATE_HZ,
                channels=len(first.layout.channels) if first else 1,
                blocks=_frame_blocks(first, frames, timed, warnings) if first else iter(()),
                declared=_declared(container, stream, wav),
                warnings=warnings,
            )
            if headerless:
                warnings.append(f"The file has no header: {source.rate} Hz, one channel assumed.")
            if wav and wav.is_stream:
                warnings.append(_STREAM_WARNING)
            yield source
    except _DECODER_ERRORS as error:
        with open(name, "rb") as file:
            if b"#!SILK" in file.read(10):  # as voice messages and some softphones save it
                raise UnreadableAudio("The codec SILK cannot be decoded.", _GUESS) from error
        raise UnreadableAudio(
            f"The file is not audio that can be decoded: {_one_line(error)}", _GUESS
        ) from error


def _audio_stream(container: Any, warnings: list[str]) -> Any:
    streams = container.streams.audio
    if not streams:
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
        raise UnreadableAudio(
            f"The file has no audio stream; it holds: {kinds}.",
            "Export the recording with its sound.",
        )
    best = container.streams.best("audio") or streams[0]
    if len(streams) > 1:
        number = streams.index(best) + 1
        warnings.append(f"The file has {len(streams)} audio streams; number {number} is used.")
    return best


def _codec_name(wav: _WavHeader | None, stream: Any) -> str:
    """Name the codec, or say by name which one cannot be decoded."""
    if stream.codec_context is not None:
        return str(stream.codec_context.name)
    named = f"WAVE format tag 0x{wav.tag:04X}" if wav else "an unknown codec"
    raise UnreadableAudio(f"The audio is in {named}, which cannot be decoded.", _GUESS)


def _declared(container: Any, stream: Any, wav: _WavHeader | None) -> Seconds | None:
    """Length by the header, None where FFmpeg only estimates it."""
    if wav:
        return wav.declared
    if container.format.name not in _EXACT_DURATION or stream.duration is None:
        return None
    return float(stream.duration * stream.time_base)


def _frames(container: Any, stream: Any, warnings: list[str]) -> Iterator[Any]:
    """Decode frame after frame, stepping over damaged packets and counting them."""
    good = damaged = 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            damaged += 1
            packet = None
        if packet is None:
            break
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            damaged += 1
            continue
        good += bool(frames)
        yield from (frame for frame in frames if frame.samples)
    if damaged > 4 * good:
        raise UnreadableAudio(f"{damaged} of {damaged + good} packets cannot be decoded.", _COPY)
    if damaged:
        warnings.append(f"{damaged} damaged packets of {damaged + good} were skipped.")


def _frame_blocks(
    first: Any, rest: Iterable[Any], timed: bool, notes: list[str]
) -> Iterator[Audio]:
    """Join frames into blocks.

    Frames that change rate or channels half-way are left out. Where the container carries time
    stamps (``timed``), a gap is filled with zeros, so that all later times stay right.
    """
    rate, channels = first.sample_rate, len(first.layout.channels)
    pending: list[Audio] = []
    start = first.time or 0.0
    position = yielded = foreign = filled = 0
    for frame in chain((first,), rest):
        if (frame.sample_rate, len(frame.layout.channels)) != (rate, channels):
            foreign += 1
            continue
        parts = [_as_float(frame, channels)]
        late = frame.time - start - position / rate if timed and frame.time is not None else 0.0
        if _GAP_RANGE[0] < late < _GAP_RANGE[1]:
            parts.insert(0, np.zeros((channels, round(late * rate)), np.float32))
            filled += parts[0].shape[1]
        for part in parts:
            pending.append(part)
            position += part.shape[1]
        if position - yielded >= _BLOCK_SAMPLES:
            yield np.concatenate(pending, axis=1)
            pending, yielded = [], position
    if pending:
        yield np.concatenate(pending, axis=1)
    if foreign:
        notes.append(f"{foreign} frames with another rate or channel count were left out.")
    if filled:
        notes.append(f"{filled / rate:.1f} s missing between time stamps are filled with silence.")


def _as_float(frame: Any, channels: int) -> Audio:
    """Samples of a frame as float32 of shape (channels, n), full scale 1.0."""
    data = frame.to_ndarray()
    if not frame.format.is_planar:
        data = data.reshape(-1, channels).T
    if data.dtype.kind == "f":
        return np.asarray(data, np.float32)
    offset, scale = (
        (128, 128) if data.dtype == np.uint8 else (0, 2 ** (8 * data.dtype.itemsize - 1))
    )
    return np.asarray((data.astype(np.float32) - offset) / scale, np.float32)


def _gather(source: _Source, max_samples: int) -> tuple[Audio, int]:
    """Resample block by block and assemble, holding little more than the result at any time."""
    rate = source.check(max_samples)
    down = (
        [soxr.ResampleStream(source.rate, rate, 1, dtype="float32") for _ in range(source.channels)]
        if rate != source.rate
        else None
    )
    kept: list[Audio] = []
    total = zeroed = 0
    end = np.empty((source.channels, 0), np.float32)
    for block in chain(source.blocks, (end,)):
        with np.errstate(invalid="ignore"):
            clean = bool(np.isfinite(block.sum(dtype=np.float64)))
        if not clean:
            bad = ~np.isfinite(block)
            zeroed += int(bad.sum())
            block = np.where(bad, np.float32(0), block)
        if down:
            last = block is end
            block = np.stack(
                [s.resample_chunk(c, last=last) for s, c in zip(down, block, strict=True)]
            )
        kept.append(block)
        total += block.shape[1]
        if total * source.channels > max_samples:
            raise source.too_long(max_samples)
    if zeroed:
        source.warnings.append(f"{zeroed} samples were not finite numbers and are set to zero.")
    samples = np.empty((source.channels, total), np.float32)
    while kept:  # from the end, so that the memory of each block is free again at once
        block = kept.pop()
        samples[:, total - block.shape[1] : total] = block
        total -= block.shape[1]
    return samples, rate


def _within_scale(samples: Audio, warnings: list[str]) -> Audio:
    """Undo what float files get wrong: whole numbers stored as floats, and stray huge values."""
    if max(samples.max(), -samples.min()) <= _OVERSCALE:
        return samples
    huge = np.abs(samples) > _OVERSCALE
    share = huge.sum() / max(1, np.count_nonzero(samples))
    if share > 0.05:
        samples *= np.float32(2.0**-15)
        huge = np.abs(samples) > _OVERSCALE
        warnings.append("The float samples are 16-bit numbers: divided by 32768.")
    if count := int(huge.sum()):
        samples[huge] = 0
        warnings.append(f"{count} samples far above full scale are set to zero.")
    return samples


def _one_line(error: BaseException) -> str:
    said = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    return (" ".join(said.split()) or type(error).__name__).rstrip(".:") + "."
