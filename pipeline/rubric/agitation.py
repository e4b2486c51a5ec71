"""How much more agitated somebody speaks than at first: louder, faster, higher.

A speaker's turns are compared with those of the first third of what that speaker says. The bounds are
those of speech in anger against neutral speech (Scherer 2003: level, rate and pitch all rise); they
are not validated on calls, so they weigh little beside the words (``meaning_rules.VOICE_WEIGHT``).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from statistics import median

from pipeline.schema import Turn

FIRST_SHARE = 1 / 3  # of a speaker's speech, by time
MIN_TURN_S = 1.0  # shorter turns say little about a voice
MIN_FIRST_TURNS = 2
_LEVEL_DB = (3.0, 9.0)  # a rise of so much counts for nothing, and fully
_RATE_RATIO = (1.1, 1.4)
_PITCH_ST = (1.5, 4.5)


def agitation(turns: Sequence[Turn], turn: Turn) -> tuple[float, str]:
    """How agitated one turn sounds beside its speaker's beginning.

    Parameters
    ----------
    turns : sequence of Turn
        All turns of the call.
    turn : Turn
        The one that is asked about.

    Returns
    -------
    tuple of (float, str)
        0 (as at first, or not known) to 1, the mean over level, rate and pitch where they are
        known; and what rose, in words, such as ``6 dB louder, 25 % faster``.
    """
    own = [
        t
        for t in turns
        if t.speaker == turn.speaker and t.duration >= MIN_TURN_S and not t.is_backchannel
    ]
    limit = FIRST_SHARE * sum(t.duration for t in own)
    first: list[Turn] = []
    for one in own:
        if sum(t.duration for t in first) >= limit and len(first) >= MIN_FIRST_TURNS:
            break
        first.append(one)
    if turn.duration < MIN_TURN_S or len(first) < MIN_FIRST_TURNS or turn.start < first[-1].end:
        return 0.0, ""
    rises: list[float] = []
    said: list[str] = []
    levels = [t.level_dbfs for t in first if t.level_dbfs is not None]
    if levels and turn.level_dbfs is not None:
        louder = turn.level_dbfs - median(levels)
        rises.append(_between(louder, _LEVEL_DB))
        said += [f"{louder:.0f} dB louder"] if rises[-1] else []
    rates = [t.speaking_rate for t in first if t.speaking_rate]
    if rates and turn.speaking_rate:
        faster = turn.speaking_rate / median(rates)
        rises.append(_between(faster, _RATE_RATIO))
        said += [f"{100 * (faster - 1):.0f} % faster"] if rises[-1] else []
    pitches = [t.f0_median_hz for t in first if t.f0_median_hz]
    if pitches and turn.f0_median_hz:
        higher = 12 * log2(turn.f0_median_hz / median(pitches))
        rises.append(_between(higher, _PITCH_ST))
        said += [f"{higher:.0f} st higher"] if rises[-1] else []
    return (sum(rises) / len(rises) if rises else 0.0), ", ".join(said)


def _between(value: float, bounds: tuple[float, float]) -> float:
    low, high = bounds
    return min(1.0, max(0.0, (value - low) / (high - low)))
