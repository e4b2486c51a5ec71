"""Known audio, written at test time in every format that the libraries here can write.

Each channel is a sum of two gliding tones under a slow swell, other tones in each channel, so that
a test can tell the channels apart, find a shift in time and measure the error of a lossy codec.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile

SECONDS = 2.0
TONES_HZ = ((440.0, 620.0), (770.0, 1130.0), (910.0, 1370.0), (530.0, 1710.0))

BIT_RATES = {"libopencore_amrnb": 12_200, "wmav2": 96_000}


def known(rate: int, channels: int, seconds: float = SECONDS, level: float = 0.25) -> np.ndarray:
    """Return float32 (channels, n), peak about ``level``."""
    t = np.arange(round(rate * seconds)) / rate
    swell = 0.6 - 0.4 * np.cos(2 * np.pi * 1.5 * t)
    glide = 2 * np.pi * (t + 0.04 * t**2)
    rows = []
    for channel in range(channels):
        low, high = TONES_HZ[channel % len(TONES_HZ)]
        shift = 1 + 0.05 * (channel // len(TONES_HZ))
        tones = np.sin(low * shift * glide) + 0.5 * np.sin(high * shift * glide)
        rows.append(level / 1.5 * swell * tones)
    return np.asarray(rows, np.float32)


def write_soundfile(path: Path, samples: np.ndarray, rate: int, subtype: str, form: str) -> None:
    """Write with libsndfile; ``form`` is its format name (WAV, RF64, W64, RAW ...)."""
    soundfile.write(path, samples.T, rate, subtype=subtype, format=form)


def write_pyav(path: Path, samples: np.ndarray, rate: int, codec: str, form: str) -> None:
    """Write with FFmpeg; ``form`` is its muxer name (wav, mp4, ogg, amr ...)."""
    with av.open(str(path), "w", format=form) as container:
        layout = {1: "mono", 2: "stereo"}.get(len(samples), f"{len(samples)} channels")
        stream = container.add_stream(codec, rate=rate, layout=layout)
        if codec in BIT_RATES:
            stream.bit_rate = BIT_RATES[codec]
        _mux_audio(container, stream, samples, rate, layout)


def write_video(path: Path, samples: np.ndarray | None, rate: int) -> None:
    """Write an MP4 with a picture, and with sound when samples are given."""
    with av.open(str(path), "w", format="mp4") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        audio = None if samples is None else container.add_stream("aac", rate=rate, layout="mono")
        for _ in range(10):
            picture = np.zeros((32, 32, 3), np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        if audio is not None and samples is not None:
            _mux_audio(container, audio, samples, rate, "mono")


def _mux_audio(container, stream, samples: np.ndarray, rate: int, layout: str) -> None:
    data = np.ascontiguousarray(samples, np.float32)
    frame = av.AudioFrame.from_ndarray(data, format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    target = stream.codec_context
    resampler = av.AudioResampler(
        format=target.format, layout=target.layout, rate=rate, frame_size=target.frame_size
    )
    for part in (*resampler.resample(frame), *resampler.resample(None)):
        container.mux(stream.encode(part))
    container.mux(stream.encode(None))


def write_wav_header(
    tag: int, channels: int, rate: int, bits: int, data: bytes, size: int | None = None
) -> bytes:
    """Build a plain WAV file by hand; ``size`` is the declared data size (true one when None)."""
    block = channels * bits // 8
    byte_rate = (rate * block) & 0xFFFFFFFF
    fmt = struct.pack("<HHIIHH", tag, channels, rate, byte_rate, block & 0xFFFF, bits)
    declared = len(data) if size is None else size
    riff = min(36 + declared, 0xFFFFFFFF)
    return (
        struct.pack("<4sI4s4sI", b"RIFF", riff, b"WAVE", b"fmt ", len(fmt))
        + fmt
        + struct.pack("<4sI", b"data", declared)
        + data
    )


@dataclass(frozen=True)
class Format:
    """One way to store audio, and how far the decoded samples may be from the written ones."""

    id: str
    suffix: str
    write: Callable[[Path, np.ndarray, int, str, str], None]
    subtype: str
    form: str
    codec: str  # what Waveform.codec must say
    rate: int = 8000
    channels: int = 2
    snr_db: float = 30.0  # at least this much signal over error, after aligning the time
    delay_s: float = 0.0  # codec delay that stays in the file, at most
    length_s: float = 0.001  # how far the length may be off


def _sf(id_: str, suffix: str, subtype: str, form: str, codec: str, **rest) -> Format:
    return Format(id_, suffix, write_soundfile, subtype, form, codec, **rest)


def _av(id_: str, suffix: str, encoder: str, form: str, codec: str, **rest) -> Format:
    return Format(id_, suffix, write_pyav, encoder, form, codec, **rest)


_LOSSY = {"snr_db": 12.0, "delay_s": 0.06, "length_s": 0.13}

FORMATS = (
    _sf("wav-pcm8", ".wav", "PCM_U8", "WAV", "pcm_u8", snr_db=24),
    _sf("wav-pcm16", ".wav", "PCM_16", "WAV", "pcm_s16le", snr_db=60),
    _sf("wav-pcm24", ".wav", "PCM_24", "WAV", "pcm_s24le", snr_db=90),
    _sf("wav-pcm32", ".wav", "PCM_32", "WAV", "pcm_s32le", snr_db=90),
    _sf("wav-float", ".wav", "FLOAT", "WAV", "pcm_f32le", snr_db=90),
    _sf("wav-double", ".wav", "DOUBLE", "WAV", "pcm_f64le", snr_db=90),
    _sf("wav-alaw", ".wav", "ALAW", "WAV", "pcm_alaw"),
    _sf("wav-ulaw", ".wav", "ULAW", "WAV", "pcm_mulaw"),
    _sf("wav-extensible-ulaw", ".wav", "ULAW", "WAVEX", "pcm_mulaw"),
    _sf("wav-gsm610", ".wav", "GSM610", "WAV", "gsm_ms", channels=1, snr_db=8, length_s=0.05),
    _sf("wav-ms-adpcm", ".wav", "MS_ADPCM", "WAV", "adpcm_ms", snr_db=14, length_s=0.07),
    _sf("wav-ima-adpcm", ".wav", "IMA_ADPCM", "WAV", "adpcm_ima_wav", snr_db=20, length_s=0.07),
    _av("wav-g726", ".wav", "g726", "wav", "g726", channels=1, snr_db=12),
    _av(
        "wav-mp3",
        ".wav",
        "libmp3lame",
        "wav",
        "mp3float",
        **_LOSSY | {"delay_s": 0.15, "length_s": 0.2},
    ),
    _sf("rf64-pcm16", ".wav", "PCM_16", "RF64", "pcm_s16le", snr_db=60),
    _sf("w64-pcm16", ".w64", "PCM_16", "W64", "pcm_s16le", snr_db=60),
    _sf("aiff-pcm16", ".aiff", "PCM_16", "AIFF", "pcm_s16be", snr_db=60),
    _sf("au-ulaw", ".au", "ULAW", "AU", "pcm_mulaw"),
    _sf("caf-pcm16", ".caf", "PCM_16", "CAF", "pcm_s16be", snr_db=60),
    _sf("nist-ulaw", ".wav", "ULAW", "NIST", "pcm_mulaw"),
    _sf("flac", ".flac", "PCM_16", "FLAC", "flac", snr_db=60),
    _sf("flac-24bit", ".flac", "PCM_24", "FLAC", "flac", snr_db=90),
    _av("mp3-8k", ".mp3", "libmp3lame", "mp3", "mp3float", **_LOSSY),
    _av("mp3-44k", ".mp3", "libmp3lame", "mp3", "mp3float", rate=44100, **_LOSSY),
    _av("m4a-aac-8k", ".m4a", "aac", "ipod", "aac", **_LOSSY | {"length_s": 0.3}),
    _av("m4a-aac-44k", ".m4a", "aac", "ipod", "aac", rate=44100, **_LOSSY),
    _av("m4a-alac", ".m4a", "alac", "ipod", "alac", snr_db=60),
    _av("aac-adts", ".aac", "aac", "adts", "aac", rate=16000, **_LOSSY | {"delay_s": 0.2}),
    _av("ogg-opus", ".opus", "libopus", "ogg", "opus", rate=48000, **_LOSSY),
    _av("ogg-opus-16k", ".ogg", "libopus", "ogg", "opus", rate=16000, **_LOSSY),
    _av("webm-opus", ".webm", "libopus", "webm", "opus", rate=48000, **_LOSSY),
    _sf("ogg-vorbis", ".ogg", "VORBIS", "OGG", "vorbis", rate=44100, **_LOSSY),
    _sf("ogg-vorbis-8k", ".ogg", "VORBIS", "OGG", "vorbis", **_LOSSY),
    _av("ogg-flac", ".oga", "flac", "ogg", "flac", snr_db=60),
    _av("amr-nb", ".amr", "libopencore_amrnb", "amr", "amrnb", channels=1, **_LOSSY),
    _av("3gp-amr-nb", ".3gp", "libopencore_amrnb", "3gp", "amrnb", channels=1, **_LOSSY),
    _av("wma", ".wma", "wmav2", "asf", "wmav2", rate=44100, **_LOSSY | {"length_s": 0.2}),
    _av("wavpack", ".wv", "wavpack", "wv", "wavpack", snr_db=25),
    _av("g722", ".g722", "g722", "g722", "g722", rate=16000, channels=1, snr_db=15, delay_s=0.002),
    _sf("headerless-ulaw", ".ul", "ULAW", "RAW", "pcm_mulaw", channels=1),
    _sf("headerless-alaw", ".al", "ALAW", "RAW", "pcm_alaw", channels=1),
    _sf("headerless-gsm", ".gsm", "GSM610", "RAW", "gsm", channels=1, snr_db=8, length_s=0.05),
    _sf("dialogic-vox", ".vox", "VOX_ADPCM", "RAW", "adpcm_ima_oki", channels=1, snr_db=15),
)
