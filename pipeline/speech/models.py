"""The models of a run, loaded once and handed to every call.

The diarization pipeline takes many seconds to import and is loaded with the first mono call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from pipeline.errors import WeightsError
from pipeline.io import weights
from pipeline.schema import Audio
from pipeline.settings import Asr, Diarization, Settings, config_path
from pipeline.speech.asr.sherpa import SherpaDecoder, load_sherpa
from pipeline.speech.asr.vocabulary import LANGUAGES
from pipeline.speech.asr.whisper import WhisperDecoder, load_whisper, one_instruction_set
from pipeline.speech.asr.windows import Decoder
from pipeline.speech.diarization import diarizers as diarization
from pipeline.speech.diarization.diarizers import Diarizer
from pipeline.speech.diarization.voices import Embedder, TwoVoices
from pipeline.speech.language import Detector
from pipeline.speech.vad import SileroDetector, SpeechDetector
from pipeline.text import Lexicon, WordModel

LOCAL_SEGMENTATION = "segmentation-3.0"
LOCAL_EMBEDDING = "campplus-zh-en"
EMBEDDING_FILE = "campplus_cn_en_common.pt"


@dataclass
class Models:
    """What a call is heard with. Tests put their own in the same places."""

    detector: SpeechDetector
    decoder: Decoder
    lexicon: Lexicon
    known_words: WordModel | None = None
    weights: Mapping[str, str] = field(default_factory=dict)
    diarization: Diarization = field(default_factory=Diarization)
    given_diarizer: Diarizer | None = None
    language_of: Detector | None = None

    @cached_property
    def diarizer(self) -> Diarizer:
        """The diarization pipeline, loaded when first asked for."""
        return self.given_diarizer or load_diarizer(self.diarization)

    def embedder(self) -> Embedder | None:
        """What compares two voices; None where the diarizer has none of its own."""
        return self.diarizer.embed if isinstance(self.diarizer, TwoVoices) else None


def load_models(settings: Settings) -> Models:
    """Load what the settings name and check every packaged file against its SHA-256.

    Raises
    ------
    WeightsError
        If weights are missing or do not match.
    """
    asr = settings.asr
    one_blas_thread()
    known_words = word_model(asr)
    return Models(
        detector=SileroDetector(),
        decoder=_decoder(asr, known_words),
        lexicon=Lexicon.load(config_path(asr.lexicon)) if asr.lexicon else Lexicon(()),
        known_words=known_words,
        language_of=LanguageModel(asr) if asr.engine == "whisper" else None,
        weights=weights_used(settings),
        diarization=settings.diarization,
    )


def _decoder(asr: Asr, known_words: WordModel | None) -> Decoder:
    if asr.engine == "sherpa-onnx":
        recogniser = load_sherpa(
            str(_recognition_source(asr)),
            device=asr.device,
            compute_type=asr.compute_type,
            threads=asr.threads,
            language=asr.language,
            revision=asr.revision,
        )
        return SherpaDecoder(recogniser, asr.batch_size)
    if asr.reproducible:
        one_instruction_set()
    model = load_whisper(
        _recognition_source(asr),
        device=asr.device,
        compute_type=asr.compute_type,
        threads=asr.threads,
        revision=asr.revision,
        trim=trims_vocabulary(asr),
    )
    return WhisperDecoder(model, asr, known_words)


@dataclass
class LanguageModel:
    """Tells languages apart by the recogniser with all of its tokens, loaded when first asked."""

    asr: Asr

    def __call__(self, audio: Audio) -> dict[str, float]:
        """Probabilities by language of up to 30 s of speech, shape (n,), float32, 16 kHz."""
        _, _, likely = self._model.detect_language(audio)
        return dict(likely)

    @cached_property
    def _model(self) -> Any:
        return load_plain(self.asr)


def load_plain(asr: Asr) -> Any:
    """The model of the settings as faster-whisper loads it itself, with all its tokens.

    Raises
    ------
    WeightsError
        If its weights are missing or do not match.
    """
    return load_whisper(
        _recognition_source(asr),
        device=asr.device,
        compute_type=asr.compute_type,
        threads=asr.threads,
        revision=asr.revision,
    )


def one_blas_thread() -> None:
    """Keep the linear algebra of numpy and scipy in one thread, in all of the process.

    Its products are small here: a second thread would spend its time waiting for the first.
    """
    threadpool_limits(1, user_api="blas")


def trims_vocabulary(asr: Asr) -> bool:
    """Whether the model is loaded with the tokens of its language only."""
    return asr.vocabulary == "language" and asr.language in LANGUAGES


def word_model(asr: Asr) -> WordModel | None:
    """The words to compare hypotheses by; None for languages they are not of."""
    if not asr.words or asr.language not in LANGUAGES:
        return None
    return WordModel.load(config_path(asr.words), config_path(asr.pairs) if asr.pairs else None)


def load_diarizer(settings: Diarization) -> Diarizer:
    """Load what tells voices apart, as the settings name it.

    Raises
    ------
    WeightsError
        If its weights are missing.
    """
    if settings.source == "local":
        load = diarization.load_two_voices if settings.speakers == 2 else diarization.load_local
        return load(
            weights.verified(LOCAL_SEGMENTATION),
            weights.verified(LOCAL_EMBEDDING) / EMBEDDING_FILE,
            step=settings.step,
            device=settings.device,
            threads=settings.threads,
        )
    return diarization.load_pretrained(
        settings.source,
        revision=settings.revision,
        device=settings.device,
        threads=settings.threads,
    )


def weights_used(settings: Settings) -> dict[str, str]:
    """Name and identity of all weights the settings name: a SHA-256, or a hub revision."""
    used = {_name(settings.asr.source): _identity(settings.asr.source, settings.asr.revision)}
    if settings.diarization.source == "local":
        for name in (LOCAL_SEGMENTATION, LOCAL_EMBEDDING):
            used[name] = weights.find(name).digest
    else:
        source = settings.diarization.source
        used[_name(source)] = _identity(source, settings.diarization.revision)
    return used


def _recognition_source(asr: Asr) -> str | Path:
    known = weights.manifest().get(asr.source)
    if known is not None and known.kind == "package":
        return weights.verified(asr.source)
    if known is None and not Path(asr.source).is_dir() and "/" not in asr.source:
        raise WeightsError(
            f'asr.source "{asr.source}" is neither in models/manifest.yaml nor a folder '
            "nor a hub name such as owner/name.",
            f"Known: {', '.join(sorted(weights.manifest()))}.",
        )
    return asr.source


def _name(source: str) -> str:
    return Path(source).name if Path(source).is_dir() else source


def _identity(source: str, revision: str | None) -> str:
    known = weights.manifest().get(source)
    if known is not None and known.digest:
        return known.digest
    folder = Path(source)
    if folder.is_dir():
        return weights.folder_digest(folder)
    return f"revision {revision or 'newest'}"
