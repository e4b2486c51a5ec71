"""Speech of machines: prompts, voicemail greetings, announcements, advertisements in hold music.

What a voice says is cut into groups of speech, and each group is weighed. The words of prompts, music
close around it, being heard identically in other calls, standing before the first or after the last
words of the other party, and the voice of another machine speak for a machine; an answer to it, that
it is an answer itself, and the voice of the person on that channel speak against it. In doubt it stays
a person's, with a warning. Voices are compared (one embedding a group) only where something speaks for
a machine already, so other calls cost nothing.

Conventions: times in seconds; audio float32 at 16 kHz; spans of a voice are ordered and disjoint.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.schema import (
    SAMPLE_RATE,
    Event,
    Print,
    Seconds,
    Sound,
    Span,
    Speaker,
    Utterance,
    Waveform,
)
from pipeline.signal.prints import marks_of
from pipeline.spans import join, overlap_s, total_s, touches, union
from pipeline.speech.diarization.voices import Embedder
from pipeline.text import sound_line

MACHINE = "machine"
GROUP_GAP_S = 0.3  # a prompt and the agent after it are no nearer
ANSWER_S, ANSWER_EARLY_S = 1.5, 0.2
ANSWER_LEAST_S = 0.3
APART_S = 1.2  # what comes so long after everybody else is no part of what was said before
LEAST_S = 1.0
LONG_S = 3.0
TIGHT_S = 0.35  # advertisements are cut into the music; who comes back from a hold takes longer
COVERED = 0.6  # of a group that is repeated
VOICE_LEAST_S = 1.2
VOICE_MOST_S = 10.0
COMPARED = 8  # groups of a person, the longest, stand for its voice
SAME, ALIKE, OTHER = 0.8, 0.65, 0.5  # cosine of embeddings
SURE, UNSURE = 2.5, 1.5

KEYS = "(yi|er|san|si|wu|liu|qi|ba|jiu|ling|jing|xing|shu zi|ren yi|0|1|2|3|4|5|6|7|8|9)"
PROMPTS: tuple[tuple[str, float], ...] = (
    (f"qing an {KEYS}", 3.0),  # 请按一
    (f"{KEYS} hao jian", 2.0),
    ("(qing|gai) .{0,12}(yi )?jing hao (jian )?jie shu", 3.0),  # 以井号键结束
    ("nin bo da de (yong hu|dian hua|hao ma|shou ji)", 3.0),
    ("(di|ti shi yin|xiang sheng).{0,12} liu yan", 3.0),  # 提示音后留言
    ("(zuo xi|ke fu|ren gong|hua wu yuan).{0,9} (quan mang|zheng mang|jun mang|fan mang)", 3.0),
    ("(jin kuai|wei nin|zheng zai).{0,9} jie (tong|ru)", 1.5),  # 尽快为您接通
    ("(qing|bu yao|qing wu|bu) (yao )?gua (ji|duan)", 1.0),
    ("lai dian dui wo men", 1.5),  # 您的来电对我们非常重要
    ("tong hua (jiang|ke neng).{0,6} lu yin", 1.5),
    ("gong hao .{2,40} wei nin fu wu", 1.0),  # so do people say it
    ("(ben ci|ben ren|wo de) fu wu.{0,12} (ping jia|man yi qing|man yi du)", 1.5),
    ("huan ying (zhi dian|bo da|la dian)", 0.5),
    ("pai dui|qian mian hai you", 1.0),
)
"""Patterns over toneless syllables, and how much each speaks for a machine."""


@dataclass(frozen=True, slots=True)
class Group:
    """A stretch of one voice's speech and what speaks for and against a machine."""

    label: Speaker
    spans: tuple[Span, ...]
    signs: Mapping[str, float] = field(default_factory=dict)

    @property
    def span(self) -> Span:
        """From its first sound to its last."""
        return self.spans[0][0], self.spans[-1][1]

    @property
    def score(self) -> float:
        """What the signs come to."""
        return sum(self.signs.values())

    @property
    def would_tell(self) -> bool:
        """Whether it counts as a machine's if it is heard in other calls as well."""
        length = self.span[1] - self.span[0]
        return length >= LEAST_S and self.score + REPEATED >= SURE


REPEATED, WORDS_MOST, TIGHT, AROUND, EDGE, WORDLESS = 2.0, 3.0, 4.0, 3.0, 1.0, 1.0
ANSWERED, ANSWERED_MONO, ANSWERS, OWN_VOICE, ALIKE_VOICE = -2.0, -1.0, -2.0, -3.0, -1.0
OTHER_VOICE, OF_A_MACHINE = 1.5, 2.0


def find_machines(
    speech: Mapping[Speaker, Sequence[Span]],
    heard: Sequence[Utterance],
    music: Mapping[Speaker, Sequence[Span]],
    audio: Mapping[Speaker, Sound],
    embedder: Callable[[], Embedder | None] = lambda: None,
    repeated: Mapping[Speaker, Sequence[Span]] | None = None,
    *,
    shared_audio: bool = False,
) -> tuple[tuple[Group, ...], tuple[Group, ...], list[str]]:
    """Find the stretches of speech that no person says.

    Parameters
    ----------
    speech : mapping of label to spans
        Of every voice, or of every channel.
    heard : sequence of Utterance
        By label.
    music : mapping of label to spans
        Music in the channel of each voice.
    audio : mapping of label to Sound, shape (n,)
        What each voice is heard in, 16 kHz.
    embedder : callable
        Gives what compares voices when it is needed; without one they say nothing.
    repeated : mapping of label to spans, optional
        What is heard identically in other calls.
    shared_audio : bool
        All voices are in one channel.

    Returns
    -------
    machines, people, warnings
        Groups of machines, all other groups, and a sentence for each that is in doubt.
    """
    groups = _weighed(speech, heard, music, repeated or {}, shared_audio)
    suspects = [g for g in groups if _is_suspect(g)]
    if suspects and (embed := embedder()) is not None:
        groups = _compared(groups, suspects, audio, embed)
    machines = tuple(g for g in groups if g.score >= SURE)
    people = tuple(g for g in groups if g.score < SURE)
    warnings = [
        f"{g.span[0]:.1f}-{g.span[1]:.1f} s may be a machine ({', '.join(g.signs)}): "
        "counted as a person."
        for g in people
        if g.score >= UNSURE and {"words", "music", "no words"} & set(g.signs)
    ]
    return machines, people, warnings


def without_machines(
    speech: Mapping[Speaker, Sequence[Span]],
    heard: Sequence[Utterance],
    machines: Sequence[Group],
) -> tuple[dict[Speaker, tuple[Span, ...]], tuple[Utterance, ...]]:
    """Speech and words of people, and the words of machines under ``machine``."""
    taken = {(g.label, s) for g in machines for s in g.spans}
    people = {
        label: tuple(s for s in spans if (label, s) not in taken) for label, spans in speech.items()
    }
    if not machines:
        return people, tuple(heard)
    told: list[Utterance] = []
    for one in heard:
        spoken = [g.span for g in machines if g.label == one.speaker]
        inside = [w for w in one.words if _is_in(w.middle, spoken)]
        outside = [w for w in one.words if w not in inside]
        if not inside and not (spoken and not outside and touches((one.start, one.end), spoken)):
            told.append(one)
            continue
        for speaker, words in ((MACHINE, inside), (one.speaker, outside)):
            if words:
                told.append(one.of_words(words, speaker))
    return people, tuple(sorted(told, key=lambda u: (u.start, u.end)))


def prints_of(
    groups: Sequence[Group], channel_of: Callable[[Speaker], int], wave: Waveform
) -> tuple[Print, ...]:
    """Fingerprints of the groups that are a machine's, or would be if other calls held them too."""
    found = []
    for group in groups:
        if group.would_tell:
            (start, end), channel = group.span, channel_of(group.label)
            first, last = (round(at * wave.sample_rate) for at in (start, end))
            marks = marks_of(wave.samples[channel][first:last], wave.sample_rate)
            is_open = group.score < SURE
            found.append(Print(channel, start, end, is_open, marks.to_bytes()))
    return tuple(found)


def machine_event(group: Group, role: Speaker, heard: Sequence[Utterance]) -> Event:
    """What a machine says, as an event; ``role`` is the party that it is heard with."""
    words = "".join(
        w.text
        for u in heard
        if u.speaker == MACHINE
        for w in u.words
        if _is_in(w.middle, [group.span])
    )
    detail = {
        "heard_with": role,
        "words": words,
        "signs": sorted(n for n, weight in group.signs.items() if weight > 0),
        "spans": [[round(a, 3), round(b, 3)] for a, b in group.spans],
    }
    start, end = (round(at, 3) for at in group.span)
    return Event(
        "machine_speech", start, end, None, detail, round(1 - 0.5 ** (group.score / 1.5), 2)
    )


def _weighed(
    speech: Mapping[Speaker, Sequence[Span]],
    heard: Sequence[Utterance],
    music: Mapping[Speaker, Sequence[Span]],
    repeated: Mapping[Speaker, Sequence[Span]],
    shared_audio: bool,
) -> list[Group]:
    """All groups in order of time, with the signs that need no comparison of voices."""
    groups: list[Group] = []
    for label, spans in speech.items():
        others = union(
            s for other, own in speech.items() if other != label for s in join(own, GROUP_GAP_S)
            if s[1] - s[0] >= ANSWER_LEAST_S
        )  # fmt: skip
        begins, ends = (np.array([s[i] for s in others]) for i in (0, 1))
        first, last = (begins[0], ends[-1]) if others else (np.inf, -np.inf)
        own = _groups(label, spans)
        said_at, texts = _words(label, heard)
        for at, group in enumerate(own):
            start, end = group.span
            signs: dict[str, float] = {}
            sounds = sound_line(
                "".join(texts[slice(*np.searchsorted(said_at, [start - 0.1, end + 0.1]))])
            )
            said = sum(w for pattern, w in PROMPTS if re.search(rf"(?<= )({pattern})", sounds))
            if said:
                signs["words"] = min(said, WORDS_MOST)
            if not sounds.strip() and end - start >= LONG_S:
                signs["no words"] = WORDLESS
            before = min(
                (start - e for _, e in music.get(label, ()) if e <= start + 0.5), default=9.0
            )
            after = min((s - end for s, _ in music.get(label, ()) if s >= end - 0.5), default=9.0)
            if max(before, after) <= ANSWER_S and end - start >= LEAST_S:
                signs["music"] = TIGHT if max(before, after) <= TIGHT_S else AROUND
            covered = sum(overlap_s(r, (start, end)) for r in repeated.get(label, ()))
            if covered >= COVERED * (end - start):
                signs["repeated"] = REPEATED
            passed = int(np.searchsorted(ends, start, side="right"))  # of the other's stretches
            silent = start - (ends[passed - 1] if passed else -np.inf)
            alone = min(silent, start - own[at - 1].span[1] if at else np.inf) >= APART_S
            leads = end <= first and (
                shared_audio or (at + 1 < len(own) and own[at + 1].span[1] < first)
            )
            trails = start >= last and (alone or (at > 0 and own[at - 1].span[0] >= last))
            if others and (leads or trails):
                signs["edge"] = EDGE
            reply = int(np.searchsorted(begins, end - ANSWER_EARLY_S))
            if reply < len(others) and begins[reply] <= end + ANSWER_S:
                signs["answered"] = ANSWERED_MONO if shared_audio else ANSWERED
            if silent <= ANSWER_S and "music" not in signs:
                signs["answers"] = ANSWERS / 2 if shared_audio else ANSWERS
            groups.append(replace(group, signs=signs))
    return sorted(groups, key=lambda g: g.span)


def _groups(label: Speaker, spans: Sequence[Span]) -> list[Group]:
    """A voice's speech cut where it pauses."""
    groups: list[list[Span]] = []
    for span in spans:
        if groups and span[0] - groups[-1][-1][1] < GROUP_GAP_S:
            groups[-1].append(span)
        else:
            groups.append([span])
    return [Group(label, tuple(one)) for one in groups]


def _words(label: Speaker, heard: Sequence[Utterance]) -> tuple[NDArray[np.float64], list[str]]:
    """The middles of a voice's words, in order of time, and the words."""
    words = sorted(
        (w for u in heard if u.speaker == label for w in u.words), key=lambda w: w.middle
    )
    return np.array([w.middle for w in words]), [w.text for w in words]


def _is_suspect(group: Group) -> bool:
    """Whether something speaks for a machine that is worth a comparison of voices."""
    signs = group.signs
    if "words" in signs or "music" in signs or "repeated" in signs:
        return group.score > 0.5
    return "edge" in signs and group.span[1] - group.span[0] >= LONG_S and group.score > 0


def _compared(
    groups: Sequence[Group],
    suspects: Sequence[Group],
    audio: Mapping[Speaker, Sound],
    embed: Embedder,
) -> list[Group]:
    """The groups with what their voices say: like a person of the channel, or like a machine."""
    labels = {g.label for g in suspects}
    known = sorted(
        (g for g in groups if g.label in labels and "answered" in g.signs and g not in suspects),
        key=lambda g: g.span[0] - g.span[1],
    )[:COMPARED]
    near = [
        g
        for g in groups
        if g.label in labels and g not in suspects and g not in known and "edge" in g.signs
    ][:COMPARED]
    voices: dict[int, NDArray[np.float64]] = {}
    for group in (*suspects, *known, *near):
        voice = _voice(group, audio[group.label], embed)
        if voice is not None:
            voices[id(group)] = voice
    persons = [g for g in known if id(g) in voices]

    def likeness(group: Group, others: Sequence[Group]) -> float:
        mine = [voices[id(group)] @ voices[id(g)] for g in others if g.label == group.label]
        return float(max(mine, default=np.nan))

    weighed: dict[int, Group] = {}
    for group in (*suspects, *near):
        if id(group) not in voices:
            continue
        like = likeness(group, persons)
        signs = dict(group.signs)
        if like >= SAME:
            signs["own voice"] = OWN_VOICE
        elif like >= ALIKE and signs.get("words", 0.0) < WORDS_MOST and "music" not in signs:
            signs["alike"] = ALIKE_VOICE
        elif like < OTHER:
            signs["other voice"] = OTHER_VOICE
        weighed[id(group)] = replace(group, signs=signs)
    sure = [g for g in (*suspects, *near) if id(g) in weighed and weighed[id(g)].score >= SURE]
    for group in (*suspects, *near):
        if id(group) in weighed and group not in sure and sure:
            like = likeness(group, sure)
            if like >= SAME and not like <= likeness(group, persons):
                signs = {n: v for n, v in weighed[id(group)].signs.items() if n != "alike"}
                of_machine = {"voice of a machine": OF_A_MACHINE}
                weighed[id(group)] = replace(group, signs=signs | of_machine)
    return [weighed.get(id(g), g) for g in groups]


def _voice(group: Group, audio: Sound, embed: Embedder) -> NDArray[np.float64] | None:
    """The embedding of a group, of length 1; None where little is said."""
    if total_s(group.spans) < VOICE_LEAST_S:
        return None
    start, end = group.span
    end = min(end, start + VOICE_MOST_S)
    sound = audio[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
    row = embed(sound, [(0.0, sound.size / SAMPLE_RATE)])[0]
    length = float(np.linalg.norm(row))
    return np.asarray(row / length, np.float64) if np.isfinite(length) and length else None


def _is_in(at: Seconds, spans: Sequence[Span]) -> bool:
    return any(start - 0.1 <= at <= end + 0.1 for start, end in spans)
