"""Many calls: exports take time in proportion, and memory that does not grow with them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from pipeline.export import export
from pipeline.export.table_files import AGENT_ROWS
from pipeline.store import Store
from tests.benchmarks.scale import BLOCK, ROWS_A_CALL, fill, measure, table

FEW, MANY = 4 * BLOCK, 12 * BLOCK  # the fewer calls are one batch already
assert FEW >= AGENT_ROWS
STEPS = {name: {"tables": (name,), "workbook": False} for name in ("agents", "turns", "calls")}
# Most memory that three times the calls may take more, MB. Measured: 15, 0, 23; keeping all batches
# of the calls or turns as well adds 30 and more.
MORE_MB = {"agents": 50, "turns": 20, "calls": 45}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("scale")
    paths = {calls: folder / f"{calls}.db" for calls in (FEW, MANY)}
    for calls, path in paths.items():
        fill(path, calls, agents=40)
    return paths


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_memory_stays_and_time_is_in_proportion(stores: dict[int, Path], step: str):
    few, many = (measure(path, STEPS[step]) for path in stores.values())
    assert many.peak_mb - few.peak_mb < MORE_MB[step], table({"few": few, "many": many})
    assert many.cpu_s < 2 * (MANY / FEW) * few.cpu_s, table({"few": few, "many": many})


@pytest.mark.slow
def test_what_is_exported_is_all_there(stores: dict[int, Path], tmp_path: Path):
    with Store.open(stores[FEW], create=False) as store:
        export(store, tmp_path, formats=["parquet"], workbook=False)
        talk = ["agent_talk_s", "customer_talk_s"]
        calls = store.frame("calls", columns=["agent_id", "status", "compliance_score", *talk])
    is_alone = calls["customer_talk_s"].notna() & calls["agent_talk_s"].isna()
    counted = calls[(calls["status"] != "failed") & ~is_alone]
    scores = counted.groupby("agent_id")["compliance_score"].mean()
    rows = {name: pq.read_metadata(tmp_path / f"{name}.parquet").num_rows for name in ROWS_A_CALL}
    assert rows == {name: each * FEW for name, each in ROWS_A_CALL.items()}
    agents = pd.read_parquet(tmp_path / "agents.parquet").set_index("agent_id")
    assert agents["compliance_score_mean"].to_dict() == pytest.approx(scores.to_dict())
