"""What the commands over many recordings do: analyse, evaluate, watch, export.

Each opens the store for itself alone, opens an engine, lets the batch run, and shows what came of
it through :mod:`pipeline.commands.console`.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline import evaluation
from pipeline import qa_scores as outside
from pipeline.audio import AUDIO_SUFFIXES
from pipeline.batch.engines import Engine
from pipeline.batch.engines.choosing import Kind, open_engine
from pipeline.batch.runner import Step, Tally, analyse
from pipeline.commands import console as terminal
from pipeline.commands.run_log import LOG_NAME, Journal
from pipeline.errors import NoRecordings, OutputError
from pipeline.export import export
from pipeline.io.times import is_local
from pipeline.recordings import Found, Row, find_recordings
from pipeline.rubric import Rubrics
from pipeline.schema import Recording, Seconds
from pipeline.settings import Settings
from pipeline.speech.models import Models, load_models
from pipeline.store import State, Store

STATUS_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Inputs:
    """The recordings of a run and what is known of them."""

    recordings: Sequence[str]
    metadata: str | None = None
    scores: Path | None = None
    name_pattern: str | None = None

    def find(self, zone: str, metadata: Sequence[Row] | None = None) -> Found:
        """List the recordings; ``metadata`` are rows that were read before."""
        return find_recordings(
            self.recordings,
            suffixes=AUDIO_SUFFIXES,
            metadata=self.metadata if metadata is None else metadata,
            name_pattern=self.name_pattern,
            zone=zone,
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where results go and where the work is done."""

    out: Path
    store: str | None = None
    engine: Kind = Kind.LOCAL
    address: str | None = None
    verbose: bool = False
    load: Callable[[Settings], Models] = load_models


def analyze(inputs: Inputs, place: Place, settings: Settings, *, force: bool = False) -> int:
    """Analyse, export, and show the summary.

    Returns
    -------
    int
        How many recordings failed.
    """
    found = inputs.find(settings.time.zone)
    sheet = outside.read_scores(inputs.scores) if inputs.scores else None
    terminal.say_list("Note", [*found.warnings, *(sheet.notes if sheet else ())])
    if any(r.started_at and is_local(r.started_at) for r in found.recordings):
        zone = settings.time.zone
        terminal.say(f"Note: times without an offset are taken as those of {zone} (time.zone).")
    with _opened(place) as (store, journal):
        with _working(place, settings, len(found.recordings)) as (engine, rubrics):
            for failure in found.failures:
                store.save_failure(failure)
            steps = _recorded(
                analyse(found.recordings, settings, store, engine, rubrics, force=force),
                len(found.recordings),
                store,
                journal,
            )
            tally = terminal.watch_progress(steps, len(found.recordings))
        unmatched = _import_scores(store, sheet, settings)
        files = _exported(store, place.out, settings)
    terminal.say_list("Outside score not used", unmatched)
    terminal.summary(tally, found, settings)
    terminal.agents(place.out)
    terminal.paths(files, place.out, place.store)
    return tally.failed + len(found.failures)


def evaluate(
    folder: Path,
    settings: Settings,
    *,
    metadata: str | None,
    out: Path | None,
    baseline: Path | None,
) -> int:
    """Analyse labelled calls, compare with their truth, show and save the figures.

    Returns
    -------
    int
        How many recordings failed.
    """
    earlier = evaluation.read_baseline(baseline) if baseline else None
    pairs = evaluation.find_truths(folder)
    found = Inputs([str(p) for p, _ in pairs], metadata).find(settings.time.zone)
    truths = {os.path.abspath(path): truth for path, truth in pairs}
    recordings = [_with_meta(r, truths[r.path]) for r in found.recordings]
    with tempfile.TemporaryDirectory() as temporary:
        place = Place(out or Path(temporary))
        with _opened(place) as (store, _):
            with _working(place, settings, len(recordings)) as (engine, rubrics):
                steps = analyse(recordings, settings, store, engine, rubrics)
                tally = terminal.watch_progress(steps, len(recordings))
            failed = {f.call_id for f in tally.failures}
            figures = evaluation.summarise(
                [
                    evaluation.evaluate_call(store.load(r.call_id), truths[r.path])
                    for r in recordings
                    if r.call_id not in failed
                ],
                failed=sorted(failed),
            )
    report = terminal.evaluation_report(figures, settings)
    terminal.show(report)
    if out is not None:
        data = json.dumps(figures.to_json(), ensure_ascii=False, indent=1)
        (out / "evaluation.json").write_text(data, "utf-8")
        (out / "evaluation.md").write_text(report, "utf-8")
        terminal.say(f"Saved: {out / 'evaluation.json'}, {out / 'evaluation.md'}")
    if earlier is not None:
        moved = [str(m) for m in evaluation.compare(figures, earlier)]
        terminal.say_list("Moved", moved or ["nothing"])
    return tally.failed + len(found.failures)


def watch(
    inputs: Inputs, place: Place, settings: Settings, *, settle_s: Seconds, every_s: Seconds
) -> None:
    """Analyse recordings as they arrive, until interrupted.

    A file is taken when its size and time have not changed for ``settle_s``; one that changes
    later is taken again. The tables are written after each round that did something, and what a
    round has done is never lost: the next start goes on from the store.
    """
    arrivals = _Arrivals(settle_s)
    said: set[str] = set()
    with _opened(place) as (store, journal), _working(place, settings, None) as (engine, rubrics):
        terminal.say(f"Watching {', '.join(inputs.recordings)}; tables in {place.out}.")
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                found = _find_or_none(inputs, settings.time.zone)
                terminal.say_list("Note", [w for w in found.warnings if w not in said])
                said.update(found.warnings)
                ready = arrivals.ready(found.recordings)
                if ready:
                    steps = analyse(ready, settings, store, engine, rubrics)
                    for step in _recorded(steps, len(ready), store, journal):
                        terminal.say_step(step)
                    sheet = outside.read_scores(inputs.scores) if inputs.scores else None
                    _import_scores(store, sheet, settings)
                    _exported(store, place.out, settings)
                time.sleep(every_s)
        terminal.say("Stopped. What was finished is saved; the next start goes on from there.")


class _Arrivals:
    """Which files are finished and not yet taken as they are now."""

    def __init__(self, settle_s: Seconds) -> None:
        self._settle_s = settle_s
        self._seen: dict[str, tuple[tuple[int, int], float]] = {}
        self._taken: dict[str, tuple[int, int]] = {}

    def ready(self, recordings: Sequence[Recording]) -> list[Recording]:
        now = time.monotonic()
        ready = []
        for recording in recordings:
            try:
                found = Path(recording.path).stat()
            except OSError:
                continue  # gone again, or not yet there
            state = (found.st_size, found.st_mtime_ns)
            before, since = self._seen.get(recording.path, (None, now))
            if state != before:
                self._seen[recording.path] = (state, since := now)
            settled = now - since >= self._settle_s
            if settled and self._taken.get(recording.path) != state:
                self._taken[recording.path] = state
                ready.append(recording)
        return ready


def export_store(source: str, out: Path, settings: Settings, **choices: Any) -> None:
    """Write the tables of a store anew."""
    with Store.open(source, create=False) as store:
        files = _exported(store, out, settings, **choices)
    terminal.paths(files, out, None)


def fill_sound(source: str) -> None:
    """Make the curves of all calls of a store that have none; say where that was not possible."""
    from pipeline.export.sound import fill_sound as fill

    with Store.open(source) as store:
        failed = [f"{call_id}: {why}" for call_id, why in fill(store) if why is not None]
    terminal.say_list("No curves", failed)


def _exported(store: Store, out: Path, settings: Settings, **choices: Any) -> list[Path]:
    """Write the tables, anew if a server was restarted meanwhile."""
    return store.patiently(
        lambda: export(store, out, min_calls=settings.agents.min_calls, **choices)
    )


@contextmanager
def _opened(place: Place) -> Iterator[tuple[Store, Journal]]:
    """Open the store, for this run alone, and the log."""
    try:
        place.out.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise OutputError(
            f"The output folder {place.out} cannot be made: {cause.strerror or cause}.",
            "Name a folder you can write to with --out.",
        ) from cause
    with (
        Store.open(place.store or place.out) as store,
        store.exclusive(),
        Journal(place.out / LOG_NAME, verbose=place.verbose) as journal,
    ):
        yield store, journal


@contextmanager
def _working(
    place: Place, settings: Settings, recordings: int | None
) -> Iterator[tuple[Engine, Rubrics]]:
    rubrics = Rubrics(settings)
    rubrics.all()
    with open_engine(
        settings,
        rubrics,
        place.engine,
        recordings=recordings,
        address=place.address,
        load=place.load,
    ) as engine:
        yield engine, rubrics


def _recorded(
    steps: Iterator[Step], recordings: int, store: Store, journal: Journal
) -> Iterator[Step]:
    """Pass the steps on, with a log line each and the state of the run in the store."""
    tally = Tally()
    run = store.begin_run(recordings)
    journal.note("run", run=run, recordings=recordings)
    state: State = "stopped"
    written = -math.inf
    try:
        for step in steps:
            tally.add(step)
            journal.call(step)
            if time.monotonic() - written >= STATUS_EVERY_S:
                _note_run(store, run, tally)
                written = time.monotonic()
            yield step
        state = "finished"
    finally:
        _note_run(store, run, tally)
        store.end_run(run, state)
        journal.note("run ended", run=run, state=state, **tally.counts, audio_s=tally.audio_s)


def _note_run(store: Store, run: int, tally: Tally) -> None:
    store.update_run(
        run,
        done=tally.changed,
        unchanged=tally.unchanged,
        failed=tally.failed,
        audio_s=tally.new_audio_s,
    )


def _import_scores(store: Store, sheet: outside.Scores | None, settings: Settings) -> list[str]:
    """Join outside scores to the calls, also those that came before their call; say which did not."""
    new = [] if sheet is None else [sheet.rows]
    waiting = store.pending_outside()
    if not new and waiting.empty:
        return []
    calls = store.frame("calls", columns=["call_id", "path"])
    if not waiting.empty:
        late = outside.join(waiting, calls, Rubrics(settings).item_names()).rows
        store.save_outside(late[late["call_id"].notna()])
    if sheet is None:
        return []
    joined = outside.join(sheet.rows, calls, Rubrics(settings).item_names())
    store.save_outside(joined.rows)
    unused = [f"{row.file} row {row.row}: {row.problem}" for row in joined.unmatched.itertuples()]
    return [*joined.notes, *unused]


def _find_or_none(inputs: Inputs, zone: str) -> Found:
    """What there is, which while watching may be nothing yet."""
    try:
        return inputs.find(zone)
    except NoRecordings:
        return Found([], [], [])


def _with_meta(recording: Recording, truth: Mapping[str, Any]) -> Recording:
    """What the labels say of the call, where the metadata does not say it."""
    meta = truth.get("meta", {})
    return replace(
        recording,
        direction=recording.direction or meta.get("direction"),
        started_at=recording.started_at or meta.get("date"),
        agent_id=recording.agent_id or meta.get("agent_id"),
    )
