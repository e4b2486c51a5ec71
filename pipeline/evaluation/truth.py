"""The ground truth of a call: ``NAME.truth.json`` beside ``NAME.wav``.

What
----
``call_id``, ``duration`` and ``turns`` must be there. A turn has ``speaker`` (``A`` agent, ``C``
customer), ``start``, ``end``, ``text`` and may have ``chars`` (spoken characters), ``backchannel``,
``cut`` and ``spans`` (the stretches of speech inside the turn). The text of a cut turn is what
would have been said in full, so it says nothing of the words or of the rate.

All else is labelled only when its key is there; an empty list says that nothing happened:
``interruptions`` (by, at, successful), ``backchannels`` (speaker, start, end), ``holds`` (start,
end, kind, announced), ``dead_air`` (start, end), ``rings``, ``compliance`` (item -> pass, fail,
not_applicable or cannot_tell) and, by speaker (``{"A": -22.5}``), what is known of a voice:
``level_dbfs``, ``active_level_dbfs``, ``loudness_lufs``, ``f0_median_hz``, ``pitch_sd_st``,
``pitch_range_st``.

Conventions
-----------
Seconds from the start of the recording. Edges may lie up to :data:`EDGE_PADDING_S` outside of the
speech, so smaller differences mean nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pipeline.audio import AUDIO_SUFFIXES
from pipeline.errors import UsageError
from pipeline.schema import AGENT, CUSTOMER, Seconds, Span, Speaker, VerdictName
from pipeline.text import count_units

SUFFIX = ".truth.json"
EDGE_PADDING_S = 0.030
ROLES = {"A": AGENT, "C": CUSTOMER}
LABELS: tuple[VerdictName, ...] = get_args(VerdictName)
OF_A_VOICE = (
    "level_dbfs", "active_level_dbfs", "loudness_lufs", "f0_median_hz", "pitch_sd_st",
    "pitch_range_st",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrueTurn:
    """One turn as it was said. ``units`` are spoken characters; None when the turn was cut."""

    speaker: Speaker
    start: Seconds
    end: Seconds
    text: str
    units: int | None
    backchannel: bool = False
    cut: bool = False
    spans: tuple[Span, ...] = ()

    @property
    def span(self) -> Span:
        """Start and end."""
        return self.start, self.end


@dataclass(frozen=True, slots=True)
class TrueEvent:
    """One labelled event; an interruption is a point in time. None in ``detail``: no label."""

    start: Seconds
    end: Seconds
    by: Speaker | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def span(self) -> Span:
        """Start and end."""
        return self.start, self.end


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of one call. None means that nobody labelled it."""

    call_id: str
    duration: Seconds
    turns: tuple[TrueTurn, ...]
    interruptions: tuple[TrueEvent, ...] | None
    backchannels: tuple[TrueEvent, ...] | None
    holds: tuple[TrueEvent, ...] | None
    dead_air: tuple[TrueEvent, ...] | None
    rings: int | None
    compliance: Mapping[str, str]
    voices: Mapping[str, Mapping[Speaker, float]]
    """What is known of the voices: by name of the measure, by speaker."""


def find_truths(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Find the labelled calls of a folder, to any depth.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    list of (Path, dict)
        The recording and its truth as read from JSON, ordered by path.

    Raises
    ------
    UsageError
        If there is no such folder or no truth in it, a truth cannot be read, a recording is
        missing or there are several for one truth, or two truths name one call.
    """
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is not a folder.", f"Name a folder with recordings and their *{SUFFIX}."
        )
    paths = sorted(folder.rglob(f"*{SUFFIX}"))
    if not paths:
        raise UsageError(
            f"No ground truth in {folder}.", f"Put NAME{SUFFIX} beside each labelled recording."
        )
    found: list[tuple[Path, dict[str, Any]]] = []
    seen: dict[str, Path] = {}
    for path in paths:
        data = _read(path)
        call_id = str(data["call_id"])
        if call_id in seen:
            raise UsageError(
                f'{path} and {seen[call_id]} are both the truth of call "{call_id}".',
                "Give every call its own call_id.",
            )
        seen[call_id] = path
        found.append((_recording_of(path), data))
    return found


def parse_truth(data: Mapping[str, Any]) -> Truth:
    """Read a truth out of its JSON form.

    Raises
    ------
    KeyError, ValueError, TypeError
        If a field is missing or of the wrong kind.
    """
    turns = tuple(sorted((_turn(t) for t in data["turns"]), key=lambda t: (t.start, t.end)))
    rings = data.get("rings")
    compliance = dict(data.get("compliance") or {})
    for item, label in compliance.items():
        if label not in LABELS:
            allowed = ", ".join(LABELS)
            raise ValueError(f'compliance of {item} is "{label}", not one of {allowed}')
    return Truth(
        call_id=str(data["call_id"]),
        duration=float(data["duration"]),
        turns=turns,
        interruptions=_events(data, "interruptions", ("successful",)),
        backchannels=_events(data, "backchannels", ("text",)),
        holds=_events(data, "holds", ("kind", "announced")),
        dead_air=_events(data, "dead_air", ()),
        rings=None if rings is None else len(rings),
        compliance=compliance,
        voices={name: _by_speaker(data, name) for name in OF_A_VOICE},
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        parse_truth(data)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as cause:
        what = f"{cause} is missing" if isinstance(cause, KeyError) else str(cause)
        raise UsageError(
            f"{path} cannot be used as ground truth: {what}.",
            "See data/README.md for what a truth file holds.",
        ) from cause
    return data


def _recording_of(path: Path) -> Path:
    name = path.name.removesuffix(SUFFIX)
    found = sorted(
        p for p in path.parent.iterdir() if p.stem == name and p.suffix.lower() in AUDIO_SUFFIXES
    )
    if len(found) != 1:
        what = ", ".join(p.name for p in found) or "no recording"
        raise UsageError(
            f"{path} has {what} beside it; one recording named {name}.* is needed.",
            "Put the recording there, or keep only one.",
        )
    return found[0]


def _turn(data: Mapping[str, Any]) -> TrueTurn:
    cut = bool(data.get("cut", False))
    text = str(data["text"])
    start, end = _span(data["start"], data["end"])
    spans = tuple(_span(*s) for s in data.get("spans", ()))
    return TrueTurn(
        speaker=_role(data["speaker"]),
        start=start,
        end=end,
        text=text,
        units=None if cut else int(data.get("chars", count_units(text))),
        backchannel=bool(data.get("backchannel", False)),
        cut=cut,
        spans=spans,
    )


def _events(
    data: Mapping[str, Any], key: str, detail: tuple[str, ...]
) -> tuple[TrueEvent, ...] | None:
    if data.get(key) is None:
        return None
    events = []
    for row in data[key]:
        by = row.get("by", row.get("speaker"))
        start, end = (row["at"], row["at"]) if "at" in row else (row["start"], row["end"])
        events.append(
            TrueEvent(
                *_span(start, end),
                None if by is None else _role(by),
                {name: row.get(name) for name in detail},
            )
        )
    return tuple(sorted(events, key=lambda e: e.span))


def _by_speaker(data: Mapping[str, Any], key: str) -> dict[Speaker, float]:
    return {_role(s): float(v) for s, v in (data.get(key) or {}).items() if v is not None}


def _span(start: Any, end: Any) -> Span:
    if float(end) < float(start):
        raise ValueError(f"an end ({end} s) lies before its start ({start} s)")
    return float(start), float(end)


def _role(label: Any) -> Speaker:
    if label not in ROLES:
        raise ValueError(f'speaker is "{label}", neither A (agent) nor C (customer)')
    return ROLES[label]
