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
from typing import Any, Generic, TypeVar
from zoneinfo import ZoneInfo

from pipeline import evaluation
from pipeline import qa_scores as outside
from pipeline.audio import AUDIO_SUFFIXES, decode, resample
from pipeline.batch.engines import Engine
from pipeline.batch.engines.factory import Kind, open_engine
from pipeline.batch.identity import Settled, settle, stamp_of
from pipeline.batch.runner import Step, Tally, analyse
from pipeline.commands import console as terminal
from pipeline.commands.run_log import LOG_NAME, Journal
from pipeline.errors import MetadataError, NoRecordings, OutputError, ParameterError, UsageError
from pipeline.export import Exported, export, export_calls
from pipeline.io import files
from pipeline.io.times import is_local, local_time
from pipeline.judgement import provenance
from pipeline.recordings import EventRow, Found, Knows, Row, find_recordings, read_events, read_rows
from pipeline.recordings.notes import Notes
from pipeline.rubric import Rubrics
from pipeline.schema import Audio, Recording, Seconds
from pipeline.settings import Settings
from pipeline.speech.asr.plain import plain_text
from pipeline.speech.models import Models, load_models, load_plain, weights_used
from pipeline.store import STORE_NAME, Identity, State, Store

STATUS_EVERY_S = 2.0
SPEECH_RATE = 16_000
PAUSE_PER_LOOK = 9.0  # so that looking for recordings takes a tenth of one core at most

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Inputs:
    """The recordings of a run and what is known of them."""

    recordings: Sequence[str]
    metadata: str | None = None
    scores: Path | None = None
    name_pattern: str | None = None
    events: str | None = None
    pair_legs: str | None = None

    def find(
        self,
        zone: str,
        metadata: str | Sequence[Row] | None,
        events: str | Sequence[EventRow] | None = None,
        earlier: Knows | None = None,
    ) -> Found:
        """List the recordings; ``metadata`` and ``events`` are tables or their rows."""
        return find_recordings(
            self.recordings,
            suffixes=AUDIO_SUFFIXES,
            metadata=metadata,
            name_pattern=self.name_pattern,
            zone=zone,
            events=events,
            earlier=earlier,
            pair_legs=self.pair_legs,
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

    def ids_at(self, paths: Sequence[str]) -> dict[str, str]:
        """Call id of each of these recordings that an earlier run knows."""
        return self._looked_up(lambda store: store.ids_at(paths))

    def starts_at(self, paths: Sequence[str]) -> dict[str, str]:
        """When each of these calls began, where an earlier run knows it."""
        return self._looked_up(lambda store: store.starts_at(paths))

    def _looked_up(self, look: Callable[[Store], dict[str, str]]) -> dict[str, str]:
        if self.store is None and not (self.out / STORE_NAME).exists():
            return {}
        with Store.open(self.store or self.out, create=False) as store:
            return look(store)


def analyze(inputs: Inputs, place: Place, settings: Settings, *, force: bool = False) -> int:
    """Analyse, export, and show the summary.

    Returns
    -------
    int
        How many recordings failed.
    """
    found = inputs.find(settings.time.zone, inputs.metadata, inputs.events, place)
    sheet = outside.read_scores(inputs.scores) if inputs.scores else None
    terminal.say_list("Note", [*found.warnings, *(sheet.notes if sheet else ())])
    if any(r.started_at and is_local(r.started_at) for r in found.recordings):
        zone = settings.time.zone
        terminal.say(f"Note: times without an offset are taken as those of {zone} (time.zone).")
    with _opened(place) as (store, journal):
        with _working(place, settings, len(found.recordings)) as (engine, rubrics):
            settled = settle(found, store)
            terminal.say_list("Note", settled.notes)
            total = len(found.recordings) + len(found.failures)
            tally = Tally()
            steps = _steps(found, settled, settings, store, engine, rubrics, force=force)
            recorded = _recorded(steps, tally, total, store, journal)
            terminal.watch_progress(recorded, tally, total)
        unmatched = _import_scores(store, sheet, rubrics)
        written = _exported(store, place.out, settings)
        other = _made_otherwise(store, settings, rubrics)
    terminal.say_list("Outside score not used", unmatched)
    terminal.summary(tally, settings)
    if other:
        terminal.say(
            f"Note: {other} calls of this store rest on other settings, weights or rubrics, and the "
            f"agents' figures mix them: callcoach status says which; analyse them again for the same."
        )
    if written.agents is not None:
        terminal.agents(written.agents.to_pandas())
    terminal.paths(written.files, place.out, place.store)
    return tally.failed


def _steps(
    found: Found,
    settled: Settled,
    settings: Settings,
    store: Store,
    engine: Engine,
    rubrics: Rubrics,
    *,
    force: bool = False,
) -> Iterator[Step]:
    """The steps of a run: what can be analysed, then what failed before that."""
    store.forget_missing()
    yield from analyse(
        settled.recordings, settings, store, engine, rubrics, copies=settled.copies, force=force
    )
    for failure in (*found.failures, *settled.failures):
        store.save_failure(failure)
        yield Step(Recording(failure.path, failure.call_id), "failed", failure=failure)


def evaluate_transcripts(
    folder: Path, transcripts: Path, settings: Settings, *, beside: str | None, out: Path | None
) -> int:
    """Analyse recordings, compare what was heard with a table of transcripts, show and save it.

    Returns
    -------
    int
        How many recordings failed.
    """
    if beside not in (None, "plain"):
        raise UsageError(
            f'--beside "{beside}" is not known; allowed is plain.',
            "plain: faster-whisper by its manual, with the same weights.",
        )
    rows = evaluation.read_transcripts(transcripts, folder)
    found = Inputs([str(r.path) for r in rows]).find(settings.time.zone, None)
    heard: dict[str, dict[Path, str]] = {"callcoach": {}}
    with tempfile.TemporaryDirectory() as temporary:
        place = Place(out or Path(temporary))
        with _opened(place) as (store, _):
            recordings = settle(found, store).recordings
            with _working(place, settings, len(recordings)) as (engine, rubrics):
                tally = Tally()
                steps = tally.count(analyse(recordings, settings, store, engine, rubrics))
                terminal.watch_progress(steps, tally, len(recordings))
            failed = {f.call_id for f in tally.failures}
            texts = {
                os.path.abspath(r.path): evaluation.joined(store.load(r.call_id).utterances)
                for r in recordings
                if r.call_id not in failed
            }
    by_path = {r.path: texts.get(os.path.abspath(r.path)) for r in rows}
    heard["callcoach"] = {path: text for path, text in by_path.items() if text is not None}
    if beside:
        model = load_plain(settings.asr)
        heard[beside] = {
            path: plain_text(model, _channels(path), settings.asr.language)
            for path in heard["callcoach"]
        }
    report = terminal.transcripts_report(evaluation.compare_texts(rows, heard), settings)
    terminal.show(report)
    if out is not None:
        (out / "transcripts.md").write_text(report, "utf-8")
        terminal.say(f"Saved: {out / 'transcripts.md'}")
    return tally.failed + len(found.failures)


def _channels(path: Path) -> list[Audio]:
    wave = decode(path)
    return [resample(samples, wave.sample_rate, SPEECH_RATE) for samples in wave.samples]


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
    found = Inputs([str(p) for p, _ in pairs]).find(settings.time.zone, metadata)
    truths = {os.path.abspath(path): truth for path, truth in pairs}
    with tempfile.TemporaryDirectory() as temporary:
        place = Place(out or Path(temporary))
        with _opened(place) as (store, _):
            recordings = [
                _with_meta(r, truths[r.path], settings.time.zone)
                for r in settle(found, store).recordings
            ]
            with _working(place, settings, len(recordings)) as (engine, rubrics):
                tally = Tally()
                steps = tally.count(analyse(recordings, settings, store, engine, rubrics))
                terminal.watch_progress(steps, tally, len(recordings))
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
    if urls := [given for given in inputs.recordings if files.is_url(files.plain(given))]:
        raise UsageError(
            f"{files.shown(urls[0])} cannot be watched: only folders of this machine can.",
            "Run callcoach analyze on it from a timer; it does only what is new.",
        )
    arrivals = _Arrivals(settle_s)
    said: set[str] = set()
    metadata = _Watched(inputs.metadata, _metadata_rows, settle_s)
    switch = _Watched(inputs.events, _events, settle_s)
    sheet = _Watched(inputs.scores, _scores, settle_s)
    found = Found([], [], [])
    with _opened(place) as (store, journal), _working(place, settings, None) as (engine, rubrics):
        terminal.say(f"Watching {', '.join(inputs.recordings)}; tables in {place.out}.")
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                began = time.monotonic()
                metadata.renew()
                switch.renew()
                is_scored = sheet.renew()
                try:
                    found = inputs.find(settings.time.zone, metadata.value, switch.value, store)
                except NoRecordings:
                    found = Found([], [], [])
                except MetadataError as error:  # a list that is being rewritten
                    found = found._replace(warnings=[str(error)])
                terminal.say_list("Note", [w for w in found.warnings if w not in said])
                said.update(found.warnings)
                looked_s = time.monotonic() - began
                ready = found._replace(recordings=arrivals.ready(found.recordings), failures=[])
                if ready.recordings:
                    settled = settle(ready, store)
                    terminal.say_list("Note", settled.notes)
                    steps = _steps(ready, settled, settings, store, engine, rubrics)
                    recorded = _recorded(steps, Tally(), len(ready.recordings), store, journal)
                    for step in recorded:
                        terminal.say_step(step)
                if ready.recordings or is_scored:
                    unused = _import_scores(store, sheet.value, rubrics)
                    unused = [line for line in unused if line not in said]
                    terminal.say_list("Outside score not used", unused)
                    said.update(unused)
                    _exported(store, place.out, settings)
                time.sleep(max(every_s, looked_s * PAUSE_PER_LOOK))
        terminal.say("Stopped. What was finished is saved; the next start goes on from there.")


def _made_otherwise(store: Store, settings: Settings, rubrics: Rubrics) -> int:
    """How many results rest on something else than this run's."""
    ours = {
        (i.settings_hash, i.weights_hash, i.rubric_hash)
        for i in (
            Identity.of("", "", provenance(settings, weights_used(settings), rubric))
            for rubric in rubrics.all()
        )
    }
    return sum(b.calls for b in store.bases() if tuple(b[2:]) not in ours)


class _Arrivals:
    """Which files are finished and not yet taken as they, and what is known of them, are now."""

    def __init__(self, settle_s: Seconds) -> None:
        self._settle_s = settle_s
        self._seen: dict[str, tuple[str, float]] = {}
        self._taken: dict[str, tuple[str, Recording]] = {}

    def ready(self, recordings: Sequence[Recording]) -> list[Recording]:
        now = time.monotonic()
        ready = []
        for recording in recordings:
            stamp = stamp_of(recording.path, recording.path_2)
            if not stamp:
                continue  # gone again, or not yet there
            before, since = self._seen.get(recording.path, ("", now))
            if stamp != before:
                self._seen[recording.path] = (stamp, since := now)
            settled = now - since >= self._settle_s
            if settled and self._taken.get(recording.path) != (stamp, recording):
                self._taken[recording.path] = (stamp, recording)
                ready.append(recording)
        return ready


class _Watched(Generic[T]):
    """A table that may be rewritten at any time: the newest of it that could be read."""

    def __init__(
        self, path: str | Path | None, read: Callable[[str], T], settle_s: Seconds
    ) -> None:
        self._path = "" if path is None else str(path)
        self._read = read
        self._settle_s = settle_s
        self._taken = self._seen = stamp_of(self._path) if self._path else ""
        self._since = time.monotonic()
        self.value: T | None = None
        if self._taken or files.is_url(self._path):
            self.value = read(self._path)
        elif self._path:
            terminal.say(f"Note: {self._path} is not there yet; it is read when it comes.")

    def renew(self) -> bool:
        """Read it again when it has changed and settled; whether there is another value."""
        stamp, now = stamp_of(self._path) if self._path else "", time.monotonic()
        if stamp != self._seen:
            self._seen, self._since = stamp, now
        if not stamp or stamp == self._taken or now - self._since < self._settle_s:
            return False
        self._taken = stamp
        try:
            self.value = self._read(self._path)
        except UsageError as error:
            terminal.say(f"Note: {error} What was read of it before is used.")
            return False
        return True


def _metadata_rows(path: str) -> list[Row]:
    notes = Notes()
    rows = read_rows(path, notes)
    terminal.say_list("Note", notes.sentences())
    return rows


def _events(path: str) -> list[EventRow]:
    notes = Notes()
    rows = read_events(path, notes)
    terminal.say_list("Note", notes.sentences())
    return rows


def _scores(path: str) -> outside.Scores:
    sheet = outside.read_scores(path)
    terminal.say_list("Note", sheet.notes)
    return sheet


def export_store(
    source: str, out: Path, settings: Settings, of_calls: Sequence[str] = (), **choices: Any
) -> None:
    """Write the tables of a store anew, and a file a call in the formats ``of_calls``."""
    with Store.open(source, create=False) as store:
        try:
            count = export_calls(store, out / "calls", of_calls) if of_calls else 0
        except ParameterError as cause:
            raise UsageError(cause.message, cause.hint) from cause
        written = _exported(store, out, settings, **choices)
    terminal.paths(written.files, out, None)
    if count:
        terminal.say(f"{count} calls, each as {', '.join(of_calls)}: {out / 'calls'}")


def fill_sound(source: str) -> None:
    """Make the curves of all calls of a store that have none; say where that was not possible."""
    from pipeline.export.sound import fill_sound as fill

    with Store.open(source) as store:
        failed = [f"{call_id}: {why}" for call_id, why in fill(store) if why is not None]
    terminal.say_list("No curves", failed)


def _exported(store: Store, out: Path, settings: Settings, **choices: Any) -> Exported:
    """Write the tables, anew if a server was restarted meanwhile."""
    return store.patiently(
        lambda: export(
            store,
            out,
            min_calls=settings.agents.min_calls,
            adjust=settings.agents.adjust,
            **choices,
        )
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
    steps: Iterator[Step], tally: Tally, recordings: int, store: Store, journal: Journal
) -> Iterator[Step]:
    """Count the steps and pass them on, with a log line each and the state of the run in the store."""
    run = store.begin_run(recordings)
    journal.note("run", run=run, recordings=recordings)
    state: State = "stopped"
    written = -math.inf
    try:
        for step in tally.count(steps):
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


def _import_scores(store: Store, sheet: outside.Scores | None, rubrics: Rubrics) -> list[str]:
    """Join outside scores to the calls, also those that came before their call; say which did not."""
    new = [] if sheet is None else [sheet.rows]
    waiting = store.pending_outside()
    if not new and waiting.empty:
        return []
    calls = store.frame("calls", columns=["call_id", "path"])
    if not waiting.empty:
        late = outside.join(waiting, calls, rubrics.item_names()).rows
        store.save_outside(late[late["call_id"].notna()])
    if sheet is None:
        return []
    joined = outside.join(sheet.rows, calls, rubrics.item_names())
    store.save_outside(joined.rows)
    unused = [f"{row.file} row {row.row}: {row.problem}" for row in joined.unmatched.itertuples()]
    return [*joined.notes, *_replaced(store, joined), *unused]


def _replaced(store: Store, joined: outside.Joined) -> list[str]:
    """Scores of the calls that were joined which gave way because one of two names no reviewer."""
    rows = joined.rows[joined.rows["problem"].isna()]
    if rows.empty or not (every := store.frame("outside_scores"))["reviewer"].isna().any():
        return []
    every = every[every["call_id"].isin(rows["call_id"]) & every["problem"].isna()]
    return outside.nameless(every.astype(object).where(every.notna(), None).to_dict("records"))


def _with_meta(recording: Recording, truth: Mapping[str, Any], zone: str) -> Recording:
    """What the labels say of the call, where the metadata does not say it."""
    meta = truth.get("meta", {})
    date = meta.get("date")
    return replace(
        recording,
        direction=recording.direction or meta.get("direction"),
        started_at=recording.started_at or (local_time(date, ZoneInfo(zone)) if date else None),
        agent_id=recording.agent_id or meta.get("agent_id"),
    )
