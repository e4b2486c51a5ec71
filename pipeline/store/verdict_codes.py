"""The verdicts of the rubric on a call as one byte an item, so that those of many calls are read at once.

Conventions
-----------
``judged`` has a row a call: which items, in the order of its rubric (``judged_items``), and a byte for each:
the place of the verdict in ``CODES``, plus ``DOUBTFUL`` where a pass or fail is less sure than ``SURE``. It
is written with the verdicts and says nothing that they do not say.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from pipeline.store.database import insert_once

CODES = ("", "pass", "fail", "cannot_tell", "not_applicable")
DOUBTFUL = 8  # added to the code
SURE = 0.7  # confidence


def write(
    connection: Connection, tables: Mapping[str, sa.Table], call_id: str, verdicts: Iterable[Any]
) -> None:
    """Write the row of a call; ``verdicts`` (item, verdict, confidence) are the rubric's, in their order."""
    judged, items = tables["judged"], tables["judged_items"]
    rows = list(verdicts)
    ids = json.dumps([item for item, _, _ in rows], ensure_ascii=False)
    digest = hashlib.sha256(ids.encode()).hexdigest()
    codes = bytes(
        CODES.index(verdict)
        + DOUBTFUL * (verdict in ("pass", "fail") and confidence is not None and confidence < SURE)
        for _, verdict, confidence in rows
    )
    connection.execute(judged.delete().where(judged.c.call_id == call_id))
    if not rows:
        return
    if connection.scalar(sa.select(items.c.hash).where(items.c.hash == digest)) is None:
        insert_once(connection, items, {"hash": digest, "ids": ids})
    connection.execute(judged.insert(), [{"call_id": call_id, "item_list": digest, "codes": codes}])
