"""Judge the channels of a recording before anything is measured on them.

What
----
:func:`assess` gives each channel its signal-to-noise ratio, clipping, bandwidth, level and problem
ids; :func:`channel_findings` says how channels relate: dead, identical (a mono call stored as
stereo), the sum of two others, mixed (one carries the other as loud as its own voice) or leaking
into each other, at once or as a late echo; :func:`crosstalk_db` measures the leak and :func:`leaked`
marks the frames in which a channel carries nothing but the other speaker's leak.

Conventions
-----------
Frames are 20 ms without overlap. Apart from levels in dBFS and the test for a dead channel nothing
depends on the gain of the recording. Frames whose samples all have one magnitude (digital silence,
the idle code of A-law) are gaps: they are neither speech nor noise. Activity is judged by energy
unless speech spans are given. Crosstalk matrices are indexed [receiving channel, talking channel].

References
----------
Welch 1967, IEEE Trans. Audio Electroacoust. 15:70 (averaged spectra); Bendat and Piersol 2010,
Random Data, chapters 6 and 9 (least-squares transfer function and the bias of coherence).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from pipeline.errors import ParameterError
from pipeline.schema import Audio, ChannelQuality, Seconds, Span, Waveform
from pipeline.spans import mask_of

Problem = Literal["dead", "identical", "sum", "mixed", "leaking", "clipped", "noisy", "narrow"]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

FRAME_S = 0.02
SNR_MAX_DB = 60.0
"""Signal-to-noise ratios are capped here: beyond it the noise is that of the codec."""

DEAD_DBFS = -65.0
IDENTICAL_CORRELATION = 0.95
LEAK_DB = -35.0

_ACTIVE_OVER_NOISE_DB = 9.0
_ACTIVE_UNDER_LOUD_DB = 30.0
_HOLE_FRAMES = 10
_EDGE_UNDER_PEAK_DB = 45.0  # the band ends where the mean spectrum stays below this
_CEILING = 0.98  # full scale, the highest code of A-law (0.984) and of u-law (0.980)
_FLAT = 1e-3  # neighbours this close, relative to the peak, are one flat top
_MIN_SPEECH_S = 0.2
_MIN_EVIDENCE_S = 1.0
_SPECTRUM_S = 0.03
_MAX_SPECTRA = 800
_BLOCK_S = 0.5
_MAX_BLOCKS = 40
_DOMINATES = 2.0  # the talker's power over the receiver's, both over half a second
_OUTLIER = 10.0  # power ratios this far above their median are the receiver's own speech
_GAIN_RANGE_DB = 12.0  # copies of one sound differ by less; beyond it one channel leaks
_MIXED_CORRELATION = 0.7  # in most half seconds: both channels carry one voice about as loud
_MIXED_EVIDENCE_S = 3.0
_OVER_CHANCE = 2.0  # a leak counts when it is this many times what chance coherence gives
_FRAMES_AT_ONCE = 8192
_SAMPLES_AT_ONCE = 1 << 20
_LATE_S = 0.02  # from here on a leak is an echo that a listener can tell
_ECHO_S = 0.45  # the longest way a leak takes: satellite, conference and speakerphone included
_ECHO_UNDER_DB = 6.0
_BLUR_EVIDENCE_S = 2.0
_BLUR_LATE_S = 0.06  # crosstalk that comes at once follows the talker's course as well
_BLUR_ALIKE = 0.6
_BLUR_STANDS_OUT = 0.3
_BLUR_OVER_DB = 1.0  # so much louder than what samples have in common
_TINY = 1e-30


@dataclass(frozen=True, slots=True)
class ChannelFinding:
    """How one channel is unfit to stand for one speaker.

    ``value`` is the correlation with channel ``other`` (identical, mixed) or the level of its leak
    in dB (leaking); ``delay_s`` is how much later the sound arrives than in ``other``. A channel
    that is a sum is that of ``other`` and ``second``.
    """

    problem: Literal["dead", "identical", "sum", "mixed", "leaking"]
    channel: int
    other: int | None = None
    value: float | None = None
    delay_s: Seconds | None = None
    second: int | None = None

    @property
    def message(self) -> str:
        """The finding as a sentence."""
        if self.problem == "dead":
            return f"Channel {self.channel} carries no signal."
        if self.problem == "identical":
            return (
                f"Channels {self.other} and {self.channel} are the same sound"
                f"{f'{self._apart} apart' if self._apart else ''}: treated as mono."
            )
        if self.problem == "sum":
            return (
                f"Channel {self.channel} is the sum of channels {self.other} and {self.second}: "
                "left out."
            )
        if self.problem == "mixed":
            return (
                f"Channel {self.channel} carries channel {self.other} about as loud as its own "
                f"voice: channel {self.channel} is treated as mono."
            )
        order = "early" if (self.delay_s or 0.0) < 0 else "late"
        late = f"{self._apart} {order}" if self._apart else ""
        return f"Channel {self.channel} carries channel {self.other} at {self.value:.0f} dB{late}."

    @property
    def _apart(self) -> str:
        """How far the sounds are apart, where a listener can tell."""
        delay_s = abs(self.delay_s or 0.0)
        return f", {delay_s:.2f} s" if delay_s >= _LATE_S else ""


@dataclass(frozen=True, slots=True)
class Usable:
    """Channels that stand for one speaker each; one when the recording is mono in effect.

    ``quality`` describes the channels in use and those that carry no signal while just one other
    does; the latter are ``dead``. ``leaks`` is the matrix of :func:`crosstalk_db` of those in use,
    ``delays_s`` how much later each leak arrives, ``blurred`` whether only its course is known.
    """

    channels: tuple[int, ...]
    dead: tuple[int, ...]
    leaks: Floats
    delays_s: Floats
    blurred: Mask
    quality: tuple[ChannelQuality, ...]
    warnings: tuple[str, ...]


def usable(wave: Waveform) -> Usable:
    """Choose the channels to work on and say what was found of the others."""
    frames = _Frames.of(wave)
    findings = _find(frames, frames.active, DEAD_DBFS, IDENTICAL_CORRELATION, LEAK_DB)
    copies = {f.channel for f in findings if f.problem in ("identical", "sum")}
    mixed = {f.other for f in findings if f.problem == "mixed"}
    dead = {f.channel for f in findings if f.problem == "dead"}
    kept = [c for c in range(wave.channels) if c not in copies | dead | mixed]
    kept = kept or [c for c in range(wave.channels) if c not in copies]
    warnings = [f.message for f in findings]
    if dead and len(kept) == 1 and wave.channels > 1:
        warnings.append(f"Channel {kept[0]} is treated as mono.")
    if len(kept) > 2:
        power = [float(np.dot(samples, samples)) for samples in wave.samples]
        loudest = sorted(sorted(kept, key=lambda c: -power[c])[:2])
        warnings.append(
            f"{wave.channels} channels; the two loudest ({loudest[0]} and {loudest[1]}) are used."
        )
        kept = loudest
    silent = tuple(sorted(dead - set(kept))) if len(kept) == 1 else ()
    quality = tuple(
        replace(c, problems=tuple(p for p in c.problems if p != "identical"))
        for c in _assess(frames, findings)
        if c.channel in (*kept, *silent)
    )
    leaks, delays_s = (m[np.ix_(kept, kept)] for m in _crosstalk(frames, frames.active))
    delays_s = np.where(leaks >= LEAK_DB, delays_s, 0.0)  # that of fainter ones may be chance
    blurred = np.zeros(leaks.shape, bool)
    for pair in permutations(range(len(kept)), 2):
        receiver, talker = (kept[i] for i in pair)
        level, delay_s = _blurred_echo(frames, frames.active, receiver, talker)
        if level >= LEAK_DB and not level <= leaks[pair] + _BLUR_OVER_DB:
            blurred[pair], leaks[pair], delays_s[pair] = True, level, delay_s
            warnings.append(
                f"Channel {receiver} carries an echo of channel {talker} at {level:.0f} dB, about "
                f"{delay_s:.2f} s late, that a room or a changing delay has blurred."
            )
    return Usable(tuple(kept), silent, leaks, delays_s, blurred, quality, tuple(warnings))


def assess(
    waveform: Waveform,
    *,
    clipping_ratio: float = 0.001,
    snr_db: float = 15.0,
    bandwidth_hz: float = 2500.0,
    dead_dbfs: float = DEAD_DBFS,
    identical_correlation: float = IDENTICAL_CORRELATION,
    leak_db: float = LEAK_DB,
) -> tuple[ChannelQuality, ...]:
    """Describe every channel and name its problems.

    Parameters
    ----------
    waveform : Waveform
    clipping_ratio : float
        ``clipped`` above this share of clipped samples in active frames.
    snr_db : float
        ``noisy`` below this signal-to-noise ratio.
    bandwidth_hz : float
        ``narrow`` when the speech ends below this frequency.
    dead_dbfs, identical_correlation, leak_db : float
        As in :func:`channel_findings`, whose findings appear here as problem ids.

    Returns
    -------
    tuple of ChannelQuality
        One a channel. ``snr_db``, ``bandwidth_hz`` and ``level_dbfs`` are None where there is
        less than 0.2 s of activity to measure them on.
    """
    frames = _Frames.of(waveform)
    findings = _find(frames, frames.active, dead_dbfs, identical_correlation, leak_db)
    return _assess(frames, findings, clipping_ratio, snr_db, bandwidth_hz)


def _assess(
    frames: _Frames,
    findings: Sequence[ChannelFinding],
    clipping_ratio: float = 0.001,
    snr_db: float = 15.0,
    bandwidth_hz: float = 2500.0,
) -> tuple[ChannelQuality, ...]:
    result = []
    for channel in range(len(frames.samples)):
        quality = _describe(frames, channel)
        problems: list[Problem] = [f.problem for f in findings if f.channel == channel]
        problems += [
            "identical" for f in findings if f.problem == "identical" and f.other == channel
        ]
        if quality.clipping_ratio > clipping_ratio:
            problems.append("clipped")
        if quality.snr_db is not None and quality.snr_db < snr_db:
            problems.append("noisy")
        if quality.bandwidth_hz is not None and quality.bandwidth_hz < bandwidth_hz:
            problems.append("narrow")
        result.append(replace(quality, problems=tuple(dict.fromkeys(problems))))
    return tuple(result)


def channel_findings(
    waveform: Waveform,
    speech: Mapping[int, Sequence[Span]] | None = None,
    *,
    dead_dbfs: float = DEAD_DBFS,
    identical_correlation: float = IDENTICAL_CORRELATION,
    leak_db: float = LEAK_DB,
) -> tuple[ChannelFinding, ...]:
    """Say which channels cannot stand for one speaker each.

    Parameters
    ----------
    waveform : Waveform
    speech : mapping of channel to spans, optional
        Where each channel has speech; judged by energy when not given.
    dead_dbfs : float
        A channel that is louder than this for less than 0.2 s is dead.
    identical_correlation : float
        Two channels are identical when in nine of ten active half seconds their correlation, at
        one common delay of up to 0.45 s and one common gain within 12 dB, is at least this.
    leak_db : float
        A channel leaks when it carries another, relative to its level there, at this or above.

    Returns
    -------
    tuple of ChannelFinding
        Identical pairs name the higher channel first; only lower ones need be kept.
    """
    frames = _Frames.of(waveform)
    active = frames.active if speech is None else frames.mask_of(speech)
    return _find(frames, active, dead_dbfs, identical_correlation, leak_db)


def crosstalk_db(waveform: Waveform, speech: Mapping[int, Sequence[Span]] | None = None) -> Floats:
    """Measure how loud each channel is heard in each other one.

    During frames that the talking channel dominates, the receiving channel is regressed on it,
    frequency by frequency, after a search for the delay (up to 0.45 s either way). What chance
    coherence alone would give is subtracted.

    Returns
    -------
    ndarray [shape=(channels, channels)]
        Level of the leak in dB relative to the talker's level in the own channel: 0 on the
        diagonal, ``-inf`` where no leak can be told from chance, ``nan`` where the talking
        channel has less than a second to itself.
    """
    frames = _Frames.of(waveform)
    return _crosstalk_db(frames, frames.active if speech is None else frames.mask_of(speech))


def _crosstalk_db(frames: _Frames, active: Mask) -> Floats:
    return _crosstalk(frames, active)[0]


def _crosstalk(frames: _Frames, active: Mask) -> tuple[Floats, Floats]:
    """Level in dB and delay in seconds of each channel in each other one."""
    level = np.zeros((len(active), len(active)))
    delay_s = np.zeros_like(level)
    for receiver, talker in permutations(range(len(active)), 2):
        pair = receiver, talker
        level[pair], delay_s[pair] = _leak(frames, active, receiver, talker)
    return level, delay_s


def leaked(
    frames_db: NDArray[np.floating[Any]],
    crosstalk: Floats | None = None,
    *,
    default_db: float = -20.0,
    margin_db: float = 6.0,
    spread: int = 1,
    window: int = 25,
    correlation: float = 0.6,
    delay_frames: NDArray[np.int_] | None = None,
    blur_frames: NDArray[np.int_] | None = None,
) -> Mask:
    """Mark the frames in which a channel carries nothing but another channel's leak.

    A frame is marked when it is no louder than the leak would be, and its level follows the
    talker's level over the frames around it, before it or after it: where the answer begins, the
    frames around tell nothing. What is said during the other's speech stays when
    it rises above the leak and the margin; softer answers can only be told by their own course.

    Parameters
    ----------
    frames_db : ndarray [shape=(channels, n)]
        Frame levels in dB, any hop from 10 to 20 ms.
    crosstalk : ndarray [shape=(channels, channels)], optional
        From :func:`crosstalk_db`. Pairs without a measured leak are never marked. Without a
        matrix every pair is taken to leak at ``default_db``.
    margin_db : float
        How far a frame may rise above the mean leak: rooms and codecs colour it.
    spread : int
        Frames to either side within which the talker's level counts (echo, delay).
    window : int
        Frames over which the levels are compared.
    correlation : float
        Least correlation of the two levels over the window.
    delay_frames : ndarray [shape=(channels, channels)], optional
        How many frames later the leak arrives, where the delay is known to be long.
    blur_frames : ndarray [shape=(channels, channels)], optional
        By how many frames it may come earlier or later than that.

    Returns
    -------
    ndarray [shape=(channels, n)] of bool
    """
    levels = np.asarray(frames_db, np.float64)
    if levels.ndim != 2:
        raise ParameterError(f"frames_db must have shape (channels, n), not {levels.shape}.")
    mask = np.zeros(levels.shape, bool)
    if levels.shape[1] == 0:
        return mask
    levels = np.maximum(levels, -120.0)  # digital silence is -inf
    for receiver, talker in permutations(range(len(levels)), 2):
        leak_db = default_db if crosstalk is None else float(crosstalk[receiver, talker])
        if not np.isfinite(leak_db):
            continue
        delay = 0 if delay_frames is None else int(delay_frames[receiver, talker])
        source = _shift(levels[talker], delay)
        blur = 0 if blur_frames is None else int(blur_frames[receiver, talker])
        around = range(-spread - blur, spread + blur + 1)
        nearby = np.max([_shift(source, by) for by in around], axis=0)
        quiet = levels[receiver] <= nearby + leak_db + margin_db
        late = range(-blur, blur + 1)
        alike = np.max(
            [_rolling_correlation(levels[receiver], _shift(source, by), window) for by in late],
            axis=0,
        )
        sides = [_shift(alike, by) for by in (-(window // 2), 0, window // 2)]
        mask[receiver] |= quiet & (np.max(sides, axis=0) >= correlation)
    return mask


@dataclass(frozen=True)
class _Frames:
    """A waveform cut into frames, with what all measures share."""

    samples: Audio  # (channels, frames * hop)
    rate: int
    hop: int
    power: Floats  # (channels, frames)
    gap: Mask  # (channels, frames)
    noise: Floats  # (channels,) power of the noise floor
    active: Mask  # (channels, frames)

    @classmethod
    def of(cls, waveform: Waveform) -> _Frames:
        hop = max(1, round(FRAME_S * waveform.sample_rate))
        count = waveform.samples.shape[1] // hop
        if count == 0:
            return cls._padded(waveform, hop)
        samples = waveform.samples[:, : count * hop]
        cut = samples.reshape(len(samples), count, hop)
        power = np.einsum("cfh,cfh->cf", cut, cut).astype(np.float64) / hop
        gap = np.stack([_gaps(channel) for channel in cut])
        noise = np.array([_noise_floor(p[~g]) for p, g in zip(power, gap, strict=True)])
        active = np.stack([_active(p, g, n) for p, g, n in zip(power, gap, noise, strict=True)])
        return cls(samples, waveform.sample_rate, hop, power, gap, noise, active)

    @classmethod
    def _padded(cls, waveform: Waveform, hop: int) -> _Frames:
        """Frames of a recording shorter than one frame."""
        padded = np.zeros((waveform.channels, hop), np.float32)
        padded[:, : waveform.samples.shape[1]] = waveform.samples
        return cls.of(replace(waveform, samples=padded))

    def mask_of(self, speech: Mapping[int, Sequence[Span]]) -> Mask:
        """Speech spans as a mask over frames."""
        mask = np.zeros(self.power.shape, bool)
        for channel, spans in speech.items():
            if not 0 <= channel < len(mask):
                raise ParameterError(f"Speech names channel {channel} of {len(mask)}.")
            mask[channel] = mask_of(spans, self.power[channel].size, FRAME_S)
        return mask

    def spectra(self, channel: int, frames: NDArray[np.int_], delay: int = 0) -> Any:
        """Complex spectra [shape=(k, bins)] of windows that start at the frames, plus a delay."""
        size = fft.next_fast_len(round(_SPECTRUM_S * self.rate), real=True)
        window = np.hanning(size).astype(np.float32)
        starts = np.clip(frames * self.hop + delay, 0, max(0, self.samples.shape[1] - size))
        index = starts[:, None] + np.arange(size)
        index = np.minimum(index, self.samples.shape[1] - 1)
        return fft.rfft(self.samples[channel][index] * window, axis=1)


def _gaps(frames: Audio) -> Mask:
    """Which of the frames [shape=(n, hop)] have samples of one magnitude only."""
    gap = np.empty(len(frames), bool)
    for at in range(0, len(frames), _FRAMES_AT_ONCE):
        part = slice(at, at + _FRAMES_AT_ONCE)
        size = np.abs(frames[part, ::4])  # a quarter of the samples tells most frames apart
        gap[part] = size.max(axis=1) == size.min(axis=1)
        (doubtful,) = np.nonzero(gap[part])
        size = np.abs(frames[part][doubtful])
        gap[part][doubtful] = size.max(axis=1) == size.min(axis=1)
    return gap


def _closed(mask: Mask) -> Mask:
    """Fill holes shorter than 0.2 s: the dips between syllables belong to the speech."""
    at = np.flatnonzero(mask)
    filled = mask.copy()
    for hole in np.flatnonzero((np.diff(at) > 1) & (np.diff(at) <= _HOLE_FRAMES)):
        filled[at[hole] : at[hole + 1]] = True
    return filled


def _noise_floor(power: Floats) -> float:
    """Mean power of the quietest frames: those within 3 dB of the lowest tenth."""
    if power.size == 0:
        return 0.0
    low = np.partition(power, power.size // 10)[power.size // 10]
    return float(power[power <= 2 * low].mean())


def _active(power: Floats, gap: Mask, noise: float) -> Mask:
    """Mark frames well above the noise and not far below the loud ones."""
    if gap.all():
        return np.zeros(power.shape, bool)
    loud = np.partition(power[~gap], -1 - (~gap).sum() // 20)[-1 - (~gap).sum() // 20]
    threshold = max(
        noise * 10 ** (_ACTIVE_OVER_NOISE_DB / 10), loud * 10 ** (-_ACTIVE_UNDER_LOUD_DB / 10)
    )
    return np.asarray((power > threshold) & ~gap)


def _describe(frames: _Frames, channel: int) -> ChannelQuality:
    speech = _closed(frames.active[channel])
    seconds = float(speech.sum() * FRAME_S)
    if seconds < _MIN_SPEECH_S:
        return ChannelQuality(channel, None, 0.0, None, seconds, None)
    level = float(frames.power[channel][speech & ~frames.gap[channel]].mean())
    noise = frames.noise[channel]
    ratio = max(level - noise, _TINY) / max(noise, _TINY)
    return ChannelQuality(
        channel=channel,
        snr_db=min(SNR_MAX_DB, 10 * float(np.log10(ratio))),
        clipping_ratio=_clipped(frames.samples[channel]) / float(speech.sum() * frames.hop),
        bandwidth_hz=_bandwidth_hz(frames, channel),
        speech_s=seconds,
        level_dbfs=10 * float(np.log10(level)),
    )


def _clipped(samples: Audio) -> int:
    """Count samples in runs of three or more at the ceiling, or flat at the peak of the channel."""
    peak = float(max(samples.max(), -samples.min()))
    count = 0
    for start in range(0, samples.size, _SAMPLES_AT_ONCE):
        first = max(0, start - 2)  # a run may reach into the pieces before and after
        value = samples[first : start + _SAMPLES_AT_ONCE + 2]
        size = np.abs(value)
        hot = size >= min(0.99 * peak, _CEILING)
        if np.count_nonzero(hot) < 3:
            continue
        joined = np.abs(np.diff(value)) <= _FLAT * peak
        joined |= (size[1:] >= _CEILING) & (value[1:] * value[:-1] > 0)
        joined &= hot[1:] & hot[:-1]
        three = joined[1:] & joined[:-1]
        inside = np.zeros(value.size, bool)
        for shift in range(3):
            inside[shift : shift + three.size] |= three
        count += int(np.count_nonzero(inside[start - first : start - first + _SAMPLES_AT_ONCE]))
    return count


def _bandwidth_hz(frames: _Frames, channel: int) -> float:
    """Highest frequency at which speech stands out from both the noise and its own peak."""
    active = _thin(np.flatnonzero(frames.active[channel]))
    speech = (np.abs(frames.spectra(channel, active)) ** 2).mean(axis=0)
    quiet = ~frames.active[channel] & ~frames.gap[channel]
    quiet &= frames.power[channel] <= 2 * frames.noise[channel]
    floor = speech.max() * 10 ** (-_EDGE_UNDER_PEAK_DB / 10)
    if quiet.sum() >= 10:
        noise = (np.abs(frames.spectra(channel, _thin(np.flatnonzero(quiet)))) ** 2).mean(axis=0)
        floor = np.maximum(floor, 2 * noise)
    above = np.flatnonzero(speech > floor)
    edge = int(above[-1]) if above.size else 0
    return float(edge * frames.rate / (2 * (speech.size - 1)))


def _find(
    frames: _Frames, active: Mask, dead_dbfs: float, identical: float, leak_db: float
) -> tuple[ChannelFinding, ...]:
    loud_s = ((frames.power > 10 ** (dead_dbfs / 10)) & ~frames.gap).sum(axis=1) * FRAME_S
    dead = [channel for channel, seconds in enumerate(loud_s) if seconds < _MIN_SPEECH_S]
    found = [ChannelFinding("dead", channel) for channel in dead]
    live = [channel for channel in range(len(active)) if channel not in dead]
    same: set[int] = set()
    for first, second in ((a, b) for a in live for b in live if a < b):
        if second in same or first in same:
            continue
        correlation, delay_s = _likeness(frames, first, second)
        if correlation >= identical:
            same.add(second)
            found.append(ChannelFinding("identical", second, first, correlation, delay_s))
    for channel, first, second in permutations(live, 3):
        if first < second and not same & {channel, first, second}:
            explained = _as_sum(frames, channel, first, second)
            if explained >= identical:
                same.add(channel)
                found.append(ChannelFinding("sum", channel, first, explained, second=second))
    mixed: set[int] = set()
    for receiver, talker in permutations([c for c in live if c not in same], 2):
        level, delay_s = _leak(frames, active, receiver, talker)
        if level >= leak_db:
            found.append(ChannelFinding("leaking", receiver, talker, level, delay_s))
        elif np.isnan(level) and not mixed & {receiver, talker}:
            correlation, delay_s = _mixture(frames, active, receiver, talker)
            if correlation >= _MIXED_CORRELATION:
                mixed |= {receiver, talker}
                found.append(ChannelFinding("mixed", receiver, talker, correlation, delay_s))
    return tuple(found)


def _likeness(frames: _Frames, first: int, second: int) -> tuple[float, Seconds]:
    """Correlation that nine of ten active blocks reach at one common delay and gain."""
    either = frames.active[first] | frames.active[second]
    chosen = _block_choice(either)
    if chosen.size == 0:
        return 0.0, 0.0
    delay = _echo_delay(frames, _blocks(frames, first, chosen), second, chosen)
    late = round(delay / frames.hop)
    chosen = _block_choice(frames.active[first] | _moved(frames.active[second], -late))
    a, b = _blocks(frames, first, chosen), _stretches(frames, second, chosen, delay)
    power_a, power_b, both = (a * a).sum(axis=1), (b * b).sum(axis=1), (a * b).sum(axis=1)
    gain = float(np.median(both / np.maximum(power_a, _TINY)))
    if not abs(20 * np.log10(max(abs(gain), _TINY))) <= _GAIN_RANGE_DB:
        return 0.0, 0.0
    each = 2 * gain * both / np.maximum(gain**2 * power_a + power_b, _TINY)
    return float(np.quantile(each, 0.1)), delay / frames.rate


def _as_sum(frames: _Frames, channel: int, first: int, second: int) -> float:
    """Share of a channel's power, in nine of ten active blocks, that the sum of two others gives."""
    each = [_block_choice(frames.active[c]) for c in (first, second)]
    if not all(blocks.size for blocks in each):
        return 0.0
    chosen = np.union1d(*each)
    heard = _blocks(frames, channel, chosen)
    sources = np.stack([_blocks(frames, c, chosen) for c in (first, second)], axis=-1)
    gains = np.linalg.lstsq(sources.reshape(-1, 2), heard.ravel(), rcond=None)[0]
    if not gains.min() > 10 ** (-_GAIN_RANGE_DB / 20) * gains.max() > 0:
        return 0.0
    rest = ((heard - sources @ gains) ** 2).sum(axis=1)
    share = 1 - rest / np.maximum((heard**2).sum(axis=1), _TINY)
    return float(np.quantile(share, 0.1))


def _mixture(frames: _Frames, active: Mask, receiver: int, talker: int) -> tuple[float, Seconds]:
    """How alike, whatever the gain, two channels are while a talker who never dominates speaks."""
    if active[talker].sum() * FRAME_S < _MIXED_EVIDENCE_S:
        return 0.0, 0.0
    chosen = _block_choice(active[talker])
    a = _blocks(frames, talker, chosen)
    delay = _echo_delay(frames, a, receiver, chosen)
    b = _stretches(frames, receiver, chosen, delay)
    size = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return float(np.median(np.abs((a * b).sum(axis=1)) / np.maximum(size, _TINY))), (
        delay / frames.rate
    )


def _leak(frames: _Frames, active: Mask, receiver: int, talker: int) -> tuple[float, Seconds]:
    """Level of the talker in the receiving channel in dB and its delay (see crosstalk_db)."""
    alone = active[talker] & ~frames.gap[talker] & ~frames.gap[receiver]
    alone &= _smooth(frames.power[talker]) > _DOMINATES * _smooth(frames.power[receiver])
    ratio = frames.power[receiver] / np.maximum(frames.power[talker], _TINY)
    if alone.any():
        alone &= ratio <= _OUTLIER * np.median(ratio[alone])
    if alone.sum() * FRAME_S < _MIN_EVIDENCE_S:
        return float("nan"), 0.0
    chosen = _block_choice(alone)
    only = np.repeat(_block_frames(alone)[chosen], frames.hop, axis=1)
    a = _blocks(frames, talker, chosen) * only
    late = _echo_delay(frames, a, receiver, chosen)
    level = _level(frames, alone, receiver, talker, late)
    if level < LEAK_DB:  # or it comes at once, with too little else to find it by
        late = _best_delay(a, _blocks(frames, receiver, chosen), round(0.3 * frames.rate))
        level = _level(frames, alone, receiver, talker, late)
    return level, late / frames.rate if np.isfinite(level) else 0.0


def _echo_delay(frames: _Frames, source: Audio, receiver: int, chosen: NDArray[np.int_]) -> int:
    """Samples by which the talker's blocks come later in the other channel, up to ``_ECHO_S``.

    The receiver's own voice around them is brought down to the usual level there.
    """
    reach = round(_ECHO_S * frames.rate)
    block = source.shape[1]
    heard = _stretches(frames, receiver, chosen, -reach, 2 * reach)
    hop = frames.hop
    cut = heard[:, : heard.shape[1] // hop * hop].reshape(len(heard), -1, hop)
    size = np.sqrt(np.einsum("bfh,bfh->bf", cut, cut) / hop)
    usual = float(np.median(size))
    heard = (cut * (usual / np.maximum(size, max(usual, _TINY)))[..., None]).reshape(len(heard), -1)
    length = fft.next_fast_len(heard.shape[1] + block, real=True)
    cross = fft.rfft(heard, length, axis=1) * fft.rfft(source, length, axis=1).conj()
    correlation = np.abs(fft.irfft(cross.sum(axis=0), length))
    return int(np.argmax(correlation[: 2 * reach + 1])) - reach


def _blurred_echo(
    frames: _Frames, active: Mask, receiver: int, talker: int
) -> tuple[float, Seconds]:
    """Level in dB and delay of an echo whose course alone follows the talker's.

    A room, a codec or a delay that changes takes away what samples have in common. ``-inf`` where
    there is none, or where it comes at once.
    """
    decibels = 10 * np.log10(np.maximum(frames.power[[receiver, talker]], 1e-12))
    alike, over = [], []
    for late in range(round(_ECHO_S / FRAME_S) + 1):
        size = decibels.shape[1] - late
        heard, source = decibels[0, late:], decibels[1, :size]
        only = active[talker, :size] & ~frames.gap[receiver, late:]
        only &= heard < source - _ECHO_UNDER_DB
        if only.sum() * FRAME_S < _BLUR_EVIDENCE_S:
            return float("-inf"), 0.0
        a, b = source[only], np.maximum(heard[only], 10 * np.log10(frames.noise[receiver] + 1e-12))
        spread = a.std() * b.std()
        alike.append(float(np.cov(a, b, bias=True)[0, 1] / spread) if spread > 1e-6 else 0.0)
        loud = a >= np.median(a)  # softer, the echo goes under in the noise
        over.append(float(np.median((b - a)[loud])))  # own words above it do not count
    best = int(np.argmax(alike))
    stands_out = alike[best] - float(np.median(alike))
    if best * FRAME_S < _BLUR_LATE_S or alike[best] < _BLUR_ALIKE or stands_out < _BLUR_STANDS_OUT:
        return float("-inf"), 0.0
    return over[best], best * FRAME_S


def _level(frames: _Frames, alone: Mask, receiver: int, talker: int, delay: int) -> float:
    """Level in dB of what a channel carries of the talker, so many samples later."""
    at = _thin(np.flatnonzero(alone))
    source, heard = frames.spectra(talker, at), frames.spectra(receiver, at, delay)
    source_power = np.maximum((np.abs(source) ** 2).mean(axis=0), _TINY)
    explained = np.abs((heard * source.conj()).mean(axis=0)) ** 2 / source_power
    chance = (np.abs(heard) ** 2).mean(axis=0) / at.size
    leak = float((explained - chance).sum())
    if leak <= _OVER_CHANCE * float(chance.sum()):
        return float("-inf")
    return 10 * float(np.log10(leak / source_power.sum()))


def _block_choice(wanted: Mask) -> NDArray[np.int_]:
    """Numbers of the half-second blocks with the most wanted frames, spread over the call."""
    share = _block_frames(wanted).mean(axis=1)
    top = share.max(initial=0.0)
    return _thin(np.flatnonzero((share >= min(0.5, 0.8 * top)) & (share > 0)), _MAX_BLOCKS)


def _block_frames(mask: Mask) -> Mask:
    """A mask over frames, cut into the half-second blocks [shape=(blocks, frames a block)]."""
    size = round(_BLOCK_S / FRAME_S)
    count = mask.size // size
    return mask[: count * size].reshape(count, size)


def _blocks(frames: _Frames, channel: int, chosen: NDArray[np.int_]) -> Audio:
    """Samples of the chosen blocks [shape=(k, n)]."""
    size = round(_BLOCK_S / FRAME_S) * frames.hop
    count = frames.samples.shape[1] // size
    return frames.samples[channel, : count * size].reshape(count, size)[chosen]


def _stretches(
    frames: _Frames, channel: int, chosen: NDArray[np.int_], delay: int, more: int = 0
) -> Audio:
    """Samples that come so many later than the chosen blocks, and more after them; zeros outside."""
    size = round(_BLOCK_S / FRAME_S) * frames.hop
    samples = frames.samples[channel]
    at = chosen[:, None] * size + np.arange(delay, delay + size + more)
    inside = (at >= 0) & (at < samples.size)
    return np.where(inside, samples[np.clip(at, 0, samples.size - 1)], np.float32(0))


def _moved(mask: Mask, by: int) -> Mask:
    """A mask moved ``by`` frames later; nothing comes in at its edges."""
    at = np.arange(mask.size) - by
    return np.asarray((at >= 0) & (at < mask.size) & mask[np.clip(at, 0, mask.size - 1)])


def _best_delay(first: Audio, second: Audio, limit: int) -> int:
    """Samples by which ``second`` comes later, from the summed cross-correlation of the blocks."""
    size = fft.next_fast_len(first.shape[1] + limit, real=True)
    cross = fft.rfft(second, size, axis=1) * fft.rfft(first, size, axis=1).conj()
    correlation = np.abs(fft.irfft(cross.sum(axis=0), size))
    limit = min(limit, first.shape[1] // 2)
    around = np.concatenate((correlation[-limit:], correlation[: limit + 1]))
    return int(np.argmax(around)) - limit


def _thin(indices: NDArray[np.int_], most: int = _MAX_SPECTRA) -> NDArray[np.int_]:
    """At most so many of the indices, evenly spread."""
    if indices.size <= most:
        return indices
    return np.asarray(indices[np.linspace(0, indices.size - 1, most).astype(int)])


def _shift(levels: Floats, by: int) -> Floats:
    """Levels moved ``by`` frames later, edges repeated."""
    return levels[np.clip(np.arange(levels.size) - by, 0, levels.size - 1)]


def _smooth(power: Floats) -> Floats:
    """Mean power over half a second around each frame."""
    width = min(power.size, round(_BLOCK_S / FRAME_S))
    return np.convolve(power, np.ones(width) / width, "same")


def _rolling_correlation(first: Floats, second: Floats, window: int) -> Floats:
    """Correlation of two tracks over a centred window; 0 where either is constant."""
    kernel = np.ones(window)
    kernel /= window

    def mean(track: Floats) -> Floats:
        half = window // 2
        return np.convolve(np.pad(track, (half, window - 1 - half), mode="edge"), kernel, "valid")

    a, b = mean(first), mean(second)
    covariance = mean(first * second) - a * b
    variance = (mean(first**2) - a**2) * (mean(second**2) - b**2)
    return np.where(variance > 1e-6, covariance / np.sqrt(np.maximum(variance, 1e-6)), 0.0)
