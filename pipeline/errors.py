"""Every error a user can meet, each saying what came, what is allowed and what to do next.

CallcoachError
├── ParameterError (ValueError)   an argument of our own functions is out of range
│   └── Conflict                  it was allowed for what was seen, which is no longer so
├── UsageError                    the command line cannot be carried out (exit code 2)
│   ├── SettingsError             unknown preset, unknown key, value out of range
│   ├── NoRecordings              the inputs name no recording
│   ├── MetadataError             the metadata table cannot be read or joined
│   ├── ScoresError               the outside scores cannot be read or joined
│   ├── RubricError               the rubric file is not valid
│   ├── WeightsError              model weights are missing or do not match their SHA-256
│   └── OutputError               the output folder or the store cannot be written
├── SlowQuery                     a page asked the store for more than it can give in time
└── RecordingError                one recording cannot be analysed; the others go on
    ├── UnreadableAudio           not audio, unknown codec, damaged
    ├── EmptyAudio                decodes to no samples
    ├── StageError                a stage of the analysis failed on this recording
    ├── WorkerDied                the process that worked on it ended
    ├── TimeLimit                 it took longer than its length allows
    └── MemoryLimit               it took more memory than a worker may have
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

MANY, FEW = 12, 5  # so many valid names are listed in full; of more so few


class CallcoachError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    message : str
        One line: what came and what is allowed.
    hint : str
        One line: what to do next. May be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class ParameterError(CallcoachError, ValueError):
    """An argument is outside of what the function allows."""


class Conflict(ParameterError):
    """What is asked for was allowed for what was seen, and that has changed."""


class UsageError(CallcoachError):
    """The command cannot be carried out as it was given."""


class SettingsError(UsageError):
    """A preset or a setting is unknown or out of range."""


class NoRecordings(UsageError):
    """The inputs name no recording."""


class MetadataError(UsageError):
    """The metadata table cannot be read or joined."""


class ScoresError(UsageError):
    """The outside compliance scores cannot be read or joined."""


class RubricError(UsageError):
    """A rubric file is not valid."""


class WeightsError(UsageError):
    """Model weights are missing or are not the ones the manifest names."""


class OutputError(UsageError):
    """The output folder or the store cannot be written."""


class SlowQuery(CallcoachError):
    """A query took longer than a page waits for it."""


class RecordingError(CallcoachError):
    """One recording cannot be analysed. It costs one row in ``failures``, never the run."""

    stage = "audio"


class UnreadableAudio(RecordingError):
    """The file is not audio that can be decoded."""


class EmptyAudio(RecordingError):
    """The file decodes to no samples at all."""


class StageError(RecordingError):
    """A stage failed on one recording for a reason that was not foreseen."""

    def __init__(self, stage: str, cause: BaseException) -> None:
        super().__init__(
            f"{stage} failed: {type(cause).__name__}: {one_line(cause)}",
            "Please report this with the log line; the other recordings are not affected.",
        )
        self.stage = stage
        self.cause = cause


class WorkerDied(RecordingError):
    """The process that worked on the recording ended before it was done."""

    stage = "worker"


class TimeLimit(RecordingError):
    """The recording was not done in the time its length allows."""

    stage = "worker"


class MemoryLimit(RecordingError):
    """The recording took more memory than a worker may have."""

    stage = "worker"


def one_line(error: BaseException, most: int = 300) -> str:
    """What a library says of its error, as one sentence without its final stop."""
    said = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    text = " ".join(str(said).split()).rstrip(".:") or type(error).__name__
    return text if len(text) <= most else text[:most] + " ..."


def first_few(texts: Sequence[str], apart: str = ", ", most: int = 3) -> str:
    """The first of many texts, and how many more there are.

    >>> first_few(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    more = len(texts) - most
    return apart.join(texts[:most]) + (f" and {more} more" if more > 0 else "")


def close_to(name: str, allowed: Iterable[str], least: float = 0.5) -> str | None:
    """The valid name that comes nearest, if any is as near as ``least``; from 0 on, to 1 for the same."""
    return next(iter(difflib.get_close_matches(name, list(allowed), n=1, cutoff=least)), None)


def nearest(name: str, allowed: Iterable[str], see: str = "") -> str:
    """Say which valid name comes nearest, as a phrase to end an error message with.

    Of many names the nearest few are given, and ``see`` says where all are.

    >>> nearest("embeded", ["embedded", "gpu"])
    'Did you mean "embedded"? Allowed: embedded, gpu.'
    """
    names = sorted(allowed)
    close = close_to(name, names)
    guess = f'Did you mean "{close}"? ' if close else ""
    if len(names) <= MANY:
        return f"{guess}Allowed: {', '.join(names)}."
    few = difflib.get_close_matches(name, names, n=FEW, cutoff=0.0)
    where = f" ({see})" if see else ""
    return f"{guess}Allowed: {', '.join(few)} and {len(names) - len(few)} more{where}."
