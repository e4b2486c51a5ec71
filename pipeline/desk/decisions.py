"""The rules of review and appeal: which verdict is in force, what may be asked, what may be answered.

Pure: rows in, words and states out. A decision is a row that is never changed.

Review
    In force is the newest review, else the machine's verdict. A review remembers what it saw; where
    the machine now says something else, it stays in force but is *stale* and goes back to the queue.
    A review of a ``sample`` is blind: the verdict is hidden until it is judged.
Appeal
    ``open`` -> ``changed`` or ``kept`` -> once more ``open_again``, answered by somebody else ->
    ``final``; ``withdrawn`` at any time while it is open. One open appeal an item.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from pipeline.errors import Conflict, ParameterError, nearest
from pipeline.schema import VerdictName

Why = Literal["sample", "appeal", "doubtful", "chosen"]
AppealState = Literal["open", "changed", "kept", "open_again", "final", "withdrawn"]
Action = Literal["change", "keep", "again", "withdraw"]
WHYS: tuple[Why, ...] = get_args(Why)
VERDICTS: tuple[VerdictName, ...] = get_args(VerdictName)
ACTIONS: tuple[Action, ...] = get_args(Action)
OPEN: tuple[AppealState, ...] = ("open", "open_again")
LEAST_REASON, MOST_TEXT = 10, 500
MIN_SAMPLE = 20  # blind reviews of an item before its agreement is used


@dataclass(frozen=True, slots=True)
class InForce:
    """The verdict that counts, who gave it, and whether the machine has changed its mind since."""

    verdict: str
    source: Literal["machine", "review"]
    is_stale: bool


def in_force(machine: str, reviews: Sequence[Any]) -> InForce:
    """What counts; ``reviews`` of the item in the order they were made (``verdict``, ``seen_verdict``)."""
    if not reviews:
        return InForce(machine, "machine", False)
    newest = reviews[-1]
    return InForce(newest.verdict, "review", newest.seen_verdict != machine)


def agreement(blind: Iterable[tuple[str, str]]) -> tuple[int, int]:
    """How many of the blind reviews (verdict of the person, of the machine) agree, and of how many.

    Where either cannot tell, there is nothing to agree on.
    """
    known = [(a, b) for a, b in blind if "cannot_tell" not in (a, b)]
    return sum(a == b for a, b in known), len(known)


def state_of(steps: Sequence[Any]) -> AppealState:
    """State of an appeal after these steps (``action``), in order."""
    state: AppealState = "open"
    for step in steps:
        if step.action == "withdraw":
            state = "withdrawn"
        elif step.action == "again":
            state = "open_again"
        else:
            is_second = state == "open_again"
            state = "final" if is_second else "changed" if step.action == "change" else "kept"
    return state


def allowed(steps: Sequence[Any]) -> tuple[Action, ...]:
    """What may be done with an appeal after these steps."""
    state = state_of(steps)
    if state in OPEN:
        return "change", "keep", "withdraw"
    return ("again",) if state in ("changed", "kept") else ()


def check_step(steps: Sequence[Any], action: str, actor: str) -> Action:
    """The action, if it may be taken now and by this person.

    Raises
    ------
    ParameterError
        If it may not.
    """
    known = next((a for a in ACTIONS if a == action), None)
    if known is None:
        raise ParameterError(f'action = "{action}" is not allowed.', nearest(action, ACTIONS))
    if known not in allowed(steps):
        raise Conflict(
            f"An appeal that is {state_of(steps)} cannot be answered with {action}.",
            f"Allowed now: {', '.join(allowed(steps)) or 'nothing'}.",
        )
    answered = [s.actor for s in steps if s.action in ("change", "keep")]
    if state_of(steps) == "open_again" and known in ("change", "keep") and actor in answered:
        raise ParameterError(
            f"{actor} gave the first answer.", "The second is given by somebody else."
        )
    return known


def check_appeal(
    appeals: Iterable[Sequence[Any]],
    wanted: str,
    now: str,
    reason: str,
    published: datetime,
    days: int,
) -> None:
    """Whether an item may be appealed.

    Parameters
    ----------
    appeals : iterable
        The steps of each earlier appeal of the item.
    wanted, now : str
        The verdict that is asked for, and the one in force.
    reason : str
    published : datetime
        When the verdict could first be seen.
    days : int
        For so long it may be appealed.

    Raises
    ------
    ParameterError
        If not.
    """
    one_of(wanted, "wanted", VERDICTS)
    if wanted == now:
        raise ParameterError(f"The verdict is {now} already.", "Ask for another verdict.")
    text_of(reason, LEAST_REASON)
    if any(state_of(steps) in OPEN for steps in appeals):
        raise Conflict("This item has an open appeal.", "Wait for its answer or withdraw it.")
    end = published + timedelta(days=days)
    if datetime.now(UTC) > end:
        raise ParameterError(
            f"The time for an appeal ended on {end.date()}.",
            f"It is {days} days from the verdict on.",
        )


def due(asked: datetime, working_days: int) -> datetime:
    """When an answer is due: so many days later, Saturdays and Sundays of its time zone not counted."""
    day = asked
    while working_days > 0:
        day += timedelta(days=1)
        working_days -= day.weekday() < 5
    return day


def one_of(value: str, name: str, allowed_values: Sequence[str]) -> str:
    """The value, if it is one of those allowed.

    Raises
    ------
    ParameterError
        If it is not.
    """
    if value not in allowed_values:
        raise ParameterError(f'{name} = "{value}" is not allowed.', nearest(value, allowed_values))
    return value


def text_of(text: str, least: int = 0) -> str:
    """A text that people wrote, without blanks around it.

    Raises
    ------
    ParameterError
        If it is too short or too long.
    """
    text = text.strip()
    if not least <= len(text) <= MOST_TEXT:
        raise ParameterError(
            f"The text has {len(text)} characters.", f"Write {least} to {MOST_TEXT}."
        )
    return text
