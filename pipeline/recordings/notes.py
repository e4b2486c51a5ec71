"""Warnings while recordings are looked for, alike ones gathered into one sentence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

LISTED = 3  # names quoted in a warning before "and N more"


@dataclass
class Notes:
    """Warnings, alike ones gathered into one sentence."""

    plain: list[str] = field(default_factory=list)
    alike: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, sentence: str) -> None:
        """Note one sentence."""
        self.plain.append(sentence)

    def count(self, sentence: str, name: str) -> None:
        """Note one more case of a sentence that ends before the names of its cases."""
        self.alike[sentence].append(name)

    def sentences(self) -> list[str]:
        """Every warning, each with the first few names it is about."""
        return self.plain + [f"{text} {first_names(cases)}." for text, cases in self.alike.items()]


def first_names(names: Sequence[str]) -> str:
    """List the first few names and how many more there are."""
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")
