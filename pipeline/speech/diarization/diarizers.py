"""Who speaks when in a mono recording, by pyannote.audio.

Three ways: from local weights that need no hub (segmentation-3.0 and CAM++) two voices are told apart
over the whole call (:class:`.voices.TwoVoices`), or any number by pyannote's own pipeline;
or a pretrained pipeline on the model hub or in a local folder (``speaker-diarization-community-1``).

Conventions: audio float32 at 16 kHz, shape (n,); the result is ordered by start and may overlap.

References
----------
H. Bredin, "pyannote.audio 2.1 speaker diarization pipeline", Interspeech 2023. Segmentation model:
A. Plaquet and H. Bredin, "Powerset multi-class cross entropy loss", Interspeech 2023.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from ruamel.yaml.error import YAMLError

from pipeline.errors import WeightsError, one_line
from pipeline.io.yaml import read_yaml
from pipeline.schema import SAMPLE_RATE, Audio, Span, SpeakerSegment
from pipeline.speech.diarization.segmentation import Segmenter
from pipeline.speech.diarization.voices import TwoVoices

CLUSTERING = {"method": "centroid", "min_cluster_size": 4, "threshold": 0.70}
WEIGHTS_FILE = "pytorch_model.bin"
CONFIG_FILE = "config.yaml"  # what a pipeline is made of
OWN_CLASSES = "pyannote.audio."
BATCH = 8


class Diarizer(Protocol):
    """Anything that says who speaks when."""

    def __call__(
        self, audio: Audio, speech: Sequence[Span], speakers: int
    ) -> Sequence[SpeakerSegment]:
        """Segments of ``speakers`` voices in 16 kHz audio of shape (n,), in which ``speech`` is."""
        ...


class PyannoteDiarizer:
    """A pyannote.audio pipeline behind our own small interface."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def __call__(
        self, audio: Audio, speech: Sequence[Span], speakers: int
    ) -> tuple[SpeakerSegment, ...]:
        """Segments of exactly ``speakers`` voices (fewer when fewer are heard)."""
        import torch

        if audio.size == 0:
            return ()
        file = {
            "waveform": torch.from_numpy(audio)[None],
            "sample_rate": SAMPLE_RATE,
            "uri": "call",
        }
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "\\s*The detected number of speakers", UserWarning)
            annotation = self._pipeline(file, num_speakers=speakers).speaker_diarization
        segments = (
            SpeakerSegment(float(s.start), min(float(s.end), audio.size / SAMPLE_RATE), str(label))
            for s, _, label in annotation.itertracks(yield_label=True)
        )
        return tuple(sorted(segments, key=lambda s: (s.start, s.end, s.speaker)))


def load_two_voices(
    segmentation: Path,
    embedding: Path,
    *,
    step: float = 0.25,
    device: str = "cpu",
    threads: int = 1,
) -> TwoVoices:
    """Tell two voices apart with local weights.

    Parameters
    ----------
    segmentation : Path
        Folder with ``pytorch_model.bin`` of pyannote segmentation-3.0. The caller has verified its
        SHA-256: the file is a pickle and must not be loaded otherwise.
    embedding : Path
        CAM++ weights (a state dict).
    step : float
        Step of the segmentation window as a share of its 10 s.
    device : str
        ``cpu`` or ``cuda``.
    threads : int
        CPU threads of torch. These networks are made of many small steps: more than one thread
        costs more in waiting for each other than it brings.
    """
    _trust_descriptions()
    import torch
    from pyannote.audio import Inference, Model

    from pipeline.speech.diarization.voice_embedding import CAMPlusPlus, PieceEmbedder

    torch.set_num_threads(threads)
    model = Model.from_pretrained(segmentation / WEIGHTS_FILE)
    duration = model.specifications.duration
    place = torch.device(device)
    inference = Inference(
        model,
        duration=duration,
        step=step * duration,
        skip_aggregation=True,
        skip_conversion=True,
        batch_size=BATCH,
        device=place,
    )
    voice = CAMPlusPlus.load(embedding).to(place)
    return TwoVoices(Segmenter(inference), PieceEmbedder(voice))


def load_local(
    segmentation: Path,
    embedding: Path,
    *,
    step: float = 0.25,
    device: str = "cpu",
    threads: int = 1,
) -> PyannoteDiarizer:
    """Build pyannote's own pipeline, for any number of voices; parameters as `load_two_voices`."""
    _trust_descriptions()
    import torch
    from pyannote.audio import Model
    from pyannote.audio.core.plda import PLDA
    from pyannote.audio.pipelines import SpeakerDiarization

    from pipeline.speech.diarization.voice_embedding import CAMPlusPlus

    torch.set_num_threads(threads)
    pipeline = SpeakerDiarization(
        segmentation=Model.from_pretrained(segmentation / WEIGHTS_FILE),
        segmentation_step=step,
        embedding=CAMPlusPlus.load(embedding),
        embedding_exclude_overlap=True,
        plda=PLDA.__new__(PLDA),  # the pipeline insists on one; agglomerative clustering uses none
        clustering="AgglomerativeClustering",
        segmentation_batch_size=BATCH,
        embedding_batch_size=BATCH,
    )
    pipeline.instantiate({"segmentation": {"min_duration_off": 0.0}, "clustering": CLUSTERING})
    return PyannoteDiarizer(pipeline.to(torch.device(device)))


def load_pretrained(
    source: str,
    *,
    revision: str | None = None,
    device: str = "cpu",
    threads: int = 1,
    load: Callable[..., Any] | None = None,
) -> PyannoteDiarizer:
    """Load a pretrained pipeline by hub name or from a local folder.

    Raises
    ------
    WeightsError
        If it cannot be had: not downloaded, no network, or its conditions were not accepted.
    """
    _trust_descriptions()
    import torch

    if load is None:
        from pyannote.audio import Pipeline

        load = Pipeline.from_pretrained
    torch.set_num_threads(threads)
    try:
        local = Path(source).exists()
        if local:
            _check_config(Path(source))
        pipeline = load(source) if local else load(source, revision=revision)
    except WeightsError:
        raise
    except Exception as cause:
        raise WeightsError(
            f'The diarization pipeline "{source}" cannot be loaded: {one_line(cause)}.',
            "Accept its conditions on the hub and set HF_TOKEN, or name a local folder in "
            "diarization.source of the preset.",
        ) from cause
    if pipeline is None:
        raise WeightsError(
            f'The diarization pipeline "{source}" is not available to this account.',
            "Accept its conditions on the hub and set HF_TOKEN, or use a local folder.",
        )
    return PyannoteDiarizer(pipeline.to(torch.device(device)))


def _trust_descriptions() -> None:
    """Let weights files hold the descriptions that pyannote puts into them, and nothing else.

    A weights file is a pickle; torch refuses whatever in it is neither numbers nor one of these.
    """
    import torch
    from pyannote.audio.core.task import Problem, Resolution, Specifications

    known = [Problem, Resolution, Specifications, torch.torch_version.TorchVersion]
    torch.serialization.add_safe_globals(known)


def _check_config(source: Path) -> None:
    """Refuse a local pipeline whose ``config.yaml`` names classes that are not pyannote's.

    Raises
    ------
    WeightsError
        If it does, or it is no such file.
    """
    path = source / CONFIG_FILE if source.is_dir() else source
    if not path.exists():
        return  # the loader says what it misses
    hint = f"Name a folder with a {CONFIG_FILE} and the weights of a pyannote pipeline."
    try:
        config = read_yaml(path.read_text("utf-8")) or {}
        given = [config["pipeline"], *(config.get("preprocessors") or {}).values()]
        names = [str(one["name"]) for one in given if isinstance(one, dict)]
    except (OSError, ValueError, YAMLError, KeyError, TypeError, AttributeError) as cause:
        raise WeightsError(f"{path} is no pipeline: {one_line(cause)}.", hint) from cause
    for name in names:
        if not name.startswith(OWN_CLASSES):
            raise WeightsError(f'{path} names "{name}", which is no class of pyannote.', hint)
