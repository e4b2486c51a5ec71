"""Whether the confidence of words is the probability that they are right.

    python -m tests.benchmarks.confidence --calls DIR                      labelled calls
    python -m tests.benchmarks.confidence --calls DIR --transcripts TABLE  recordings of one voice

Every character that was heard is right or wrong by the shortest alignment with the truth. Prints what share
is right in ten bins of confidence, and the expected calibration error: the mean distance of the two, weighted
by characters. Characters of numbers, which are compared as they are read, carry the mean of their utterance.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from pipeline.evaluation import read_transcripts
from pipeline.evaluation.texts import true_text
from pipeline.evaluation.truth import find_truths, parse_truth
from pipeline.rubric import load_rubric
from pipeline.run import run_call
from pipeline.schema import SPEAKERS, Recording, Utterance
from pipeline.settings import config_path, load_settings
from pipeline.speech.models import load_models
from pipeline.text import normalise_for_cer

BINS = 10


def judged(truth: str, heard: Sequence[Utterance]) -> list[tuple[float, bool]]:
    """Confidence of each character that was heard, and whether it is right.

    Parameters
    ----------
    truth : str
        In comparison form.
    heard : sequence of Utterance
        Of one speaker, in the order of time.
    """
    text, sure = "", []
    for one in heard:
        plain = normalise_for_cer(one.text)
        single = [normalise_for_cer(w.text) for w in one.words]
        if "".join(single) == plain:
            sure += [w.confidence for w, s in zip(one.words, single, strict=True) for _ in s]
        else:
            sure += [one.confidence] * len(plain)
        text += plain
    right = [False] * len(text)
    for code in Levenshtein.opcodes(truth, text):
        if code.tag == "equal":
            right[code.dest_start : code.dest_end] = [True] * (code.dest_end - code.dest_start)
    return list(zip(sure, right, strict=True))


def reliability(rows: Sequence[tuple[float, bool]]) -> tuple[list[tuple[float, float, int]], float]:
    """Mean confidence, share right and characters of each bin; the expected calibration error."""
    sure: NDArray[np.float64] = np.array([p for p, _ in rows])
    right = np.array([r for _, r in rows], np.float64)
    bin_of = np.minimum((sure * BINS).astype(int), BINS - 1)
    bins = [
        (float(sure[own].mean()), float(right[own].mean()), int(own.sum()))
        for k in range(BINS)
        if (own := bin_of == k).any()
    ]
    error = sum(n * abs(said - true) for said, true, n in bins) / max(len(rows), 1)
    return bins, error


def main(argv: Sequence[str] | None = None) -> None:
    """Recognise, compare and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=Path, required=True)
    parser.add_argument("--transcripts", type=Path)
    options = parser.parse_args(argv)
    one_voice = {"diarization.speakers": 1} if options.transcripts else {}
    settings = load_settings(overrides={"asr.threads": 1} | one_voice)
    models, rubric = load_models(settings), load_rubric(config_path(settings.compliance.rubric))

    def heard(path: Path) -> list[Utterance]:
        return list(run_call(Recording(str(path), path.stem), settings, models, rubric).utterances)

    rows: list[tuple[float, bool]] = []
    if options.transcripts:
        for row in read_transcripts(options.transcripts, options.calls):
            rows += judged(normalise_for_cer(row.text), heard(row.path))
    else:
        for path, data in find_truths(options.calls):
            turns, found = parse_truth(data).turns, heard(path)
            for speaker in SPEAKERS:
                own = [u for u in found if u.speaker == speaker]
                rows += judged(true_text(turns, speaker), own)
    bins, error = reliability(rows)
    print("| said | right | characters |\n|---|---|---|")
    for said, true, n in bins:
        print(f"| {said:.2f} | {true:.2f} | {n} |")
    print(f"Expected calibration error: {error:.3f} over {len(rows)} characters.")


if __name__ == "__main__":
    main()
