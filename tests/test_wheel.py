"""The wheel works by itself: installed elsewhere, run from another folder, without the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the wheel holds, and nothing of the checkout."""
    source = tmp_path_factory.mktemp("source")
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z",
         "pipeline", "configs", "models", "*.toml", "*.md", "setup.py", "MANIFEST.in", "LICENSE", "NOTICE"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, tracked):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    wheels = tmp_path_factory.mktemp("wheels")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", wheels, source], check=True, capture_output=True)
    (wheel,) = wheels.glob("callcoach-*.whl")
    site = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(wheel).extractall(site)
    return site


def callcoach(site: Path, folder: Path, *words: str) -> str:
    """What the program of the wheel prints, run from a folder that is not the checkout."""
    run = subprocess.run(
        [sys.executable, "-m", "pipeline", *words],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(site)}, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_the_wheel_carries_configs_and_manifest(installed: Path):
    for name in ("configs/presets/embedded.yaml", "configs/rubrics/hotline.yaml",
                 "configs/lexicons/hotline.yaml", "models/manifest.yaml", "py.typed"):  # fmt: skip
        assert (installed / "pipeline" / name).is_file(), name


def test_doctor_runs_from_the_wheel(installed: Path, tmp_path: Path):
    assert f"configs in {installed}" in callcoach(installed, tmp_path, "doctor")


@pytest.mark.slow
def test_a_call_is_analysed_from_the_wheel(installed: Path, tmp_path: Path):
    recording = min((ROOT / "data" / "samples").glob("*.wav"), key=lambda p: p.stat().st_size)
    shutil.copy(recording, tmp_path / "call.wav")
    callcoach(installed, tmp_path, "analyze", "call.wav", "--out", "out")
    assert pd.read_parquet(tmp_path / "out" / "calls.parquet")["status"].tolist() == ["ok"]
