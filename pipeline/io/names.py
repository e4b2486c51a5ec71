"""Which recording a name in a table means: by path, then file name, then name without suffix.

A call id means the call that bears it, else the recording of that name.

Conventions
-----------
Names are compared in Unicode's composed form (NFC), first as written, then whatever the case and width.
A backslash is a slash. A path of another machine is known by its last parts: as many as fit. Names that
are no UTF-8 are read as GB 18030. Whoever asks decides what several hits mean.
"""

from __future__ import annotations

import difflib
import os
import types
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from pipeline.io import files

CANDIDATES = 5000  # names among which a slip of the pen is looked for


class Names:
    """Recordings by everything a table may call them.

    Parameters
    ----------
    recordings : iterable of (key, path)
        What :meth:`find` gives, and the path or URL of the recording.
    ids : mapping of key to call id
        Ids of calls that are known.
    """

    def __init__(
        self,
        recordings: Iterable[tuple[str, str]],
        ids: Mapping[str, str] = types.MappingProxyType({}),
    ) -> None:
        self._calls: dict[str, list[str]] = defaultdict(list)
        for key, call_id in ids.items():
            self._calls[call_id].append(key)
        self._names: dict[str, list[str]] = defaultdict(list)
        self._stems: dict[str, list[str]] = defaultdict(list)
        self._folded: dict[str, list[str]] = defaultdict(list)
        self._folded_stems: dict[str, list[str]] = defaultdict(list)
        self._shown: dict[str, None] = {}
        for key, path in recordings:
            for name in {path, readable(path)}:
                tails = list(_tails(name))
                self._shown.setdefault(tails[-1])
                for named in (_whole(name), *tails):
                    _put(self._names[named], key)
                    _put(self._folded[_fold(named)], key)
                _put(self._stems[_stem(tails[-1])], key)
                _put(self._folded_stems[_fold(_stem(tails[-1]))], key)

    def find(self, given: str, address: str | None = None) -> list[str]:
        """Keys of all recordings that a name fits best; ``address`` is its path in full if known."""
        tails = list(_tails(given))
        names = [_whole(address or given), _whole(given), *tails]
        stems = [tails[-1], _stem(tails[-1])]
        for exact, folded, wanted in (
            (self._names, self._folded, names),
            (self._stems, self._folded_stems, stems),
        ):
            for name in wanted:
                if hits := exact.get(name) or folded.get(_fold(name)):
                    return hits
        return []

    def known(self, call_id: str) -> list[str]:
        """Keys of the recordings of the call that bears this id."""
        return self._calls.get(call_id, [])

    def of_call(self, call_id: str) -> list[str]:
        """Keys of the recordings of a call by its id, else by that as the name of one."""
        return self.known(call_id) or self.find(call_id)

    def nearest(self, given: str) -> str | None:
        """The file name most like this one, if any is."""
        stem = _stem(list(_tails(given))[-1])
        names = {_stem(name): name for name in list(self._shown)[:CANDIDATES]}
        names |= {call_id: call_id for call_id in list(self._calls)[:CANDIDATES]}
        close = difflib.get_close_matches(stem, names, n=1, cutoff=0.6)
        return names[close[0]] if close else None


def readable(path: str) -> str:
    """A path whose bytes are no UTF-8, read as GB 18030; any other as it is."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        try:
            return os.fsencode(path).decode("gb18030")
        except UnicodeDecodeError:
            pass
    return path


def _whole(name: str) -> str:
    return unicodedata.normalize("NFC", name if files.is_url(name) else name.replace("\\", "/"))


def _tails(name: str) -> Iterator[str]:
    """The last parts of a path, from all of them down to the file name."""
    name = _whole(name)
    parts = (
        files.parts(name)
        if files.is_url(name)
        else tuple(part for part in name.split("/") if part not in ("", "."))
    )
    parts = parts or (name,)
    yield from ("/".join(parts[start:]) for start in range(len(parts)))


def _fold(name: str) -> str:
    """A name whatever the case and the width of its letters."""
    return (name if name.isascii() else unicodedata.normalize("NFKC", name)).casefold()


def _put(keys: list[str], key: str) -> None:
    if key not in keys:
        keys.append(key)


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]
