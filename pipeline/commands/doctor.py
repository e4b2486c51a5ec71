"""What is installed, which weights are here, and what would fail, one line each."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator

from pipeline import __version__
from pipeline.io import weights
from pipeline.settings import Settings, config_folder
from pipeline.speech.models import LOCAL_EMBEDDING, LOCAL_SEGMENTATION

PACKAGES = (
    "faster-whisper", "ctranslate2", "pyannote-audio", "torch", "torchaudio", "av", "numpy",
    "pandas", "SQLAlchemy", "pyarrow",
)  # fmt: skip


def examine(settings: Settings) -> Iterator[tuple[bool, str]]:
    """Yield (well, line) for every check."""
    yield True, f"callcoach {__version__}, Python {platform.python_version()}, {platform.machine()}"
    yield True, f"{os.cpu_count()} CPU threads; recognition uses {settings.asr.threads or 'all'}"
    for package in PACKAGES:
        try:
            yield True, f"{package} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            yield False, f"{package} is not installed: pip install -e ."
    yield (config_folder() / "presets").is_dir(), f"configs in {config_folder()}"
    yield from _weights(settings)
    yield from _decoder()


def _weights(settings: Settings) -> Iterator[tuple[bool, str]]:
    known = weights.manifest()
    names = [settings.asr.source]
    local = settings.diarization.source == "local"
    names += [LOCAL_SEGMENTATION, LOCAL_EMBEDDING] if local else [settings.diarization.source]
    for name in [*names, settings.intents.embedder]:
        row = known.get(name)
        if row is None or row.kind == "hub":
            yield True, f"{name}: from the model hub or a local folder, loaded on first use"
            continue
        problems = list(weights.check(row))
        if problems:
            yield False, f"{problems[0]} {row.remedy}"
        else:
            yield True, f"{name}: verified ({row.description}; {row.licence})"


def _decoder() -> Iterator[tuple[bool, str]]:
    import av

    wanted = {"pcm_alaw": "A-law", "gsm_ms": "GSM 6.10", "amrnb": "AMR-NB", "opus": "Opus",
              "mp3": "MP3", "aac": "AAC", "flac": "FLAC"}  # fmt: skip
    missing = [label for codec, label in wanted.items() if codec not in av.codecs_available]
    if missing:
        yield False, f"this build of PyAV cannot decode {', '.join(missing)}"
    else:
        yield True, f"audio: WAV, {', '.join(wanted.values())} can be decoded"
