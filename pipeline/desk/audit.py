"""Who did what: the one function through which every play, export, review and change is noted.

The routes that do such a thing call it; what it writes is a row of the table ``audit``.
"""

from __future__ import annotations

from typing import Literal

from pipeline.desk.scope import Scope
from pipeline.schema import Seconds

Action = Literal[
    "play", "export", "review", "appeal", "answer", "goal", "note", "example", "report"
]
LEAST_PLAY_S = 2.0  # a shorter play is a slip of the mouse


def audit(scope: Scope, action: Action, object_: str, detail: str = "") -> None:
    """Note that the viewer did something to an object: a call id, an agent id, a file."""
    scope.note(action, object_, detail)


def audit_play(scope: Scope, call_id: str, start: Seconds, end: Seconds) -> bool:
    """Note a play, where it was long enough to have heard anything; returns whether it was."""
    if not end - start > LEAST_PLAY_S:
        return False
    audit(scope, "play", call_id, f"{start:.1f}-{end:.1f}")
    return True
