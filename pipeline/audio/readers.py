"""Open a recording and hand on its samples block by block: the only codec code.

PyAV (FFmpeg) reads every container and codec. soundfile (libsndfile) takes over where it is
better: WAV with PCM, float, A-law or u-law samples, which it reads about four times faster, and
headerless Dialogic ``.vox`` files, for which FFmpeg has no reader. The WAV header is also read here,
to tell how much of the file is missing.

Conventions: blocks are float32 of shape (channels, n), full scale 1.0, at the rate of the file;
nothing a header declares is ever allocated.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from itertools import chain, pairwise
from typing import Any

import av
import numpy as np
import soundfile

from pipeline.audio.wav import (
    FIXED_SIZE_TAGS,
    PartOfFile,
    WavHeader,
    WholeFile,
    read_wav_header,
    recordings_behind,
)
from pipeline.errors import EmptyAudio, UnreadableAudio, one_line
from pipeline.schema import Audio, Seconds

BLOCK_SAMPLES = 1 << 20
"""Samples of a block, all channels together, more or less."""
MAX_BYTES = 2**34
"""Largest file that is opened: 16 GiB, several times the longest recording that is kept."""

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

COPY_HINT = "The file looks damaged or cut off: fetch the original from the recorder again."
GUESS_HINT = "Check that the file plays; if it does, convert it to WAV or FLAC and try again."
KINDS_HINT = "Give a recording: WAV, MP3, M4A, AMR, Ogg, FLAC and most other formats can be read."

_BEGINNINGS = {
    b"<!DOCTYPE": "a web page", b"<!doctype": "a web page", b"<html": "a web page",
    b"<?xml": "an XML document", b"{": "a JSON document", b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive", b"\x1f\x8b": "a gzip archive", b"Rar!": "a RAR archive",
    b"\x89PNG": "a picture", b"\xff\xd8\xff": "a picture", b"#EXTM3U": "a playlist",
    b"\xd0\xcf\x11\xe0": "an Office document", b"\x7fELF": "a program", b"MZ": "a program",
}  # fmt: skip
_CODEC_OF_SUBTYPE = {
    "PCM_U8": "pcm_u8", "PCM_16": "pcm_s16le", "PCM_24": "pcm_s24le", "PCM_32": "pcm_s32le",
    "FLOAT": "pcm_f32le", "DOUBLE": "pcm_f64le", "ALAW": "pcm_alaw", "ULAW": "pcm_mulaw",
    "VOX_ADPCM": "adpcm_ima_oki",
}  # fmt: skip
_EXACT_DURATION = ("aiff", "caf", "flac", "mov,mp4,m4a,3gp,3g2,mj2", "tta", "w64", "wav", "wv")
_TIME_STAMPED = ("asf", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "ogg")
_DEMUXERS = (
    "3gp,aac,ac3,aiff,alaw,amr,ape,asf,au,caf,eac3,flac,g722,g729,gsm,loas,m4a,matroska,mka,mov,"
    "mp3,mp4,mulaw,nistsphere,ogg,tta,w64,wav,webm,wv"
)
_GAP_RANGE = (0.1, 600.0)  # seconds between time stamps that are filled with silence
_STREAM_WARNING = "The header does not give the length (written as a stream): read to the end."
_DECODER_ERRORS = (
    av.error.FFmpegError, soundfile.LibsndfileError,
    ValueError, LookupError, RuntimeError, OverflowError,
)  # fmt: skip


@dataclass
class Source:
    """An opened recording: what it is and where its blocks (channels, n) come from."""

    codec: str
    rate: int
    channels: int
    blocks: Iterator[Audio]
    declared: Seconds | None = None  # length by the header, where it can be checked
    expected: Seconds | None = None  # length of what is there, where it can be told beforehand
    warnings: list[str] = field(default_factory=list)

    def note_missing(self, decoded: Seconds) -> None:
        """Warn when the header promised clearly more than was decoded."""
        missing = 0.0 if self.declared is None else self.declared - decoded
        if missing > max(0.05, 0.002 * decoded):
            self.warnings.append(
                f"The file is cut off: {missing:.1f} s of {self.declared:.1f} s are missing."
            )


def open_file(name: str) -> BufferedReader:
    """Open a regular, non-empty file; never wait on a pipe or device."""
    info = os.stat(name)
    if stat.S_ISDIR(info.st_mode):
        raise UnreadableAudio("This is a folder, not a recording.", "Name a file.")
    if not stat.S_ISREG(info.st_mode):
        raise UnreadableAudio("This is a device or pipe, not a file.", "Save it to a file first.")
    if info.st_size == 0:
        raise EmptyAudio("The file is empty (0 bytes).", COPY_HINT)
    if info.st_size > MAX_BYTES:
        raise UnreadableAudio(
            f"The file has {info.st_size / 2**30:.1f} GiB; allowed are {MAX_BYTES / 2**30:.0f} GiB.",
            "Cut it into shorter files.",
        )
    return open(name, "rb")


def open_source(file: BufferedReader, name: str) -> AbstractContextManager[Source]:
    """Choose the reader by the bytes of the file, by its suffix where there is no header."""
    wav = read_wav_header(file)
    headerless = None if wav else HEADERLESS.get(os.path.splitext(name)[1].lower())
    if wav is not None and wav.is_empty:
        raise EmptyAudio("The WAV file holds no audio samples (data size 0).", COPY_HINT)
    try:
        if wav is not None and wav.tag in FIXED_SIZE_TAGS and wav.data_bytes != 0:
            behind = recordings_behind(file, wav)
            ends = behind[0].begins if behind else None
            return _read_by_soundfile(_open_wav(name, wav, ends), wav, name, behind)
        if headerless == "vox":
            raw = {"format": "RAW", "subtype": "VOX_ADPCM", "samplerate": 8000, "channels": 1}
            return _read_by_soundfile(soundfile.SoundFile(_native(name), **raw), None, name)
    except soundfile.LibsndfileError:
        pass  # FFmpeg forgives more
    return _read_by_pyav(name, wav, headerless, recordings_behind(file, wav) if wav else ())


def _stale_warning(wav: WavHeader) -> str:
    by_header = wav.data_bytes / max(wav.byte_rate, 1)
    return f"The header gives {by_header:.1f} s, the file holds {wav.expected or 0:.1f} s."


def _behind_warning(wav: WavHeader, behind: Sequence[WavHeader], is_read: bool) -> str:
    lengths = " and ".join(f"{part.expected or 0:.1f}" for part in (wav, *behind))
    told = "read on to the end" if is_read else "only the first is read"
    return (
        f"The file holds {len(behind) + 1} recordings, one behind the other ({lengths} s): {told}."
    )


def _native(name: str) -> str | bytes:
    """A file name as libsndfile takes it; on Unix it may be in an encoding that is not ours."""
    return name if sys.platform == "win32" else os.fsencode(name)


@contextmanager
def _read_by_soundfile(
    sound: soundfile.SoundFile,
    wav: WavHeader | None,
    name: str,
    behind: Sequence[WavHeader] = (),
) -> Iterator[Source]:
    """Read WAV samples that need no codec, or (without a header) Dialogic ADPCM.

    Recordings ``behind`` the first one in the same file are read on where their format is the same.
    """
    alike = wav is not None and all(part.form == wav.form and part.expected for part in behind)
    read = [wav, *(behind if alike else ())] if wav else []
    before = sum(part.expected or 0.0 for part in read[:-1])
    end = read[-1] if read else None
    source = Source(
        codec=_CODEC_OF_SUBTYPE.get(sound.subtype, sound.subtype.lower()),
        rate=sound.samplerate,
        channels=sound.channels,
        blocks=chain(_soundfile_blocks(sound), _blocks_behind(name, read[1:])),
        declared=None if end is None or end.declared is None else before + end.declared,
        expected=None if end is None or end.expected is None else before + end.expected,
    )
    if wav and behind:
        source.warnings.append(_behind_warning(wav, behind, alike))
    if wav is None:
        source.warnings.append("A .vox file has no header: 8000 Hz, one channel assumed.")
    elif wav.is_stream:
        source.warnings.append(_STREAM_WARNING)
    elif wav.is_stale and wav.expected:
        source.warnings.append(_stale_warning(wav) + " Read to the end.")
    try:
        with sound:
            yield source
    except _DECODER_ERRORS as error:
        raise UnreadableAudio(
            f"The audio cannot be decoded: {one_line(error)}.", GUESS_HINT
        ) from error


def _soundfile_blocks(sound: soundfile.SoundFile) -> Iterator[Audio]:
    frames = BLOCK_SAMPLES // sound.channels
    while len(block := sound.read(frames, dtype="float32", always_2d=True)):
        yield block.T


def _blocks_behind(name: str, parts: Sequence[WavHeader]) -> Iterator[Audio]:
    """Blocks of the recordings that follow the first one in a WAV file."""
    for part, after in pairwise((*parts, None)):
        if part:
            with _open_wav(name, part, after.begins if after else None) as sound:
                yield from _soundfile_blocks(sound)


def _open_wav(name: str, wav: WavHeader, ends: int | None) -> soundfile.SoundFile:
    """Open one recording of a WAV file; it ``ends`` where another one begins behind it."""
    native = _native(name)
    if wav.is_stale or (wav.is_stream and wav.begins):
        return soundfile.SoundFile(WholeFile(native, wav.size_at, wav.begins))
    is_part = wav.begins or ends is not None
    return soundfile.SoundFile(PartOfFile(native, wav.begins, ends) if is_part else native)


@contextmanager
def _read_by_pyav(
    name: str, wav: WavHeader | None, headerless: str | None, behind: Sequence[WavHeader] = ()
) -> Iterator[Source]:
    """Read anything FFmpeg knows. Playlists and the network are out of reach by the white list."""
    options = {"format_whitelist": _DEMUXERS}
    if headerless in ("alaw", "mulaw"):
        options |= {"sample_rate": "8000"}
    warnings: list[str] = []
    try:
        with av.open(
            f"file:{name}", format=headerless, options=options, metadata_errors="ignore"
        ) as container:
            if _are_two_legs(container.streams.audio):
                with av.open(f"file:{name}", options=options, metadata_errors="ignore") as again:
                    yield _two_legs((container, again), warnings)
                return
            stream = _audio_stream(container, warnings)
            codec = _codec_name(wav, stream)
            frames = _frames(container, stream, warnings)
            first = next(frames, None)
            if first is None:
                raise EmptyAudio("The file holds no audio samples.", COPY_HINT)
            timed = container.format.name in _TIME_STAMPED
            declared = _declared(container, stream, wav)
            source = Source(
                codec=codec,
                rate=first.sample_rate,
                channels=len(first.layout.channels),
                blocks=_joined(_parts(first, frames, timed, warnings)),
                declared=declared,
                expected=None if wav else declared,
                warnings=warnings,
            )
            if headerless:
                warnings.append(f"The file has no header: {source.rate} Hz, one channel assumed.")
            if wav and wav.is_stream:
                warnings.append(_STREAM_WARNING)
            if wav and wav.is_stale:
                warnings.append(_stale_warning(wav))
            if wav and behind:
                warnings.append(_behind_warning(wav, behind, is_read=False))
            yield source
    except _DECODER_ERRORS as error:
        raise _not_audio(name, error) from error


def _not_audio(name: str, error: Exception) -> UnreadableAudio:
    """Say what the file is instead, where its first bytes tell."""
    with open(name, "rb") as file:
        head = file.read(1024)
    if b"#!SILK" in head[:10]:  # as voice messages and some softphones save it
        return UnreadableAudio("The codec SILK cannot be decoded.", GUESS_HINT)
    if not head.strip(b"\0"):
        return UnreadableAudio("The file begins with zeros: its copy was not finished.", COPY_HINT)
    kind = next((k for start, k in _BEGINNINGS.items() if head.lstrip().startswith(start)), None)
    if kind:
        return UnreadableAudio(f"The file is {kind}, not audio.", KINDS_HINT)
    if isinstance(error, EOFError):
        return UnreadableAudio("The file ends before any audio.", COPY_HINT)
    return UnreadableAudio(
        f"The file is not audio that can be decoded: {one_line(error)}.", GUESS_HINT
    )


def _are_two_legs(streams: Sequence[Any]) -> bool:
    """Whether a container holds two mono tracks of one rate: the two sides of a call."""
    kinds = {
        (s.codec_context.channels, s.codec_context.sample_rate) for s in streams if s.codec_context
    }
    return len(streams) == 2 and len(kinds) == 1 and next(iter(kinds))[0] == 1


def _two_legs(containers: Sequence[Any], warnings: list[str]) -> Source:
    """Read the first track of one container and the second of the other as two channels."""
    tracks: list[Iterator[Audio]] = []
    starts: list[Seconds] = []
    rates: list[int] = []
    for number, container in enumerate(containers):
        stream = container.streams.audio[number]
        frames = _frames(container, stream, warnings)
        first = next(frames, None)
        if first is None:
            raise EmptyAudio(f"Audio stream {number + 1} of 2 holds no samples.", COPY_HINT)
        timed = container.format.name in _TIME_STAMPED
        tracks.append(_joined(_parts(first, frames, timed, warnings)))
        starts.append(first.time or 0.0)
        rates.append(first.sample_rate)
    warnings.append("The file has two mono audio streams: they are taken as two channels.")
    late = [round((at - min(starts)) * rates[0]) for at in starts]
    return Source(
        codec=str(containers[0].streams.audio[0].codec_context.name),
        rate=rates[0],
        channels=2,
        blocks=_side_by_side(tracks, late),
        warnings=warnings,
    )


def _side_by_side(tracks: Sequence[Iterator[Audio]], late: Sequence[int]) -> Iterator[Audio]:
    """Blocks of two channels from two of one; each starts so many samples late, the rest is zero."""
    waiting = [np.zeros((1, n), np.float32) for n in late]
    ended = [False, False]
    while not all(ended):
        for side, track in enumerate(tracks):
            while not ended[side] and waiting[side].shape[1] < BLOCK_SAMPLES // 2:
                block = next(track, None)
                ended[side] = block is None
                if block is not None:
                    waiting[side] = np.concatenate((waiting[side], block), axis=1)
        lengths = [w.shape[1] for w in waiting]
        size = max(lengths) if all(ended) else BLOCK_SAMPLES // 2
        rows = [np.pad(w[:, :size], ((0, 0), (0, max(0, size - w.shape[1])))) for w in waiting]
        waiting = [w[:, size:] for w in waiting]
        if size:
            yield np.concatenate(rows)


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


def _codec_name(wav: WavHeader | None, stream: Any) -> str:
    """Name the codec, or say by name which one cannot be decoded."""
    if stream.codec_context is not None:
        return str(stream.codec_context.name)
    named = f"WAVE format tag 0x{wav.tag:04X}" if wav else "an unknown codec"
    raise UnreadableAudio(f"The audio is in {named}, which cannot be decoded.", GUESS_HINT)


def _declared(container: Any, stream: Any, wav: WavHeader | None) -> Seconds | None:
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
        raise UnreadableAudio(
            f"{damaged} of {damaged + good} packets cannot be decoded.", COPY_HINT
        )
    if damaged:
        warnings.append(f"{damaged} damaged packets of {damaged + good} were skipped.")


def _joined(parts: Iterable[Audio]) -> Iterator[Audio]:
    """Join short pieces into blocks."""
    pending: list[Audio] = []
    size = 0
    for part in parts:
        pending.append(part)
        size += part.size
        if size >= BLOCK_SAMPLES:
            yield np.concatenate(pending, axis=1)
            pending, size = [], 0
    if pending:
        yield np.concatenate(pending, axis=1)


def _parts(first: Any, rest: Iterable[Any], timed: bool, notes: list[str]) -> Iterator[Audio]:
    """Samples of each frame.

    Frames that change rate or channels half-way are left out. Where the container carries time
    stamps (``timed``), a gap is filled with zeros, so that all later times stay right.
    """
    rate, channels = first.sample_rate, len(first.layout.channels)
    start = first.time or 0.0
    position = foreign = filled = 0
    for frame in chain((first,), rest):
        if (frame.sample_rate, len(frame.layout.channels)) != (rate, channels):
            foreign += 1
            continue
        late = frame.time - start - position / rate if timed and frame.time is not None else 0.0
        if _GAP_RANGE[0] < late < _GAP_RANGE[1]:
            gap = round(late * rate)
            for length in _cut_up(gap, BLOCK_SAMPLES // channels):
                yield np.zeros((channels, length), np.float32)
            position, filled = position + gap, filled + gap
        samples = _as_float(frame, channels)
        position += samples.shape[1]
        yield samples
    if foreign:
        notes.append(f"{foreign} frames with another rate or channel count were left out.")
    if filled:
        notes.append(f"{filled / rate:.1f} s missing between time stamps are filled with silence.")


def _cut_up(total: int, most: int) -> Iterator[int]:
    """Lengths of at most so much that add up to the total."""
    for done in range(0, total, most):
        yield min(most, total - done)


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
