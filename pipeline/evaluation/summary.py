"""All calls against their truth: the table, its JSON form, and what moved since a baseline."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pipeline.errors import UsageError
from pipeline.evaluation.call_evaluation import CallEvaluation
from pipeline.evaluation.event_matches import MIN_IOU, ONSET_S
from pipeline.evaluation.figure_rows import Row, build_rows, shown
from pipeline.evaluation.timing import BRIDGED_S, COLLAR_S, MIN_TURN_IOU
from pipeline.evaluation.truth import EDGE_PADDING_S
from pipeline.evaluation.verdicts import Judged, VerdictCounts, count_verdicts
from pipeline.schema import to_json

FORMAT = 1
TABLE_HEADER = ("part", "measure", "value", "n", "detail")
ITEM_HEADER = (
    "item", "n", "TP", "FP", "FN", "TN", "cannot tell", "not applicable", "no verdict", "accuracy",
    "fail F1",
)  # fmt: skip
NOTES = (
    f"DER, JER: collar {COLLAR_S:g} s, overlapped speech included; role accuracy: speech of one "
    f"speaker alone; own pauses under {BRIDGED_S:g} s bridged in truth and result.",
    f"Found: turn = same speaker, intersection / union of {MIN_TURN_IOU:g} or more; interruption = "
    f"same party, onset within {ONSET_S:g} s; backchannel = same party, any overlap; hold and dead "
    f"air = intersection / union of {MIN_IOU:g} or more.",
    "Errors: median of the absolute errors; p95 of the same; bias = mean of result - truth. True "
    f"turn edges may lie up to {1000 * EDGE_PADDING_S:g} ms outside of the speech.",
    "Cut turns are left out of text and rates. Text given to the wrong role is an error.",
    "Rate bias: (insertions - deletions) / characters, which is what recognition errors do to the "
    "speaking rate.",
    "Verdicts: a positive is a fail; a verdict is right where it is the label; undecided ones are "
    "missed where the label is fail.",
)


class Move(NamedTuple):
    """One thing that is not as it was in the baseline."""

    what: str
    before: str
    after: str
    trend: Literal["better", "worse", "changed"]

    def __str__(self) -> str:
        return f"{self.trend}: {self.what}: {self.before} -> {self.after}"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The evaluation of a set of calls. ``failed`` could not be analysed and are in no figure."""

    calls: tuple[CallEvaluation, ...]
    failed: tuple[str, ...]
    rows: tuple[Row, ...]

    def only(self, speaker_source: Literal["channel", "diarization"]) -> Evaluation:
        """The same for the calls whose speakers were told apart in one way."""
        return summarise([c for c in self.calls if c.speaker_source == speaker_source])

    def table(self) -> list[tuple[str, ...]]:
        """Rows of text under :data:`TABLE_HEADER`, the calls first."""
        minutes = sum(c.duration for c in self.calls) / 60
        calls = ("calls", "evaluated", str(len(self.calls)), f"{minutes:.1f} min")
        return [
            (*calls, f"failed {len(self.failed)}"),
            *(
                (r.part, r.name, shown(r.value, r.unit), f"{r.n:.10g} {r.counted}", _detail(r))
                for r in self.rows
            ),
        ]

    def items(self) -> dict[str, VerdictCounts]:
        """Counts by rubric item, ordered by name."""
        judged = [j for c in self.calls for j in c.verdicts]
        names = sorted({j.item_id for j in judged})
        return {n: count_verdicts([j for j in judged if j.item_id == n]) for n in names}

    def item_table(self) -> list[tuple[str, ...]]:
        """Rows of text under :data:`ITEM_HEADER`."""
        rows = []
        for item, c in self.items().items():
            counts = (
                c.n, c.true_fail, c.false_fail, c.missed_fail, c.true_pass, c.cannot_tell,
                c.not_applicable, c.no_verdict,
            )  # fmt: skip
            ratios = (_share(c.accuracy), _share(c.f1))
            rows.append((item, *(str(n) for n in counts), *ratios))
        return rows

    def wrong_verdicts(self) -> list[Judged]:
        """Every labelled verdict that came out otherwise, with the quote it rests on."""
        return [j for c in self.calls for j in c.verdicts if not j.right]

    def to_json(self) -> dict[str, Any]:
        """Everything in plain JSON types; what :func:`compare` takes as baseline."""
        sources = sorted({c.speaker_source for c in self.calls})
        parts = {s: _rows_json(self.only(s).rows) for s in sources} if len(sources) > 1 else {}
        made_with = {json.dumps(to_json(c.provenance), sort_keys=True) for c in self.calls}
        return {
            "format": FORMAT,
            "calls": [c.call_id for c in self.calls],
            "failed": list(self.failed),
            "audio_s": round(sum(c.duration for c in self.calls), 3),
            "made_with": [json.loads(p) for p in sorted(made_with)],
            "notes": list(NOTES),
            "rows": _rows_json(self.rows),
            "by_speaker_source": parts,
            "items": to_json(self.items()),
            "wrong_verdicts": to_json(self.wrong_verdicts()),
            "per_call": {c.call_id: _call_json(c) for c in self.calls},
        }


def summarise(evaluations: Iterable[CallEvaluation], failed: Sequence[str] = ()) -> Evaluation:
    """Pool the evaluations of calls.

    Parameters
    ----------
    evaluations : iterable of CallEvaluation
    failed : sequence of str
        Ids of labelled calls that could not be analysed; they are listed.
    """
    calls = tuple(evaluations)
    return Evaluation(calls, tuple(failed), build_rows(calls))


def read_baseline(path: Path) -> dict[str, Any]:
    """Read what :meth:`Evaluation.to_json` gave to an earlier run.

    Raises
    ------
    UsageError
        If the file cannot be read or is not an evaluation.
    """
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        raise UsageError(
            f"The baseline {path} cannot be read: {cause}.",
            "Name the JSON file that an earlier evaluation wrote.",
        ) from cause
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise UsageError(
            f"The baseline {path} is not an evaluation of format {FORMAT}.",
            "Name the JSON file that an earlier evaluation wrote, or evaluate again.",
        )
    return data


def compare(evaluation: Evaluation, baseline_json: Mapping[str, Any]) -> list[Move]:
    """Say what moved since a baseline: figures as shown in the table, and verdicts.

    Parameters
    ----------
    evaluation : Evaluation
    baseline_json : mapping
        From :func:`read_baseline`.

    Returns
    -------
    list of Move
        Empty when all is as it was.
    """
    return [
        *_moved_calls(evaluation, baseline_json),
        *_moved_figures(evaluation, baseline_json["rows"]),
        *_moved_verdicts(evaluation, baseline_json),
    ]


def _moved_calls(evaluation: Evaluation, baseline: Mapping[str, Any]) -> list[Move]:
    moves = []
    calls = {c.call_id for c in evaluation.calls}
    before = set(baseline["calls"])
    if calls != before:
        what = "calls (the figures are of different calls)"
        after = f"{len(calls)}, {len(calls & before)} of them the same"
        moves.append(Move(what, str(len(before)), after, "changed"))
    failed, failed_before = len(evaluation.failed), len(baseline["failed"])
    if failed != failed_before:
        trend: Literal["better", "worse"] = "worse" if failed > failed_before else "better"
        moves.append(Move("calls that failed", str(failed_before), str(failed), trend))
    return moves


def _moved_figures(evaluation: Evaluation, before: Mapping[str, Any]) -> list[Move]:
    moves = []
    for row in evaluation.rows:
        old = before.get(row.id, {"value": None, "n": 0})
        was, now = _figure(old["value"], old["n"], row), _figure(row.value, row.n, row)
        if was == now:
            continue
        trend: Literal["better", "worse", "changed"] = "changed"
        if (
            row.value is not None
            and old["value"] is not None
            and shown(row.value, row.unit) != shown(old["value"], row.unit)
        ):
            rises = row.value > old["value"]
            trend = "better" if rises == (row.better == "higher") else "worse"
        moves.append(Move(row.name, was, now, trend))
    here = {r.id for r in evaluation.rows}
    gone = [
        Move(old["name"], "measured", "-", "changed") for i, old in before.items() if i not in here
    ]
    return moves + gone


def _moved_verdicts(evaluation: Evaluation, baseline: Mapping[str, Any]) -> list[Move]:
    """Verdicts that turned, in calls that both evaluations have."""
    both = set(baseline["calls"])
    before = {(j["call_id"], j["item_id"]): j["verdict"] for j in baseline["wrong_verdicts"]}
    moves = []
    for judged in (j for c in evaluation.calls if c.call_id in both for j in c.verdicts):
        was = before.get((judged.call_id, judged.item_id), judged.label)
        if was == judged.verdict:
            continue
        trend: Literal["better", "worse", "changed"] = (
            "better" if judged.right else "worse" if was == judged.label else "changed"
        )
        what = f"verdict {judged.item_id} of {judged.call_id} (label {judged.label})"
        moves.append(Move(what, was, judged.verdict, trend))
    return moves


def _figure(value: float | None, n: float, row: Row) -> str:
    return f"{shown(value, row.unit)} (n {n:.10g})"


def _detail(row: Row) -> str:
    parts = []
    for name, value in row.detail.items():
        counted = isinstance(value, int)
        parts.append(f"{name} {value if counted else shown(value, row.unit)}")
    return ", ".join(parts)


def _rows_json(rows: Iterable[Row]) -> dict[str, Any]:
    return {
        r.id: {
            "name": r.name,
            "value": _rounded(r.value),
            "unit": r.unit,
            "n": r.n,
            "counted": r.counted,
            "better": r.better,
            **{name.replace(" ", "_"): _rounded(v) for name, v in r.detail.items()},
        }
        for r in rows
    }


def _call_json(call: CallEvaluation) -> dict[str, Any]:
    data: dict[str, Any] = to_json(call)
    del data["call_id"], data["provenance"]
    for speaker, errors in call.text.items():
        data["text"][speaker]["cer"] = _rounded(errors.cer)
    data["speech"]["der"] = _rounded(call.speech.der)
    for comparison, row in zip(call.measures, data["measures"], strict=True):
        row["error"] = _rounded(comparison.error)
    return data


def _share(ratio: float | None) -> str:
    return shown(None if ratio is None else 100 * ratio, "%")


def _rounded(value: float | None) -> float | None:
    return round(value, 4) if isinstance(value, float) else value
