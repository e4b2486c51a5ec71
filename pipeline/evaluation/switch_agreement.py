"""How well events are heard, by what a switch (PBX) knows of the same calls.

Conventions
-----------
Only calls of which the switch knows events of a kind say something of that kind. Events are paired one
to one by the longest overlap. Calls are what varies: intervals are Wilson's by the number of calls.
Errors are heard minus switch, in seconds.
"""

from __future__ import annotations

import pandas as pd

from pipeline.qa_scores import wilson
from pipeline.spans import overlap_s

HEARD_KINDS = ("hold", "machine_speech", "recorder_pause")
"""Kinds of events that are heard as well as known by a switch."""
COLUMNS = (
    "kind", "calls", "switch", "heard", "paired",
    "precision", "precision_low", "precision_high", "recall", "recall_low", "recall_high",
    "start_error_s", "start_error_p90_s", "length_error_s", "length_error_p90_s",
)  # fmt: skip


def compare_with_switch(events: pd.DataFrame) -> pd.DataFrame:
    """Compare heard events with those of the switch, one row a kind.

    Parameters
    ----------
    events : DataFrame
        ``call_id, kind, start, end, source``, with what was superseded.

    Returns
    -------
    DataFrame
        ``COLUMNS``: how many calls and events, how many were paired, precision (of what was heard) and
        recall (of what the switch knows) with intervals of 95 %, the median error of start and length
        and the 90th percentile of its size. Kinds of which the switch knows nothing have no row.
    """
    rows = []
    for kind in HEARD_KINDS:
        of_kind = events[events["kind"] == kind]
        known = of_kind[of_kind["source"] == "switch"]
        if known.empty:
            continue
        heard = of_kind[(of_kind["source"] == "heard") & of_kind["call_id"].isin(known["call_id"])]
        errors: list[tuple[float, float]] = []
        mine = dict(iter(heard.groupby("call_id")))
        for call_id, true in known.groupby("call_id"):
            some = mine.get(call_id, heard.iloc[:0])
            errors += _paired(_spans(true), _spans(some))
        calls, pairs = known["call_id"].nunique(), len(errors)
        row: dict[str, object] = {
            "kind": kind, "calls": calls, "switch": len(known), "heard": len(heard), "paired": pairs,
        }  # fmt: skip
        for name, of in (("precision", heard), ("recall", known)):
            if len(of):
                share = pairs / len(of)
                low, high = wilson(share, int(of["call_id"].nunique()))
                row |= {name: share, f"{name}_low": low, f"{name}_high": high}
        for name, part in (("start", 0), ("length", 1)):
            if errors:
                values = pd.Series([error[part] for error in errors])
                row |= {
                    f"{name}_error_s": values.median(),
                    f"{name}_error_p90_s": values.abs().quantile(0.9),
                }
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _spans(events: pd.DataFrame) -> list[tuple[float, float]]:
    return list(zip(events["start"].astype(float), events["end"].astype(float), strict=True))


def _paired(
    true: list[tuple[float, float]], heard: list[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Errors of start and length of each pair, the longest overlaps first."""
    overlaps = sorted(
        ((overlap_s(a, b), i, j) for i, a in enumerate(true) for j, b in enumerate(heard)),
        reverse=True,
    )
    free_true, free_heard = set(range(len(true))), set(range(len(heard)))
    errors = []
    for seconds, i, j in overlaps:
        if seconds > 0 and i in free_true and j in free_heard:
            free_true.remove(i)
            free_heard.remove(j)
            (a, b), (c, d) = true[i], heard[j]
            errors.append((c - a, (d - c) - (b - a)))
    return errors
