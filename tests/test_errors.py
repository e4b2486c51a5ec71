"""Errors: the tree that exit codes hang on, and messages that say what to do."""

from __future__ import annotations

import inspect
import pickle

import pytest

from pipeline import errors
from pipeline.errors import (
    CallcoachError,
    EmptyAudio,
    ParameterError,
    RecordingError,
    SettingsError,
    StageError,
    UnreadableAudio,
    UsageError,
    WeightsError,
    nearest,
)

ALL = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, Exception)]


def test_every_error_is_drawn_in_the_tree():
    for error in ALL:
        assert issubclass(error, CallcoachError)
        assert error.__name__ in errors.__doc__


def test_an_error_is_either_of_the_command_or_of_one_recording():
    assert not [e for e in ALL if issubclass(e, UsageError) and issubclass(e, RecordingError)]
    assert issubclass(WeightsError, UsageError)
    assert issubclass(EmptyAudio, RecordingError)
    assert issubclass(ParameterError, ValueError)


def test_message_and_hint_make_one_sentence():
    assert str(SettingsError("No such preset.", "See the list.")) == "No such preset. See the list."
    assert str(UnreadableAudio("Not audio.")) == "Not audio."


def test_a_stage_error_keeps_stage_and_cause_on_one_line():
    cause = RuntimeError("first line\n  second line")
    error = StageError("dialogue", cause)
    assert (error.stage, error.cause) == ("dialogue", cause)
    assert error.message == "dialogue failed: RuntimeError: first line second line"
    assert "\n" not in str(error)
    assert StageError("voice", KeyError()).message == "voice failed: KeyError: KeyError"


@pytest.mark.parametrize("error", [SettingsError("a", "b"), UnreadableAudio("a", "b")])
def test_errors_survive_a_process_boundary(error: CallcoachError):
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), back.message) == (type(error), error.message)


def test_nearest_names_the_likely_one_and_all_that_are_allowed():
    assert nearest("beam_sise", ["beam_size", "threads"]) == (
        'Did you mean "beam_size"? Allowed: beam_size, threads.'
    )
    assert nearest("qqq", ["threads", "beam_size"]) == "Allowed: beam_size, threads."


def test_of_many_names_the_nearest_few_are_given_and_where_all_are():
    said = nearest("item_7", [f"item_{n:02d}" for n in range(50)], "see there")
    assert said.startswith('Did you mean "item_')
    assert said.endswith(" and 45 more (see there).")
    assert "item_07" in said
