"""Which voice is the agent: by the metadata, by what is said, by who speaks first.

What is said counts by phrases that hardly anybody else says, and turn by turn by the words of either role.
Every clue adds to the agent's side of one voice in log-odds; the confidence is what the clues leave.
Conventions: voices are labels (channel or cluster); texts are all that a voice was heard to say.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.schema import (
    AGENT,
    CUSTOMER,
    SPEAKERS,
    CallResult,
    Party,
    Recording,
    Span,
    Speaker,
    Utterance,
)
from pipeline.settings import MIN_ROLE_CONFIDENCE
from pipeline.signal.channels import Usable
from pipeline.speech.role_words import agent_odds
from pipeline.text import sound_line

LOW_CONFIDENCE = 0.8
MAX_BY_WORDS = 0.999  # words alone never make it certain
MAX_BY_USUAL = 0.97  # nor does what is usual, of which nothing is learnt in turn
OPENING_UTTERANCES = 3
LATER = "'"  # ends the labels of voices after a transfer on one channel
DOUBT = 0.5  # a confidence by which nothing is scored

# (phrase, weight of evidence in log-odds); matched on toneless syllables, so homophones count.
AGENT_PHRASES = (
    ("为您服务", 2.5), ("有什么可以帮", 2.5), ("能帮您", 1.5), ("请问您", 0.8), ("请您", 0.7),
    ("感谢您", 1.5), ("您的来电", 1.5), ("请稍等", 1.0), ("给您添麻烦", 1.0), ("不客气", 0.7),
    ("您贵姓", 1.5), ("客服", 0.8), ("服务中心", 1.5), ("您好", 0.4), ("给您", 0.4), ("为您", 0.8),
    ("还有其他", 0.8), ("祝您", 1.2), ("您介意", 1.0), ("抱歉", 0.5), ("现在方便", 1.0),
    ("公司的规定", 1.5), ("核实一下", 0.8), ("您放心", 0.8), ("方便听电话", 1.5),
    ("您", 0.5), ("我们会", 0.8), ("工作人员", 0.8), ("核对", 0.6), ("请问", 0.3), ("这里是", 0.8),
    ("给您来电", 1.5), ("打扰", 0.8), ("回访", 0.8), ("先生", 0.3), ("女士", 0.3), ("女士您", 0.4),
)  # fmt: skip
CUSTOMER_PHRASES = (
    ("我要投诉", 2.0), ("你们", 0.7), ("我想", 0.9), ("我姓", 0.8), ("帮我", 0.9),
    ("我的", 0.3), ("怎么办", 0.8), ("没有了", 0.5), ("我买", 0.8), ("你好我", 0.8), ("我家", 0.5),
    ("为什么", 0.8), ("什么时候", 0.4), ("管不管", 0.8), ("你这", 0.4), ("你说", 0.4), ("你听", 0.4),
    ("不需要", 0.5), ("别打", 1.0), ("你谁", 0.8), ("你是谁", 0.8),
)  # fmt: skip
FIRST_SPEAKER = {"inbound": 1.0, "outbound": -0.3, None: 0.7}
MAX_PER_PHRASE = 2
MOST_OF_A_TURN = 2.0  # log-odds that the words of one turn may add, before they are weighed
TURN_WEIGHT = 0.5  # turns of a voice are alike, and hold the phrases above
SWAPPED_MARGIN = 3.0
MACHINE_BESIDE = 2.0


@dataclass(frozen=True, slots=True)
class Usual:
    """Where the agent is in other calls of the same source: ``agrees`` of ``calls`` on ``channel``."""

    channel: int
    agrees: int
    calls: int

    @property
    def odds(self) -> float:
        """Log-odds that the agent of the next call is there, by the rule of succession."""
        return math.log((self.agrees + 1) / (self.calls - self.agrees + 1))


@dataclass(frozen=True, slots=True)
class Roles:
    """Who is who. ``speakers`` maps a voice to ``agent`` or ``customer``."""

    speakers: Mapping[Speaker, Speaker]
    confidence: float
    reason: str
    warning: str | None = None

    def joined(self, later: Roles) -> Roles:
        """These and the roles of the voices after a transfer; in doubt where either is."""
        sure = min(self.confidence, later.confidence)
        return Roles(
            {**self.speakers, **later.speakers},
            sure if sure >= LOW_CONFIDENCE else min(sure, DOUBT),
            self.reason,
            self.warning or later.warning,
        )

    def apply(
        self, heard: Sequence[Utterance], speech: Mapping[Speaker, Sequence[Span]]
    ) -> tuple[tuple[Utterance, ...], dict[Speaker, tuple[Span, ...]]]:
        """Utterances and speech by role instead of by voice."""
        by_role: dict[Speaker, list[Span]] = {}
        for label, spans in speech.items():
            by_role.setdefault(self.speakers[label], []).extend(spans)
        renamed = tuple(replace(u, speaker=self.speakers.get(u.speaker, u.speaker)) for u in heard)
        return renamed, {s: tuple(sorted(spans)) for s, spans in by_role.items()}


def find_parties(
    recording: Recording,
    usable: Usable,
    source: str,
    speech: Mapping[Speaker, Sequence[Span]],
    heard: Sequence[Utterance],
    usual: Usual | None = None,
    beside_machines: Collection[Speaker] = (),
) -> tuple[Roles, tuple[Party, ...], list[str]]:
    """Say which voice is the agent, and which channel each party is heard in.

    Parameters
    ----------
    recording : Recording
        Its ``agent_channel`` decides where it names a channel in use, or the one that is dead.
    usable : Usable
    source : str
        ``channel`` or ``diarization``: what the labels of ``speech`` are.
    speech : mapping of label to spans
    heard : sequence of Utterance
    usual : Usual, optional
        Where the agent usually is in calls of this source; metadata goes before it.
    beside_machines : collection of label
        Channels in which machines speak as well; in calls that come in they are on the agent's side.

    Returns
    -------
    roles, parties, warnings
        A party that was heard, and the one whose channel is dead, if that is known.
    """
    named, labels = recording.agent_channel, list(speech)
    warnings = [] if any(speech.values()) else ["No speech was found."]
    if named is not None and usable.dead and len(labels) == 1:  # the other channel is the other's
        role = CUSTOMER if named in usable.dead else AGENT
        roles = Roles({labels[0]: role}, 1.0, "metadata")
    else:
        if named is not None and source == "channel" and str(named) not in speech:
            warnings.insert(
                0,
                f"agent_channel {named} of the metadata is no channel in use "
                f"({', '.join(labels)}); the agent is told by the words.",
            )
        by_metadata = str(named) if named is not None and source == "channel" else None
        later = [v for v in labels if v.endswith(LATER)]
        roles = assign_roles(
            heard,
            [v for v in labels if v not in later],
            agent_voice=by_metadata,
            direction=recording.direction,
            usual=usual if source == "channel" else None,
            beside_machines=beside_machines if source == "channel" else (),
        )
        if later:
            roles = roles.joined(assign_roles(heard, later))
        warnings += [roles.warning] if roles.warning and any(speech.values()) else []
    channel_of = {
        role: int(label) if source == "channel" else usable.channels[0]
        for label, role in roles.speakers.items()
    }
    parties = [Party(role, channel) for role, channel in channel_of.items()]
    if usable.dead and len(channel_of) == 1:
        missing = CUSTOMER if AGENT in channel_of else AGENT
        parties.append(Party(missing, usable.dead[0], live=False))
    return roles, tuple(parties), warnings


def assign_roles(
    utterances: Sequence[Utterance],
    voices: Sequence[Speaker],
    *,
    agent_voice: Speaker | None = None,
    direction: str | None = None,
    usual: Usual | None = None,
    beside_machines: Collection[Speaker] = (),
) -> Roles:
    """Tell agent and customer apart.

    Parameters
    ----------
    utterances : sequence of Utterance
        Whatever was recognised; rejected ones are ignored.
    voices : sequence of str
        All labels, also of voices that said nothing.
    agent_voice : str, optional
        The agent's label, when the metadata names the channel.
    direction : str, optional
        ``inbound`` or ``outbound``.
    usual : Usual, optional
        Where the agent is in other calls of the source; voices are channels.
    beside_machines : collection of str
        Voices in whose channels machines speak as well.
    """
    texts = {v: "".join(u.text for u in utterances if u.speaker == v) for v in voices}
    odds = {v: _evidence(text) for v, text in texts.items()}
    for one in utterances:
        if one.speaker in odds and len(odds) > 1:  # they compare voices
            turn = min(max(agent_odds(one.text), -MOST_OF_A_TURN), MOST_OF_A_TURN)
            odds[one.speaker] += TURN_WEIGHT * turn
    first = next((u.speaker for u in utterances if u.speaker in odds and not u.rejected), None)
    if first in odds and len(odds) > 1:  # who is alone is the first whoever it is
        odds[first] += FIRST_SPEAKER.get(direction, 0.7)
    if direction != "outbound" and len(beside_machines) == 1:  # prompts are the switch's
        (switch,) = beside_machines
        odds[switch] += MACHINE_BESIDE
    if agent_voice is not None and agent_voice in voices:
        warning = _swapped(odds, agent_voice)
        confidence = _probability(odds, agent_voice) if warning else 1.0
        return Roles(_map(voices, agent_voice), confidence, "metadata", warning)
    if not voices:
        return Roles({}, 0.0, "no speech")
    best = max(voices, key=lambda v: odds[v])
    if len(voices) == 1 and odds[best] < 0:
        return Roles({best: CUSTOMER}, round(1 / (1 + math.exp(odds[best])), 3), "words")
    confidence, reason, warning = _probability(odds, best), "words and opening", None
    if usual is not None and str(usual.channel) in voices and len(voices) > 1:
        by_words, said = confidence, best
        odds[str(usual.channel)] += usual.odds
        best = max(voices, key=lambda v: odds[v])
        confidence, reason = _probability(odds, best), "words, opening and the usual channel"
        confidence = min(confidence, max(by_words, MAX_BY_USUAL) if said == best else MAX_BY_USUAL)
        if by_words < LOW_CONFIDENCE or said != best:
            warning = (
                f"Its words do not say for certain who is the agent ({by_words:.2f} for channel "
                f"{said}). In {usual.agrees} of {usual.calls} sure calls of this source it is "
                f"channel {usual.channel}, so channel {best} is taken (confidence {confidence:.2f})."
            )
    if confidence < LOW_CONFIDENCE:
        warning = (
            f"It is not certain which voice is the agent (confidence {confidence:.2f}); "
            "give agent_channel in the metadata."
        )
    return Roles(_map(voices, best), confidence, reason, warning)


def roles_hold(earlier: CallResult, recording: Recording) -> float | None:
    """How sure the roles of a stored call are with other metadata; None where they may be others.

    They are told anew by the words that were heard then, and by what the metadata says now.
    """
    channel_of = {p.role: p.channel for p in earlier.parties if p.live}
    is_sure = earlier.role_confidence >= MIN_ROLE_CONFIDENCE and len(channel_of) == len(SPEAKERS)
    if not is_sure or any(
        "agent_channel" in w or "who is the agent" in w for w in earlier.warnings
    ):
        return None
    agent = None
    if recording.agent_channel is not None and earlier.speaker_source == "channel":
        agent = next((r for r, c in channel_of.items() if c == recording.agent_channel), None)
        if agent is None:
            return None
    roles = assign_roles(
        earlier.utterances, list(channel_of), agent_voice=agent, direction=recording.direction
    )
    holds = all(role == was for was, role in roles.speakers.items()) and not roles.warning
    return roles.confidence if holds and roles.confidence >= MIN_ROLE_CONFIDENCE else None


def _probability(odds: Mapping[Speaker, float], agent: Speaker) -> float:
    """That a voice is the agent rather than the likeliest other one, by what was said."""
    margin = odds[agent] - max((o for v, o in odds.items() if v != agent), default=0.0)
    return min(MAX_BY_WORDS, round(1 / (1 + math.exp(-margin)), 3))


def _swapped(odds: Mapping[Speaker, float], agent: Speaker) -> str | None:
    others = [v for v in odds if v != agent]
    if any(odds[v] - odds[agent] > SWAPPED_MARGIN for v in others):
        return (
            "The words suggest that the channels are swapped: the metadata names the voice that "
            "sounds like the customer as the agent. Check agent_channel."
        )
    return None


def _map(voices: Sequence[Speaker], agent: Speaker) -> dict[Speaker, Speaker]:
    return {v: AGENT if v == agent else CUSTOMER for v in voices}


def _evidence(text: str) -> float:
    sounds = sound_line(text)
    return sum(w * _count(p, sounds) for p, w in AGENT_PHRASES) - sum(
        w * _count(p, sounds) for p, w in CUSTOMER_PHRASES
    )


def _count(phrase: str, sounds: str) -> int:
    return min(MAX_PER_PHRASE, sounds.count(sound_line(phrase).rstrip()))
