"""The store: every result in one database, and the only SQL of the program.

Conventions
-----------
SQLite (a file, write-ahead log) is the default; a ``postgresql://`` address works the same.

* One call is one transaction: all of its rows are written, or none. Saving a call again replaces
  its rows, so that a transaction that a server lost can be repeated as a whole.
* ``results`` keeps the whole :class:`CallResult` as compressed JSON with its :class:`Identity`, so
  that later stages can run again without recognising the speech again.
* A call is known by its place and its content; ``call_id`` is the name it carries, and can change.
* A failure is known by the place of its recording, and stays until that succeeds. It never deletes an
  earlier good result: that stays, and its ``error`` in ``calls`` says that a newer attempt failed.
* Outside scores live in ``outside_scores``, each known by call, item, reviewer and time, and survive
  a new analysis; where a call has some, they take the place of outside verdicts within the result.
* ``rubrics`` and ``settings`` keep what the hashes in ``calls`` stand for, ``sound`` the curves a
  page draws, ``audit`` who did what; ``changes`` counts every change, so that pages can be cached.
* ``reviews``, ``appeals``, ``goals``, ``notes`` and ``examples`` with their steps keep what people decided;
  rows are only added, and outlive a new analysis of their call.
* A run that writes holds :meth:`Store.exclusive`; reading needs it never.

Parts: ``tables`` the contract; ``rows`` values as rows and back; ``packed`` many rows of SQLite;
``known_recordings`` which call a recording is; ``scores`` outside scores; ``reviewed`` scores by the verdicts
in force; ``said`` what was said; ``verdict_codes`` verdicts as bytes; ``agent_weeks`` and
``item_weeks`` sums of agents and weeks; ``runs`` progress;
``database`` address, connections, errors;
``migrations``; ``lock``; ``store`` the class.
"""

from pipeline.store.database import STORE_NAME, shown_address
from pipeline.store.item_weeks import ItemWeek
from pipeline.store.known_recordings import Basis, Known
from pipeline.store.lock import Holder
from pipeline.store.migrations import SQL
from pipeline.store.rows import ARROW, Identity, frame_of, schema_of, slug_of, to_batch, to_frame
from pipeline.store.runs import Run, State
from pipeline.store.store import Once, Store
from pipeline.store.tables import DETAILS, TABLES, Column, columns_of

__all__ = [
    "ARROW",
    "DETAILS",
    "SQL",
    "STORE_NAME",
    "TABLES",
    "Basis",
    "Column",
    "Holder",
    "Identity",
    "ItemWeek",
    "Known",
    "Once",
    "Run",
    "State",
    "Store",
    "columns_of",
    "frame_of",
    "schema_of",
    "shown_address",
    "slug_of",
    "to_batch",
    "to_frame",
]
