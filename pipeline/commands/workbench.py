"""Tools over rubrics and stored calls: check, try, diff, test, agreement, calibrate, status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd

from pipeline import evaluation, measures
from pipeline import qa_scores as outside
from pipeline.commands.console import clock
from pipeline.errors import OutputError, ParameterError, UsageError
from pipeline.evaluation.dialogues import agreement_with, labelled_dialogues
from pipeline.rubric import (
    Rubrics,
    annotated,
    check_rubric,
    diff_verdicts,
    load_rubric,
    run_examples,
    score,
    trace,
)
from pipeline.rubric.calibration import Reviewed
from pipeline.rubric.calibration import calibrate as fit_to_reviews
from pipeline.settings import Settings, config_path
from pipeline.store import Run, Store

_AGREEMENT_SHOWN = (
    "item_id", "says", "calls", "pairs", "agreed", "agreement", "agreement_low", "agreement_high",
    "kappa", "kappa_low", "kappa_high", "ac1", "ac1_low", "ac1_high", "rubric_cannot_tell",
    "outside_cannot_tell",
)  # fmt: skip


def check(file: str) -> tuple[list[str], bool]:
    """Problems of a rubric file, one line each, and whether it can be used."""
    problems = check_rubric(config_path(file, typed=True), frozenset(measures.columns()))
    lines = [
        f"{p.level}: "
        + (f"{p.at}: {p.item_id}: " if p.item_id else "")  # else the message says where
        + p.message
        for p in problems
    ]
    usable = not any(p.level == "error" for p in problems)
    return lines or [f"{file}: no problems found."], usable


def test(file: str) -> tuple[list[str], bool]:
    """Run the examples beside the rules; what differs, and whether all agree."""
    results = run_examples(load_rubric(config_path(file, typed=True)))
    wrong = [
        f"{r.at}: {r.item_id}: expected {r.expected}, got {r.got}: {r.text}\n{r.trace}"
        for r in results
        if not r.ok
    ]
    return [
        *wrong,
        f"{len(results) - len(wrong)} of {len(results)} examples as expected.",
    ], not wrong


def test_dialogues(file: str, folder: Path, *, as_json: bool) -> list[str]:
    """How verdicts agree with labelled dialogues; what differs, with the words that decided."""
    found = agreement_with(load_rubric(config_path(file, typed=True)), labelled_dialogues(folder))
    if as_json:
        return [json.dumps(found.as_json(), ensure_ascii=False, indent=2)]
    return list(found.lines())


def try_on(file: str, call_id: str, out: Path) -> list[str]:
    """How every item of a rubric comes to its verdict on one stored call, and the score."""
    rubric = load_rubric(config_path(file, typed=True))
    with Store.open(out, create=False) as store:
        try:
            call = store.load(call_id).dialogue()
        except ParameterError as cause:
            raise UsageError(cause.message, cause.hint) from cause
    traces = trace(annotated(call, rubric), rubric)
    card = score([t.verdict for t in traces], rubric)
    sections = {s.id: s.name_zh for s in rubric.sections}
    lines: list[str] = []
    for one in traces:
        item = rubric.item(one.item_id)
        head, *rest = one.lines()
        likely = one.verdict.probability
        lines += [head, f"  {sections[item.section]} {item.name_zh} ({item.at})"]
        lines += [f"  {item.outcome(one.verdict.verdict)[0]}"]
        lines += [f"  probability that this is right: {likely:.2f}"] if likely is not None else []
        lines += rest
    return [*lines, "", *card.lines(rubric)]


def diff(old: str, new: str, out: Path) -> list[str]:
    """Verdicts of all stored calls that change from one rubric to another."""
    rubrics = load_rubric(config_path(old, typed=True)), load_rubric(config_path(new, typed=True))
    with Store.open(out, create=False) as store:
        changes = diff_verdicts(*rubrics, (r.dialogue() for r in store.results()))
    lines = [
        f"{c.call_id}  {c.item_id}: {c.before} -> {c.after}"
        + (f"  ({c.quote})" if c.quote else "")
        + f"  {rubrics[1].item(c.item_id).at}"
        for c in changes
    ]
    before, after = ({i.id for i in r.items} for r in rubrics)
    lines += [f"{i}: not judged any more" for i in sorted(before - after)]
    lines += [f"{i}: judged newly" for i in sorted(after - before)]
    return [*lines, f"{len(changes)} verdicts change."]


def agreement(out: str) -> Iterator[str]:
    """How far the rubric and the QA team agree, per item and overall."""
    with Store.open(out, create=False) as store:
        scored = store.frame("outside_scores")
        found = outside.agreement(store.frame("verdicts"), store.frame("calls"))
    if scored.empty:
        raise UsageError(
            f"{out} holds no outside scores.", "Run: callcoach analyze ... --scores FILE"
        )
    judged = found.items[found.items["pairs"] > 0]
    yield from _frame(judged[[*_AGREEMENT_SHOWN]], "no item was judged by both")
    people = judged[judged["people_pairs"] > 0]
    if not people.empty:
        yield ""
        yield "Two people on one call:"
        yield from _frame(people.loc[:, people.columns.str.contains("item_id|people_")], "")
    unsure = found.items[["rubric_cannot_tell", "outside_cannot_tell"]].sum()
    yield ""
    yield (
        f"Could not tell where the other side judged: we {unsure['rubric_cannot_tell']} times, "
        f"they {unsure['outside_cannot_tell']} times"
    )
    yield ""
    yield from _overall(found)
    yield ""
    yield f"Disagreements: {len(found.disagreements)}"
    yield from _frame(found.disagreements, "")


def calibrate(target: str, settings: Settings, out: Path) -> tuple[list[str], bool]:
    """Fit the probabilities of verdicts to a store's blind reviews; what was measured, and whether it helps.

    The file is written only where it does.
    """
    rubrics = Rubrics(settings)
    rows: list[Reviewed] = []
    with Store.open(target, create=False) as store:
        by_call: dict[str, dict[str, str]] = {}
        for call_id, item_id, verdict in store.blind_reviews():
            if verdict != "cannot_tell":
                by_call.setdefault(call_id, {})[item_id] = verdict
        for call_id, people in by_call.items():
            try:
                call = store.load(call_id)
            except ParameterError:  # it was analysed anew and failed, or is gone
                continue
            rubric = rubrics.of(call.recording)
            every = {"min_probability": 0.0, "min_fail_probability": 0.0}
            rubric = replace(rubric, hearing=rubric.hearing.model_copy(update=every))
            known = [item.id for item in rubric.items if item.id in people]
            for one in trace(annotated(call.dialogue(), rubric), rubric, known) if known else ():
                if one.verdict.verdict in ("pass", "fail"):
                    is_right = one.verdict.verdict == people[one.item_id]
                    rows.append(Reviewed(call_id, one.basis, is_right))
    now = rubrics.load(settings.compliance.rubric).coefficients
    found = fit_to_reviews(rows, now)
    lines = [*found.lines(), ""]
    if not found.is_better:
        return [*lines, "The probabilities in use are as good: nothing was written."], False
    try:
        out.write_text(found.text(), encoding="utf-8")
    except OSError as cause:
        raise OutputError(
            f"{out} cannot be written: {cause.strerror or cause}.", "Name another file with --out."
        ) from cause
    lines += [
        f"Written to {out}. To judge with it, also what is analysed already (nothing is recognised again):",
        f"  callcoach analyze RECORDINGS --out DIR --set compliance.calibration={out}",
    ]
    return lines, True


def agreement_with_switch(out: str) -> Iterator[str]:
    """How well events are heard, by what the switch knows of the same calls."""
    with Store.open(out, create=False) as store:
        found = evaluation.compare_with_switch(store.frame("events"))
    if found.empty:
        raise UsageError(
            f"{out} holds no events of a switch.", "Run: callcoach analyze ... --events FILE"
        )
    yield "Heard beside the switch, in calls of which it knows events of the kind"
    yield from _frame(found.round(2), "")
    yield "Errors are heard minus switch, seconds: median, and 90th percentile of the size."


def status(target: str) -> Iterator[str]:
    """What a store holds, and how far its newest run is."""
    with Store.open(target, create=False) as store:
        calls = store.frame("calls", columns=["status", "duration"])
        failures = store.frame("failures", columns=["error_type"])
        runs, writer, bases = store.runs(1), store.writer(), store.bases()
        zone = store.zone()
    yield f"{len(calls)} calls, {float(calls['duration'].sum()) / 3600:.2f} h of audio"
    for name, count in calls["status"].value_counts().items():
        yield f"  {name}: {count}"
    for name, count in failures["error_type"].value_counts().items():
        what = "ids that are another call's" if name == "MetadataError" else "not analysed"
        yield f"  {what}, {name}: {count}"
    if len(bases) > 1:
        yield f"  made in {len(bases)} ways, which means and agents tables mix:"
    for basis in bases:
        yield (
            f"  {basis.calls} by preset {basis.preset}, settings+rubric "
            f"{basis.settings_hash[:8]}+{basis.rubric_hash[:8]}, weights {basis.weights_hash[:8]}"
        )
    if runs:
        yield from _progress(runs[0], zone, alive=writer is not None)


def _progress(run: Run, zone: ZoneInfo, *, alive: bool) -> Iterator[str]:
    """One run: how far, how fast, how long still."""
    begin, last = (datetime.fromisoformat(t) for t in (run.started_at, run.updated_at))
    pending = max(0, run.recordings - run.done - run.unchanged - run.failed)
    state = "ended without a word" if run.state == "running" and not alive else run.state
    shown = f"{begin.astimezone(zone):%Y-%m-%d %H:%M:%S}"
    yield f"Newest run: {state}; started {shown} ({zone}) on {run.host}"
    yield (
        f"  {run.recordings} recordings: {run.done} done, {run.unchanged} unchanged, "
        f"{run.failed} failed, {pending} pending"
    )
    seconds = (last - begin).total_seconds()
    if run.done and seconds > 0:
        yield f"  {run.audio_s / seconds:.1f} audio hours/hour, {run.done * 3600 / seconds:.0f} calls/hour"
        if pending and alive:
            yield f"  about {clock(pending * seconds / (run.done + run.failed))} left"


def _overall(found: outside.Agreement) -> Iterator[str]:
    yield f"Overall scores of {found.scored_calls} calls"
    for name, value, limits in (
        ("Pearson", found.pearson, found.pearson_interval),
        ("Spearman", found.spearman, found.spearman_interval),
    ):
        if value is not None:
            known = (
                f"95 % {limits[0]:.2f} to {limits[1]:.2f}"
                if limits
                else "too few calls for an interval"
            )
            yield f"  correlation, {name}: {value:.2f} ({known})"
    if found.mean_difference is not None:
        low, high = found.mean_difference_low, found.mean_difference_high
        interval = (
            f" (95 % {low:.1f} to {high:.1f})" if low is not None and high is not None else ""
        )
        yield f"  ours minus theirs: {found.mean_difference:.1f} points{interval}"


def _frame(frame: pd.DataFrame, empty: str) -> Iterator[str]:
    if frame.empty:
        yield empty
    else:
        yield frame.to_string(index=False, max_colwidth=40, na_rep="-", float_format="%.2f")
