"""What cannot be asked for, in both languages: pages say it in the reader's, the API in English."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.desk.words import Words
from pipeline.errors import Conflict, ParameterError, close_to


class Refused(ParameterError):
    """An error of the desk whose words are in ``texts``: that of the message by key, and what to do.

    Parameters
    ----------
    key : str
        ``refused.KEY`` is the message.
    hint : str
        ``hint.HINT`` says what to do next.
    given, allowed : str, iterable of str
        Instead of a hint: what was given, and the names of which the nearest is told.
    **values
        What is filled in.
    """

    def __init__(
        self,
        key: str,
        hint: str = "",
        *,
        given: str = "",
        allowed: Iterable[str] = (),
        **values: object,
    ) -> None:
        self._told = key, hint, given, tuple(sorted(allowed)), values
        super().__init__(*self.said(Words("en")))

    def said(self, words: Words) -> tuple[str, str]:
        """The message, and what to do next."""
        key, hint, given, allowed, values = self._told
        message = words(f"refused.{key}", **values)
        if hint:
            return message, words(f"hint.{hint}", **values)
        if not allowed:
            return message, ""
        close = close_to(given, allowed)
        guess = words("hint.nearest", name=close) if close else ""
        return message, guess + words("hint.allowed", names=words("hint.and").join(allowed))


class RefusedNow(Refused, Conflict):
    """What was allowed for what was seen, which is no longer so."""
