"""Probabilities of verdicts refitted to blind reviews: better where something is to be learnt, else refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.commands import workbench
from pipeline.errors import ParameterError, SettingsError
from pipeline.rubric import Rubrics, judge, load_rubric
from pipeline.rubric.calibration import (
    FEATURES,
    MIN_REVIEWS,
    Reviewed,
    brier,
    calibrate,
    ece,
    read_calibration,
)
from pipeline.rubric.doubt import COEFFICIENTS, probability_right
from pipeline.settings import load_settings
from pipeline.store import Store
from tests.benchmarks import verdict_probability
from tests.told import told

NAMES = ("refund_silent_hold", "coupon_bare_wait")
TRUE = {**COEFFICIENTS, "omitted": -1.0, "constant": 0.2}  # people find fault with omissions


def drawn(n: int, truth: dict[str, float], seed: int = 1) -> list[Reviewed]:
    """Reviews of made-up verdicts that are right as often as ``truth`` says."""
    rng, rows = np.random.default_rng(seed), []
    for i in range(n):
        missing = rng.random() < 0.5
        basis = {
            "constant": 1.0, "finding": rng.uniform(0, 3.9), "heard": rng.uniform(1, 3),
            "omitted": float(missing), "omitted_words": float(missing) * rng.uniform(2, 5),
            "said": float(not missing), "trigger": 0.0,
        }  # fmt: skip
        right = bool(rng.random() < probability_right(basis, truth))
        rows.append(Reviewed(f"c{i // 4}", basis, right))
    return rows


def test_a_record_counts_for_fails_alone():
    found = verdict_probability.Fit(np.array([1.0] + [0.0] * 6), {"greeting": -2.0})
    given = verdict_probability.Given(
        np.array(["a", "a"]), np.array(["greeting", "greeting"]), np.array([True, True]),
        np.array([True, False]), np.array([1.0, 1.0]), np.array([[1.0] + [0.0] * 6] * 2),
    )  # fmt: skip
    fail, passed = found.probabilities(given, np.array([True, True]))
    assert fail < 0.5 < passed


def test_what_people_found_is_learnt_and_holds_for_verdicts_not_seen():
    found = calibrate(drawn(400, TRUE))
    assert found.is_better
    assert found.brier[1] < found.brier[0] - 0.01
    assert found.ece[1] < found.ece[0]
    fresh = drawn(2000, TRUE, seed=2)
    y = np.array([r.is_right for r in fresh], dtype=float)
    before, after = (
        np.array([probability_right(r.basis, c) for r in fresh])
        for c in (COEFFICIENTS, found.coefficients)
    )
    assert brier(after, y) < brier(before, y)
    assert ece(after, y) < 0.5 * ece(before, y)


def test_coefficients_and_records_are_those_of_first_sights_and_hold_on_sets_left_out():
    given = verdict_probability.read()
    found = verdict_probability.fit(given)
    used = [COEFFICIENTS[name] for name in verdict_probability.NAMES]
    assert np.round(found.weights, 3).tolist() == pytest.approx(used, abs=0.002)
    items = {item.id: item.record for item in load_rubric("hotline").items}
    for item, value in found.records.items():
        least = verdict_probability.LEAST_RECORD
        assert items[item] == pytest.approx(value if abs(value) >= least else 0.0, abs=0.01), item
    assert {i for i, value in items.items() if value} <= set(found.records)
    for name in set(given.sets.tolist()):
        own = given.sets == name
        others = verdict_probability.fit(given, ~own)
        assert ece(others.probabilities(given, own), given.right[own]) <= 0.05, name


def test_few_reviews_move_little_and_more_confidence_never_means_less():
    same = calibrate(drawn(120, {**COEFFICIENTS, "constant": -1.0}, seed=3))
    far = max(abs(same.coefficients[n] - COEFFICIENTS.get(n, 0.0)) for n in FEATURES)
    assert far < 2.5
    for seed in range(4):
        odd = {**COEFFICIENTS, "finding": -0.6, "constant": 1.5}
        assert calibrate(drawn(200, odd, seed)).coefficients["finding"] >= 0.0


@pytest.mark.parametrize(
    ("rows", "told_of"),
    [
        ([], "0 blind reviews"),
        (drawn(MIN_REVIEWS - 1, TRUE), f"{MIN_REVIEWS - 1} blind reviews"),
        ([r._replace(call_id="c1") for r in drawn(200, TRUE)], "of 1 calls"),
        ([r._replace(is_right=True) for r in drawn(200, TRUE)], "0 wrong"),
    ],
)
def test_too_few_to_learn_from_are_refused_with_their_number(rows: list[Reviewed], told_of: str):
    with pytest.raises(ParameterError, match=told_of) as refused:
        calibrate(rows)
    assert str(MIN_REVIEWS) in refused.value.hint


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory):
    """Copies of two sample calls, of which people found every third omission wrong."""
    folder = tmp_path_factory.mktemp("reviewed")
    with Store.open(folder / "callcoach.db") as store:
        n = 0
        for i in range(24):
            call = told(NAMES[i % 2])
            recording = dataclasses.replace(
                call.recording, call_id=f"c{i:02d}", path=f"/made/c{i:02d}.wav"
            )
            store.save(dataclasses.replace(call, recording=recording))
            judged = [v for v in call.verdicts if v.verdict in ("pass", "fail")]
            for v in (v for v in judged if v.source == "rubric"):
                n += v.evidence == "omitted"
                wrong = v.evidence == "omitted" and n % 3 == 0
                other = "pass" if v.verdict == "fail" else "fail"
                store.decide(
                    "reviews", "a", call_id=f"c{i:02d}", item_id=v.item_id, why="sample",
                    verdict=other if wrong else v.verdict, seen_verdict=v.verdict,
                )  # fmt: skip
    return folder


def test_the_command_writes_a_file_that_counts_in_the_identity(reviewed: Path, tmp_path: Path):
    file = tmp_path / "calibration.json"
    lines, well = workbench.calibrate(str(reviewed), load_settings(), file)
    assert well, lines
    body = json.loads(file.read_text("utf-8"))
    assert body["calls"] == 24
    assert body["cross_validated"]["brier"]["after"] < body["cross_validated"]["brier"]["before"]
    settings = load_settings(overrides={"compliance.calibration": str(file)})
    assert settings.digest() == load_settings().digest()  # nothing is heard anew
    usual, own = (Rubrics(s).load("rubrics/hotline.yaml") for s in (load_settings(), settings))
    assert own.sha256 != usual.sha256
    dialogue = told(NAMES[0]).dialogue()
    pairs = list(zip(judge(dialogue, usual), judge(dialogue, own), strict=True))
    missing = [(a.probability, b.probability) for a, b in pairs if a.evidence == "omitted"]
    assert missing
    before, after = (sum(p or 0.0 for p in side) for side in zip(*missing, strict=True))
    assert after < before  # of omissions people found every third wrong


def test_a_store_without_reviews_is_refused(tmp_path: Path):
    Store.open(tmp_path / "callcoach.db").close()
    with pytest.raises(ParameterError, match="0 blind reviews of 0 calls"):
        workbench.calibrate(str(tmp_path), load_settings(), tmp_path / "c.json")
    assert not (tmp_path / "c.json").exists()


@pytest.mark.parametrize(
    ("text", "told_of"),
    [
        ("[]", "no calibration"),
        ('{"coefficients": {"constannt": 1}}', 'unknown coefficient "constannt"'),
        ('{"coefficients": {"constant": NaN}}', "no number"),
        ('{"coefficients": {"constant": "x"}}', "no calibration"),
    ],
)
def test_what_is_no_calibration_is_refused(tmp_path: Path, text: str, told_of: str):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(SettingsError, match=told_of):
        read_calibration(tmp_path / "c.json")
