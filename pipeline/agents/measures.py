"""How each measure of the calls table is pooled over an agent's calls.

Conventions
-----------
* ``mean``: the mean over calls.
* ``ratio``: sum over sum, written as the mean weighted by the denominator (``weight`` columns).
* ``count``: events per call, or per ``per`` seconds of an exposure such as the other's talk time.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

TALK_10_MIN_S = 600.0


class Measure(NamedTuple):
    """How one measure is pooled.

    ``source`` is its column in calls, ``weight`` the columns whose sum is the denominator of a
    ratio or the exposure of a count, ``per`` the exposure that a count is stated for.
    ``low`` and ``high`` are the limits of what the measure can be.
    """

    name: str
    method: Literal["mean", "ratio", "count"]
    weight: tuple[str, ...] = ()
    source: str = ""
    per: float = 1.0
    low: float = -np.inf
    high: float = np.inf


def _measures() -> tuple[Measure, ...]:
    talk = ("agent_talk_s", "customer_talk_s")
    rows = [
        Measure("compliance_score", "mean", low=0, high=100),
        Measure("outside_score", "mean", low=0, high=100),
    ]
    for who, other in (("agent", "customer"), ("customer", "agent")):
        own = (f"{who}_talk_s",)
        rows += [Measure(f"{who}_talk_ratio", "ratio", talk, low=0, high=1)]
        speed = ("speaking_rate", "articulation_rate")
        rows += [Measure(f"{who}_{m}", "ratio", own, low=0) for m in speed]
        spread = ("speaking_rate_p10", "speaking_rate_p50", "speaking_rate_p90", "talk_s", "units",
                  "level_sd_db", "f0_median_hz", "pitch_sd_st", "pitch_range_st",
                  "interruption_s", "longest_turn_s")  # fmt: skip
        rows += [Measure(f"{who}_{m}", "mean", low=0) for m in spread]
        signed = ("level_dbfs", "active_level_dbfs", "loudness_lufs", "response_latency_p50",
                  "response_latency_p90")  # fmt: skip
        rows += [Measure(f"{who}_{m}", "mean") for m in signed]
        events = ("turns", "interruptions", "interruptions_successful", "backchannels")
        rows += [Measure(f"{who}_{m}", "count") for m in events]
        heard = (f"{other}_talk_s",)
        rates = (("interruption_rate", "interruptions"), ("backchannels_per_10min", "backchannels"))
        rows += [
            Measure(f"{who}_{m}", "count", heard, f"{who}_{source}", TALK_10_MIN_S)
            for m, source in rates
        ]
    rows += [Measure("speaking_rate_vs_norm", "ratio", ("agent_talk_s",), low=0)]
    rows += [Measure(m, "mean") for m in ("rate_gap", "level_gap_db")]
    seconds = ("hold_s", "longest_hold_s", "dead_air_s", "first_speech_s", "overlap_s")
    rows += [Measure(m, "mean", low=0) for m in seconds]
    counts = ("holds", "holds_unannounced", "dead_air", "rings", "compliance_passed",
              "compliance_failed", "compliance_unjudged")  # fmt: skip
    rows += [Measure(m, "count") for m in counts]
    rows += [Measure("dead_air_per_10min", "count", ("duration",), "dead_air", TALK_10_MIN_S)]
    shares = ("overlap_ratio", "silence_ratio")
    rows += [Measure(m, "ratio", ("duration",), low=0, high=1) for m in shares]
    rows += [Measure("outside_agreement", "mean", low=0, high=1)]
    return tuple(rows)


MEASURES: tuple[Measure, ...] = _measures()
