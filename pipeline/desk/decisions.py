"""The rules of review and appeal: which verdict is in force, what may be asked, what may be answered.

Pure: rows in, words and states out. A decision is a row that is never changed.

Review
    In force is the newest review, else the machine's verdict. A review remembers what it saw; where
    the machine now says something else, it stays in force but is *stale* and goes back to the queue.
    A review of a ``sample`` is blind: the verdict is hidden until it is judged.
Appeal
    ``open`` -> ``changed`` or ``kept`` -> once more ``open_again``, answered by somebody else ->
    ``final``; ``withdrawn`` at any time while it is open. One open appeal an item. Who asked does not answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from pipeline.desk.refusals import Refused, RefusedNow
from pipeline.schema import VerdictName

Why = Literal["sample", "appeal", "doubtful", "chosen"]
AppealState = Literal["open", "changed", "kept", "open_again", "final", "withdrawn"]
Action = Literal["change", "keep", "again", "withdraw"]
WHYS: tuple[Why, ...] = get_args(Why)
VERDICTS: tuple[VerdictName, ...] = get_args(VerdictName)
ACTIONS: tuple[Action, ...] = get_args(Action)
ANSWERS: tuple[Action, ...] = ("change", "keep")
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


def askers(asked_by: str, steps: Sequence[Any]) -> set[str]:
    """Who asked, at first or once more, by :func:`name_of`: these do not answer."""
    return {name_of(asked_by), *(name_of(s.actor) for s in steps if s.action == "again")}


def name_of(actor: str) -> str:
    """A name as it is compared: case and blanks do not count."""
    return "".join(actor.split()).casefold()


def check_step(steps: Sequence[Any], action: str, actor: str, asked_by: str) -> Action:
    """The action, if it may be taken now and by this person; ``asked_by`` appealed.

    Raises
    ------
    ParameterError
        If it may not.
    """
    known = next((a for a in ACTIONS if a == action), None)
    if known is None:
        raise Refused("value", name="action", value=action, given=action, allowed=ACTIONS)
    if known not in allowed(steps):
        raise RefusedNow(
            "step",
            "steps" if allowed(steps) else "no_steps",
            state=state_of(steps),
            action=action,
            steps=", ".join(allowed(steps)),
        )
    if known not in ANSWERS:
        return known
    if name_of(actor) in askers(asked_by, steps):
        raise Refused("own_appeal", "other_answer", actor=actor)
    answered = [name_of(s.actor) for s in steps if s.action in ANSWERS]
    if state_of(steps) == "open_again" and name_of(actor) in answered:
        raise Refused("first_answer", "second_answer", actor=actor)
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
        raise Refused("wanted", "wanted", verdict=now)
    text_of(reason, LEAST_REASON)
    if any(state_of(steps) in OPEN for steps in appeals):
        raise RefusedNow("open_appeal", "open_appeal")
    end = published + timedelta(days=days)
    if datetime.now(UTC) > end:
        raise Refused("appeal_time", "appeal_time", day=end.date(), days=days)


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
        raise Refused("value", name=name, value=value, given=value, allowed=allowed_values)
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
        raise Refused("text", "number", n=len(text), low=least, high=MOST_TEXT)
    return text
