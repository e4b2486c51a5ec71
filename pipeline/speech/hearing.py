"""What is heard of a call: what each voice says, and who it is.

Conventions: times in seconds; audio float32 at 16 kHz. Voices have labels, of a channel or of a
cluster, until it is told who they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.schema import (
    AGENT,
    CallResult,
    Event,
    Party,
    Print,
    Recording,
    Seconds,
    Sound,
    Span,
    Speaker,
    Utterance,
    Waveform,
)
from pipeline.settings import Settings
from pipeline.signal.channels import Usable
from pipeline.signal.tones import Tones
from pipeline.spans import union
from pipeline.speech.asr.recognise import recognise, rejected
from pipeline.speech.asr.seams import settled
from pipeline.speech.conversation import is_conversation
from pipeline.speech.language import (
    Language,
    not_understood,
    spoken_languages,
    with_languages,
    without_misheard,
)
from pipeline.speech.legs import handovers, split_voices, taken_over
from pipeline.speech.machines import (
    MACHINE,
    Group,
    find_machines,
    machine_event,
    prints_of,
    without_machines,
)
from pipeline.speech.models import Models
from pipeline.speech.roles import Roles, Usual, find_parties
from pipeline.speech.speaker_assignment import Voices, tell_voices


@dataclass(frozen=True, slots=True)
class Heard:
    """What each voice says, in which language where that was asked.

    ``handovers`` are those by which voices of one channel were told anew.
    """

    voices: Voices
    utterances: tuple[Utterance, ...]
    handovers: Sequence[Seconds] = ()
    languages: Mapping[Speaker, Language] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class People:
    """Who is who: speech and words by role, with machines set apart.

    ``legs`` are the moments at which another agent takes over; words of machines are under
    ``machine``.
    """

    roles: Roles
    parties: tuple[Party, ...]
    speech: Mapping[Speaker, tuple[Span, ...]]
    utterances: tuple[Utterance, ...]
    machines: tuple[Group, ...]
    others: tuple[Group, ...]
    legs: Sequence[Seconds]
    warnings: tuple[str, ...]

    @property
    def foreign(self) -> list[Speaker]:
        """Who speaks another language than the one that was recognised."""
        return [p.role for p in self.parties if not p.understood]

    def machine_events(self) -> list[Event]:
        """What machines say, as events."""
        return [
            machine_event(g, self.roles.speakers[g.label], self.utterances) for g in self.machines
        ]

    def prints(self, wave: Waveform, voices: Voices) -> tuple[Print, ...]:
        """Fingerprints of what is compared with other calls."""
        return prints_of([*self.machines, *self.others], voices.channels.__getitem__, wave)


def hear(voices: Voices, settings: Settings, models: Models) -> Heard:
    """Recognise what each voice says; on one channel, tell voices anew after a transfer.

    One voice that may be two is recognised as two where its words are those of a conversation.
    """
    heard = _recognised(voices, settings, models)
    if voices.perhaps and is_conversation(heard, voices.perhaps.speech):
        voices = voices.perhaps
        heard = _recognised(voices, settings, models)
    if not voices.is_shared or not voices.audio:
        return Heard(voices, heard)
    heard, speech = settled(heard, voices.speech)
    audio = next(iter(voices.audio.values()))
    speech, heard, announced = split_voices(
        speech,
        heard,
        audio,
        lambda part, at: tell_voices(part, at, settings, models),
        models.embedder,
    )
    channel = next(iter(voices.channels.values()))
    return Heard(Voices.on_one_channel(speech, audio, channel), heard, announced)


def _recognised(voices: Voices, settings: Settings, models: Models) -> tuple[Utterance, ...]:
    return recognise(
        [(label, voices.audio[label], spans) for label, spans in voices.speech.items()],
        models.decoder,
        settings.asr,
        lexicon=models.lexicon,
        known_words=models.known_words,
        hallucinations=models.lexicon.hallucinations,
    )


def heard_before(earlier: CallResult, audio: Mapping[int, Sound]) -> Heard:
    """What was heard of a stored call, as before machines were told.

    ``audio`` are the channels in use by number.
    """
    is_mono = earlier.speaker_source == "diarization"
    label = {p.role: p.role if is_mono else str(p.channel) for p in earlier.parties if p.live}
    turns = (*earlier.turns, *earlier.aside)
    machines = [e for e in earlier.events if e.kind == "machine_speech" and "spans" in e.detail]
    speech = {
        name: tuple(
            union(
                (s for t in turns if t.speaker == role for s in t.spans),
                (
                    (a, b)
                    for e in machines
                    if e.detail["heard_with"] == role
                    for a, b in e.detail["spans"]
                ),
            )
        )
        for role, name in label.items()
    }

    def voice(one: Utterance) -> Speaker:
        whose = (e.detail["heard_with"] for e in machines if e.start - 0.2 <= one.start < e.end)
        return label[next(whose, AGENT) if one.speaker == MACHINE else one.speaker]

    heard = tuple(replace(u, speaker=voice(u)) for u in earlier.utterances)
    begun = {t.leg: t.start for t in sorted(turns, key=lambda t: -t.start) if t.leg > 1}
    first = next(iter(audio))
    voices = (
        Voices.on_one_channel(speech, audio[first], first)
        if is_mono
        else Voices.by_number(speech, audio)
    )
    return Heard(voices, heard, sorted(begun.values()))


def in_their_language(heard: Heard, language: str, models: Models) -> Heard:
    """Ask for the language of voices whose words give doubt, and take out what was misheard."""
    voices = heard.voices
    languages = spoken_languages(
        voices.speech, voices.audio, heard.utterances, language, models.language_of
    )
    kept = without_misheard(heard.utterances, languages)
    return replace(heard, utterances=kept, languages=languages)


def tell_people(
    recording: Recording,
    heard: Heard,
    usable: Usable,
    tones: Tones,
    models: Models,
    language: str,
    usual: Usual | None,
    repeated: Mapping[int, Sequence[Span]],
) -> People:
    """Set machines apart and tell who of the others is the agent, and from when on another one.

    Parameters
    ----------
    recording : Recording
    heard : Heard
    usable : Usable
    tones : Tones
    models : Models
    language : str
        The one that was recognised.
    usual : Usual, optional
        Where the agent is in other calls of its source.
    repeated : mapping of channel to spans
        What is heard identically in other calls.
    """
    voices = heard.voices
    machines, others, in_doubt = find_machines(
        voices.speech,
        heard.utterances,
        {v: tones.music[c] for v, c in voices.channels.items()},
        voices.audio,
        models.embedder,
        {v: repeated.get(c, ()) for v, c in voices.channels.items()},
        shared_audio=voices.is_shared,
    )
    spoken, told = without_machines(voices.speech, heard.utterances, machines)
    roles, parties, doubts = find_parties(
        recording, usable, voices.source, spoken, told, usual, {g.label for g in machines}
    )
    parties = with_languages(parties, heard.languages, roles.speakers)
    utterances, speech = roles.apply(told, spoken)
    of_agent = speech.get(AGENT, ())
    announced = heard.handovers
    if not voices.is_shared:
        announced = handovers(of_agent, [u for u in utterances if u.speaker == AGENT])
    label = next((v for v, role in roles.speakers.items() if role == AGENT), None)
    legs, changes = taken_over(
        of_agent,
        announced,
        None if label is None else voices.audio[label],
        models.embedder,
        is_told=recording.agent_id_2 is not None,
        shared_audio=voices.is_shared,
    )
    return People(
        roles, parties, speech, utterances, machines, others, legs,
        (
            *doubts, *in_doubt, *changes, *rejected(utterances),
            *not_understood(parties, language),
        ),
    )  # fmt: skip
