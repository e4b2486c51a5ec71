"""Known audio through every format, then everything a file can have wrong with it."""

from __future__ import annotations

import hashlib
import os
import socket
import struct
import subprocess
import sys
import time
import tracemalloc
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_files import FORMATS, Format, known, write_pyav, write_video, write_wav_header

from pipeline import audio
from pipeline.audio import Resampled, decode, readers, resample, write_clip
from pipeline.errors import (
    EmptyAudio,
    OutputError,
    ParameterError,
    RecordingError,
    UnreadableAudio,
)
from pipeline.schema import Waveform

RATE = 8000


def align(reference: np.ndarray, decoded: np.ndarray) -> tuple[float, int]:
    """Signal-to-error ratio in dB after the best gain and delay, and that delay in samples."""
    size = 1 << (len(reference) + len(decoded)).bit_length()
    product = np.fft.rfft(decoded, size) * np.conj(np.fft.rfft(reference, size))
    delay = int(np.argmax(np.fft.irfft(product)))
    delay -= size if delay > size // 2 else 0
    a = decoded[max(delay, 0) :]
    b = reference[max(-delay, 0) :]
    n = min(len(a), len(b))
    a, b = a[:n].astype(float), b[:n].astype(float)
    gain = (a @ b) / (b @ b)
    assert 0.9 < gain < 1.1
    return 10 * np.log10((b @ b) / max(1e-20, ((a - b) ** 2).sum())), delay


@pytest.mark.parametrize("form", FORMATS, ids=[f.id for f in FORMATS])
def test_every_format_gives_back_what_was_written(form: Format, tmp_path: Path) -> None:
    path = tmp_path / f"call{form.suffix}"
    written = known(form.rate, form.channels)
    form.write(path, written, form.rate, form.subtype, form.form)
    wave = decode(path)
    expected = resample(written, form.rate, wave.sample_rate)
    assert wave.codec == form.codec
    assert wave.sample_rate == min(wave.source_sample_rate, 16_000)
    assert wave.samples.dtype == np.float32
    assert wave.samples.shape[0] == form.channels
    assert wave.duration == pytest.approx(expected.shape[1] / wave.sample_rate, abs=form.length_s)
    for channel in range(form.channels):
        snr_db, delay = align(expected[channel], wave.samples[channel])
        assert snr_db > form.snr_db
        assert abs(delay) / wave.sample_rate <= form.delay_s
    assert wave.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("rate", "kept"),
    [(6000, 6000), (8000, 8000), (11025, 11025), (16000, 16000), (22050, 16000), (384_000, 16000)],
)
def test_rate_is_kept_up_to_16_khz(rate: int, kept: int, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", known(rate, 1, 1.0).T, rate, subtype="FLOAT")
    wave = decode(tmp_path / "a.wav")
    assert (wave.sample_rate, wave.source_sample_rate) == (kept, rate)
    snr_db, delay = align(known(kept, 1, 1.0)[0], wave.samples[0])
    assert snr_db > 40
    assert delay == 0


def test_down_sampling_block_by_block_equals_one_piece(tmp_path: Path) -> None:
    rate = 44_100
    noise = np.random.default_rng(3).standard_normal((2, int(rate * 30.1))).astype(np.float32) / 8
    soundfile.write(tmp_path / "a.wav", noise.T, rate, subtype="FLOAT")
    whole = resample(noise, rate, 16_000)
    wave = decode(tmp_path / "a.wav")
    assert noise.shape[1] > readers.BLOCK_SAMPLES
    n = min(whole.shape[1], wave.samples.shape[1])
    assert abs(whole.shape[1] - wave.samples.shape[1]) <= 1
    assert np.abs(whole[:, :n] - wave.samples[:, :n]).max() < 1e-3


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_channels_are_never_mixed(channels: int, suffix: str, tmp_path: Path) -> None:
    written = known(RATE, channels, 0.5)
    soundfile.write(tmp_path / f"a{suffix}", written.T, RATE, subtype="PCM_16")
    decoded = decode(tmp_path / f"a{suffix}").samples
    assert np.abs(decoded - written).max() < 1e-4


def test_sound_is_found_beside_a_picture(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", known(16_000, 1), 16_000)
    wave = decode(tmp_path / "a.mp4")
    assert wave.codec == "aac"
    assert align(known(16_000, 1)[0], wave.samples[0])[0] > 20


def test_picture_without_sound_is_explained(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", None, RATE)
    with pytest.raises(UnreadableAudio, match="no audio stream; it holds: video"):
        decode(tmp_path / "a.mp4")


# -- damaged and odd files ---------------------------------------------------------------------


def pcm(seconds: float = 1.0, channels: int = 1) -> bytes:
    return (known(RATE, channels, seconds).T * 32767).astype("<i2").tobytes()


def put(tmp_path: Path, content: bytes, name: str = "a.wav") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_cut_off_wav_keeps_what_is_there_and_says_how_much_is_missing(tmp_path: Path) -> None:
    whole = write_wav_header(1, 1, RATE, 16, pcm(10.0))
    wave = decode(put(tmp_path, whole[: 44 + 2 * RATE * 4]))
    assert wave.duration == pytest.approx(4.0, abs=0.01)
    assert wave.warnings == ("The file is cut off: 6.0 s of 10.0 s are missing.",)


@pytest.mark.parametrize("name", ["flac", "m4a-alac"])
def test_cut_off_compressed_file_says_so(name: str, tmp_path: Path) -> None:
    form = next(f for f in FORMATS if f.id == name)
    path = tmp_path / f"a{form.suffix}"
    form.write(path, known(RATE, 2, 10.0), RATE, form.subtype, form.form)
    content = path.read_bytes()
    moov = content.find(b"moov")
    if moov > 0:  # an MP4 index comes last: cut inside the media data, keep the index
        hole = slice(moov // 3, 2 * moov // 3)
        path.write_bytes(
            content[: hole.start] + bytes(hole.stop - hole.start) + content[hole.stop :]
        )
        wave = decode(path)
        assert "damaged packets" in " ".join(wave.warnings)
        assert "filled with silence" in " ".join(wave.warnings)
        late = slice(9 * RATE, 10 * RATE)  # what follows the hole is still in its place
        assert np.abs(wave.samples[:, late] - known(RATE, 2, 10.0)[:, late]).max() < 1e-3
    else:
        path.write_bytes(content[: len(content) // 2])
        wave = decode(path)
        assert any("cut off" in w for w in wave.warnings)
        assert 3 < wave.duration < 7


def test_mp4_without_its_index_is_refused(tmp_path: Path) -> None:
    write_pyav(tmp_path / "b.m4a", known(RATE, 2, 5.0), RATE, "aac", "ipod")
    content = (tmp_path / "b.m4a").read_bytes()
    with pytest.raises(UnreadableAudio):
        decode(put(tmp_path, content[: content.find(b"moov") - 4], "a.m4a"))


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0xFFFFFFD3])
def test_streamed_wav_is_read_to_the_end(size: int, tmp_path: Path) -> None:
    wave = decode(put(tmp_path, write_wav_header(1, 1, RATE, 16, pcm(3.0), size)))
    assert wave.duration == pytest.approx(3.0, abs=0.001)
    assert "written as a stream" in wave.warnings[0]


def test_not_finite_samples_are_zeroed_and_counted(tmp_path: Path) -> None:
    data = known(RATE, 1).T.astype("<f4")
    data[100], data[200], data[300] = np.nan, np.inf, -np.inf
    wave = decode(put(tmp_path, write_wav_header(3, 1, RATE, 32, data.tobytes())))
    assert np.isfinite(wave.samples).all()
    assert wave.samples[0, [100, 200, 300]].tolist() == [0, 0, 0]
    assert wave.samples[0, 101] == pytest.approx(data[101, 0])
    assert wave.warnings == ("3 samples were not finite numbers and are set to zero.",)


def test_whole_numbers_stored_as_floats_are_scaled(tmp_path: Path) -> None:
    data = (known(RATE, 1) * 32768).astype("<f4")
    wave = decode(put(tmp_path, write_wav_header(3, 1, RATE, 32, data.tobytes())))
    assert np.abs(wave.samples - known(RATE, 1)).max() < 1e-6
    assert "divided by 32768" in wave.warnings[0]


def test_stray_huge_values_do_not_spoil_the_rest(tmp_path: Path) -> None:
    data = known(RATE, 1).astype("<f4")
    data[0, 77] = 1e30
    wave = decode(put(tmp_path, write_wav_header(3, 1, RATE, 32, data.tobytes())))
    assert wave.samples[0, 77] == 0
    assert wave.samples[0, 78] == data[0, 78]
    assert "1 samples far above full scale" in wave.warnings[0]


@pytest.mark.parametrize("byte_rate", [0, 1, 2**32 - 1])
def test_a_wrong_byte_rate_in_the_header_is_not_believed(byte_rate: int, tmp_path: Path) -> None:
    whole = bytearray(write_wav_header(1, 1, RATE, 16, pcm(10.0)))
    whole[28:32] = struct.pack("<I", byte_rate)
    assert decode(put(tmp_path, bytes(whole))).warnings == ()
    cut = decode(put(tmp_path, bytes(whole[: 44 + 2 * RATE * 4])))
    assert cut.warnings == ("The file is cut off: 6.0 s of 10.0 s are missing.",)


def test_a_header_that_claims_a_terabyte_costs_nothing(tmp_path: Path) -> None:
    size = 2**40
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, size, size, size // 2, 0)
    plain = write_wav_header(1, 1, RATE, 16, pcm(3.0), 0xFFFFFFFF)
    wave = decode(put(tmp_path, b"RF64" + plain[4:12] + ds64 + plain[12:]))
    assert wave.duration == pytest.approx(3.0, abs=0.001)
    assert "cut off" in wave.warnings[0]


def test_names_and_tags_in_another_encoding_do_no_harm(tmp_path: Path) -> None:
    """Recorders write tags in GBK, and names with spaces, colons and percent signs."""
    soundfile.write(tmp_path / "a.wav", known(RATE, 1)[0], RATE, subtype="GSM610")
    title = "客服录音".encode("gbk")
    tag = struct.pack("<4sI", b"INAM", len(title)) + title
    content = (tmp_path / "a.wav").read_bytes()
    content += struct.pack("<4sI4s", b"LIST", 4 + len(tag), b"INFO") + tag
    for name in ("坐席 1: 100%.wav", "a#b?c.wav", "http:x.wav", "%03d.wav"):
        assert decode(put(tmp_path, content, name)).duration == pytest.approx(2, abs=0.03)
    raw = os.path.join(os.fsencode(tmp_path), b"\xb2\xe2.wav")  # a GBK file name
    Path(os.fsdecode(raw)).write_bytes(content)
    assert decode(os.fsdecode(raw)).duration == pytest.approx(2, abs=0.03)


def test_one_sample_is_a_recording(tmp_path: Path) -> None:
    wave = decode(put(tmp_path, write_wav_header(1, 1, RATE, 16, b"\x00\x40")))
    assert wave.samples.tolist() == [[0.5]]


EMPTY = {
    "empty file": b"",
    "no data": write_wav_header(1, 1, RATE, 16, b""),
    "no data, other chunk after": write_wav_header(1, 1, RATE, 16, b"")
    + struct.pack("<4sI4s", b"LIST", 4, b"INFO"),
    "half a sample": write_wav_header(1, 1, RATE, 16, b"\x01"),
}


@pytest.mark.parametrize("content", EMPTY.values(), ids=EMPTY)
def test_nothing_inside_is_empty_audio(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(EmptyAudio) as caught:
        decode(put(tmp_path, content))
    assert caught.value.hint


NOT_AUDIO = {
    "text": "坐席: 您好\n".encode() * 400,
    "page": b"<!DOCTYPE html><html><body>404 Not Found</body></html>" * 50,
    "noise": np.random.default_rng(5).bytes(200_000),
    "zeros": bytes(50_000),
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(5000),
    "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
    "list of files": b"ffconcat version 1.0\nfile '/etc/hostname'\n",
    "half a header": write_wav_header(1, 1, RATE, 16, pcm())[:30],
    "header only": write_wav_header(1, 1, RATE, 16, pcm())[:36],
    "zero channels": write_wav_header(1, 0, RATE, 16, pcm()),
    "rate of 1 Hz": write_wav_header(1, 1, 1, 16, pcm()),
    "rate of 2 GHz": write_wav_header(1, 1, 2_000_000_000, 16, pcm()),
}


@pytest.mark.parametrize("content", NOT_AUDIO.values(), ids=NOT_AUDIO)
@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".m4a"])
def test_what_is_not_audio_is_refused_in_one_line(
    content: bytes, suffix: str, tmp_path: Path
) -> None:
    with pytest.raises(UnreadableAudio) as caught:
        decode(put(tmp_path, content, f"a{suffix}"))
    assert caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_unknown_codec_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableAudio, match="0x1234"):
        decode(put(tmp_path, write_wav_header(0x1234, 1, RATE, 16, pcm())))
    with pytest.raises(UnreadableAudio, match="SILK"):
        decode(put(tmp_path, b"#!SILK_V3" + bytes(500), "a.slk"))


def test_folder_missing_file_and_socket_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableAudio, match="folder"):
        decode(tmp_path)
    with pytest.raises(UnreadableAudio, match="No such file"):
        decode(tmp_path / "gone.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(UnreadableAudio, match="pipe"):
        decode(tmp_path / "pipe.wav")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.wav"))
        with pytest.raises(UnreadableAudio, match="device or pipe"):
            decode(tmp_path / "s.wav")


@contextmanager
def plain_user():
    """Act as a user without rights while root runs the tests."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_no_permission_is_said(tmp_path: Path) -> None:
    path = put(tmp_path, write_wav_header(1, 1, RATE, 16, pcm()))
    path.chmod(0)
    with plain_user(), pytest.raises(UnreadableAudio, match="Permission denied"):
        decode(path)


def test_too_long_is_refused_before_and_while_decoding(tmp_path: Path) -> None:
    written = known(RATE, 2, 10.0)
    for suffix, codec, form in ((".flac", "flac", "flac"), (".mp3", "libmp3lame", "mp3")):
        path = tmp_path / f"a{suffix}"
        write_pyav(path, written, RATE, codec, form)
        assert decode(path, max_samples=200_000).duration == pytest.approx(10, abs=0.2)
        with pytest.raises(UnreadableAudio, match="longer than"):
            decode(path, max_samples=100_000)


def test_too_long_a_wav_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = put(tmp_path, write_wav_header(1, 2, RATE, 16, b"", 0xFFFFFFFF))
    os.truncate(path, 2**33)  # 74 hours, all holes
    began = time.process_time()
    with pytest.raises(UnreadableAudio, match=r"longer than 4\.66 hours.* 2 channel"):
        decode(path)
    os.truncate(path, 2**40)
    with pytest.raises(UnreadableAudio, match=r"1024\.0 GiB; allowed are 16 GiB"):
        decode(path)
    assert time.process_time() - began < 1.0


PEAK = """
import resource, sys
from pipeline.audio import decode
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
size = decode(sys.argv[1]).samples.nbytes
print(size, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
@pytest.mark.parametrize(("suffix", "rate"), [(".wav", 8000), (".flac", 8000), (".flac", 32000)])
def test_memory_stays_near_the_size_of_the_result(suffix: str, rate: int, tmp_path: Path) -> None:
    minute = np.zeros((rate * 60, 2), np.float32)
    with soundfile.SoundFile(tmp_path / f"a{suffix}", "w", rate, 2, "PCM_16") as sound:
        for _ in range(20):
            sound.write(minute)
    run = [sys.executable, "-c", PEAK, str(tmp_path / f"a{suffix}")]
    root = Path(__file__).parent.parent
    size, peak = map(int, subprocess.check_output(run, cwd=root, text=True).split())
    assert size == 20 * 60 * min(rate, 16_000) * 2 * 4
    assert peak < 1.1 * size + 64 * 2**20


@pytest.mark.slow
def test_flipped_bits_never_crash(tmp_path: Path) -> None:
    """Each mutant is decoded or refused by our own error, quickly, with finite samples."""
    rng = np.random.default_rng(20)
    names = {
        "wav-pcm16", "wav-float", "wav-ulaw", "wav-gsm610", "wav-ms-adpcm", "w64-pcm16", "flac",
        "mp3-8k", "m4a-aac-8k", "ogg-opus", "ogg-vorbis-8k", "webm-opus", "amr-nb",
    }  # fmt: skip
    forms = [f for f in FORMATS if f.id in names]
    assert len(forms) == len(names)
    decoded = refused = 0
    for form in forms:
        path = tmp_path / f"{form.id}{form.suffix}"
        form.write(path, known(form.rate, form.channels, 0.6), form.rate, form.subtype, form.form)
        clean = np.frombuffer(path.read_bytes(), np.uint8)
        for turn in range(30):
            mutant = clean.copy()
            reach = len(clean) if turn % 2 else min(len(clean), 200)  # often the header
            where = rng.integers(0, reach, rng.integers(1, 9))
            mutant[where] ^= (1 << rng.integers(0, 8, len(where))).astype(np.uint8)
            path.write_bytes(mutant[: len(mutant) - int(rng.integers(0, 2) * reach // 3)].tobytes())
            began = time.process_time()
            try:
                wave = decode(path, max_samples=2**24)
            except RecordingError as error:
                refused += "\n" not in error.message
            else:
                decoded += 1
                assert np.isfinite(wave.samples).all()
                assert wave.samples.shape[1] > 0
            assert time.process_time() - began < 5
    assert decoded + refused == 30 * len(forms)
    assert min(decoded, refused) > 10


# -- resample and clips ------------------------------------------------------------------------


def test_resample_keeps_level_and_shape() -> None:
    tone = known(RATE, 2)
    up = resample(tone, RATE, 16_000)
    assert up.shape == (2, 32_000)
    assert align(known(16_000, 2)[1], up[1])[0] > 40
    assert resample(tone[0], RATE, 16_000).shape == (32_000,)
    assert resample(tone, RATE, RATE) is tone
    with pytest.raises(ParameterError):
        resample(tone, 0, 8000)


@pytest.mark.parametrize("rate", [4001, 6000, 8000, 11_025, 16_000, 44_100])
def test_a_stretch_read_alone_is_as_of_the_whole(rate: int) -> None:
    rng = np.random.default_rng(rate)
    sound = rng.standard_normal(rate * 7 + 3).astype(np.float32) / 8
    whole = resample(sound, rate, 16_000)
    lazy = Resampled(sound, rate, 16_000)
    assert lazy.size == whole.size
    edges = np.sort(rng.integers(0, whole.size + 1, (40, 2)))
    for start, stop in [*edges, (0, 1), (0, whole.size), (whole.size - 1, whole.size), (5, 5)]:
        part = lazy[start:stop]
        assert part.dtype == np.float32
        assert part.shape == (stop - start,)
        assert np.abs(part - whole[start:stop]).max(initial=0.0) < 1e-5
    assert lazy[whole.size - 10 : whole.size + 99].shape == (10,)
    assert lazy[9:3].shape == (0,)
    assert np.abs(np.asarray(lazy) - whole).max() < 1e-5


def test_a_stretch_costs_no_more_than_itself() -> None:
    hour = np.zeros(3600 * RATE, np.float32)
    lazy = Resampled(hour, RATE, 16_000)
    tracemalloc.start()
    try:
        assert not lazy[16_000 * 1800 : 16_000 * 1801].any()
        assert tracemalloc.get_traced_memory()[1] < hour.nbytes / 50
    finally:
        tracemalloc.stop()


def test_what_cannot_be_resampled_is_refused() -> None:
    for samples, rates in ((known(RATE, 2), (8000, 16_000)), (known(RATE, 1)[0], (8000, 0))):
        with pytest.raises(ParameterError):
            Resampled(samples, *rates)
    with pytest.raises(ParameterError, match="every 2"):
        Resampled(known(RATE, 1)[0], 8000, 16_000)[::2]


def test_clip_is_cut_to_the_sample_and_clamped(tmp_path: Path) -> None:
    wave = Waveform(known(RATE, 2), RATE, RATE, "pcm_s16le", "")
    write_clip(wave, 0.5, 1.25, tmp_path / "c.wav")
    assert np.abs(decode(tmp_path / "c.wav").samples - wave.samples[:, 4000:10000]).max() < 1e-4
    write_clip(wave, -3, 99, tmp_path / "all.flac")
    assert decode(tmp_path / "all.flac").duration == wave.duration
    for start, end in ((1.0, 1.0), (1.0, 0.5), (5.0, 6.0)):
        with pytest.raises(ParameterError):
            write_clip(wave, start, end, tmp_path / "x.wav")
    for bad in (tmp_path / "no" / "c.wav", tmp_path / "c.txt"):
        with pytest.raises(OutputError):
            write_clip(wave, 0, 1, bad)


def test_suffixes_are_lower_case_and_unique() -> None:
    assert len(set(audio.AUDIO_SUFFIXES)) == len(audio.AUDIO_SUFFIXES)
    assert all(s == s.lower() and s.startswith(".") for s in audio.AUDIO_SUFFIXES)
    assert {f.suffix for f in FORMATS} | set(audio.HEADERLESS) <= set(audio.AUDIO_SUFFIXES)


def stale(path: Path, seconds: float, tail: bytes = b"") -> Path:
    """A WAV file of 10 s whose header gives a shorter length; ``tail`` follows the samples."""
    size = round(seconds * 16_000)
    samples = (4000 * np.sin(np.arange(80_000) / 5)).astype("<i2").tobytes()
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 1,
                       8000, 16_000, 2, 16, b"data", size)  # fmt: skip
    path.write_bytes(head + samples + tail)
    return path


def test_samples_behind_a_stale_size_are_read_and_both_lengths_are_named(tmp_path: Path):
    wave = decode(stale(tmp_path / "a.wav", 2.5))
    assert wave.duration == 10
    assert wave.warnings == ("The header gives 2.5 s, the file holds 10.0 s. Read to the end.",)
    assert np.abs(wave.samples[0, -100:]).max() > 0.1


def test_a_chunk_behind_the_samples_is_not_read_as_sound(tmp_path: Path):
    path = stale(tmp_path / "a.wav", 10.0, b"LIST" + struct.pack("<I", 4000) + bytes(4000))
    wave = decode(path)
    assert (wave.duration, wave.warnings) == (10, ())


@pytest.mark.parametrize("offset", [0.05, -0.3])
def test_a_constant_offset_is_no_level(tmp_path: Path, offset: float) -> None:
    clean = known(RATE, 2) * np.float32(0.5)
    clean[0, : 2 * RATE // 5] = 0
    shifted = clean.copy()
    shifted[0, 2 * RATE // 5 :] += np.float32(offset)
    soundfile.write(tmp_path / "call.wav", shifted.T, RATE, subtype="PCM_16")
    wave = decode(tmp_path / "call.wav")
    assert wave.warnings == (f"Channel 0 has a constant offset of {offset:+.3f}: taken out.",)
    assert np.abs(wave.samples - clean).max() < 2e-3
    assert not wave.samples[0, : 2 * RATE // 5].any()  # digital silence stays what it is


@pytest.mark.parametrize("cut", [0, 4000])
def test_recordings_behind_each_other_in_one_file_are_read_on(tmp_path: Path, cut: int) -> None:
    written = known(RATE, 2)
    for name, part in (("a", written), ("b", written[:, :RATE])):
        soundfile.write(tmp_path / f"{name}.wav", part.T, RATE, subtype="PCM_16")
    first, second = ((tmp_path / f"{name}.wav").read_bytes() for name in "ab")
    extra = b"LIST" + struct.pack("<I", 4) + b"INFO"
    (tmp_path / "call.wav").write_bytes((first + extra + second + first)[: -cut or None])
    wave = decode(tmp_path / "call.wav")
    seconds = written.shape[1] / RATE
    gone = cut // 4
    whole = np.concatenate((written, written[:, :RATE], written), axis=1)
    whole = whole[:, : whole.shape[1] - gone]
    assert np.abs(wave.samples - whole).max() < 1e-4
    assert wave.warnings[0] == (
        f"The file holds 3 recordings, one behind the other ({seconds:.1f} and 1.0 and "
        f"{seconds - gone / RATE:.1f} s): read on to the end."
    )
    assert len(wave.warnings) == 1 + bool(cut)


def test_a_recording_of_another_format_behind_one_is_said(tmp_path: Path) -> None:
    written = known(RATE, 2)
    soundfile.write(tmp_path / "a.wav", written.T, RATE, subtype="PCM_16")
    soundfile.write(tmp_path / "b.wav", written[0], RATE, subtype="ALAW", format="WAV")
    both = (tmp_path / "a.wav").read_bytes() + (tmp_path / "b.wav").read_bytes()
    (tmp_path / "call.wav").write_bytes(both)
    wave = decode(tmp_path / "call.wav")
    seconds = f"{written.shape[1] / RATE:.1f}"
    assert wave.samples.shape == written.shape
    assert wave.warnings == (
        f"The file holds 2 recordings, one behind the other ({seconds} and {seconds} s): "
        "only the first is read.",
    )


@pytest.mark.parametrize(
    ("silent_s", "said"), [(4.0, ()), (6.0, ("The last 6.0 s are digital silence.",))]
)
def test_a_long_still_end_is_noted(tmp_path: Path, silent_s: float, said: tuple[str, ...]):
    samples = np.concatenate((np.sin(np.arange(24_000) / 5), np.zeros(round(8000 * silent_s))))
    soundfile.write(tmp_path / "a.wav", samples, 8000)
    assert decode(tmp_path / "a.wav").warnings == said
