"""Outside scores: reading sheets of many kinds, joining, agreement known by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ScoresError
from pipeline.qa_scores.reading import (
    JUDGED,
    VERDICT_WORDS,
    agreement,
    call_agreement,
    join,
    read_scores,
)
from pipeline.schema import Verdict
from pipeline.store import to_frame

SHEET = "call_id,item_id,verdict,score,reviewer\nc1,,,96,qa-01\nc1,hold_thanks,不合格,0,qa-02\n"
CALLS = pd.DataFrame(
    {"call_id": ["c1", "c2", "c3"], "path": ["/a/x/One.wav", "/b/two.wav", "/c/two.wav"]}
)


def sheet(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "scores.csv"
    path.write_bytes(text.encode(encoding))
    return path


def verdict_rows(*rows: tuple[object, ...]) -> pd.DataFrame:
    """Verdicts from (call_id, item_id, source, verdict[, reviewer])."""
    frame = to_frame("verdicts", [])
    names = ["call_id", "item_id", "source", "verdict", "reviewer"]
    data = pd.DataFrame([(*r, None)[:5] for r in rows], columns=names)
    return data.reindex(columns=frame.columns).astype(frame.dtypes.to_dict())


def test_a_sheet_is_read_in_every_format_alike(tmp_path: Path):
    expected = read_scores(sheet(tmp_path, SHEET))
    assert expected["verdict"].tolist()[1:] == ["fail"]
    assert expected["score"].tolist() == [96.0, 0.0]
    assert expected["row"].tolist() == [2, 3]
    frame = pd.read_csv(tmp_path / "scores.csv")
    frame.to_excel(tmp_path / "scores.xlsx", index=False)
    frame.to_parquet(tmp_path / "scores.parquet")
    (tmp_path / "gbk.csv").write_bytes(SHEET.encode("gb18030"))
    (tmp_path / "bom.csv").write_bytes(SHEET.encode("utf-8-sig"))
    for name in ("scores.xlsx", "scores.parquet", "gbk.csv", "bom.csv"):
        pd.testing.assert_frame_equal(read_scores(tmp_path / name), expected)


def test_chinese_headers_and_numeric_ids_are_understood(tmp_path: Path):
    frame = pd.DataFrame({"通话编号": [1001, 1002], "得分": ["88分", 92.5], "质检员": ["王", None]})
    frame.to_excel(tmp_path / "scores.xlsx", index=False)
    scores = read_scores(tmp_path / "scores.xlsx")
    assert scores["call_id"].tolist() == ["1001", "1002"]
    assert scores["score"].tolist() == [88.0, 92.5]
    assert scores["reviewer"].isna().tolist() == [False, True]


def test_leading_zeros_of_ids_are_kept(tmp_path: Path):
    assert read_scores(sheet(tmp_path, "call_id,score\n007,50\n"))["call_id"].tolist() == ["007"]


@pytest.mark.parametrize(
    ("word", "verdict"), [(w, name) for name, words in VERDICT_WORDS.items() for w in words]
)
def test_verdict_words(tmp_path: Path, word: str, verdict: str):
    text = f"call_id,item_id,verdict\nc1,a, {word.upper()} \n"
    assert read_scores(sheet(tmp_path, text))["verdict"].tolist() == [verdict]


def test_an_item_with_only_a_score_is_judged_by_its_share(tmp_path: Path):
    text = "call_id,item_id,score,max_score\nc1,a,1,\nc1,b,0,\nc1,c,3,5\nc1,d,2,5\nc1,e,,5\n"
    scores = read_scores(sheet(tmp_path, text))
    assert scores["verdict"].tolist()[:4] == ["pass", "fail", "pass", "fail"]
    assert scores["verdict"].isna().tolist() == [False] * 4 + [True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("call_id,item_id,verdct\nc1,a,pass\n", r'"verdict"'),
        ("call,points\nc1,5\n", "names no calls"),
        ("call_id,team\nc1,5\n", "gives no scores"),
        ("call_id,call_id ,score\nc1,c1,5\n", "two columns"),
        ("call_id,score\nc1,101\n", r"row 2: score is 101, allowed: 0 to 100"),
        ("call_id,score\nc1,50\nc2,-1\n", r"row 3: score is -1"),
        ("call_id,score\nc1,good\n", r"row 2: score is 'good'.*a number"),
        ("call_id,item_id,score\nc1,a,80\n", r"max_score"),
        ("call_id,item_id,verdict\nc1,a,pas\n", r'Did you mean "pass"'),
        ("call_id,verdict\nc1,pass\n", "without item_id"),
        ("call_id,score\n", "holds no scores"),
        ("", "cannot be read"),
    ],
)
def test_wrong_sheets_are_refused_with_the_place_and_what_is_allowed(
    tmp_path: Path, text: str, message: str
):
    with pytest.raises(ScoresError, match=message):
        read_scores(sheet(tmp_path, text))


def test_files_that_cannot_be_read_are_refused(tmp_path: Path):
    with pytest.raises(ScoresError, match="no file"):
        read_scores(tmp_path / "missing.csv")
    with pytest.raises(ScoresError, match=r"'.txt'.*Allowed: .csv"):
        read_scores(tmp_path / "scores.txt")
    (tmp_path / "fake.xlsx").write_bytes(b"no workbook")
    with pytest.raises(ScoresError, match="cannot be read as XLSX"):
        read_scores(tmp_path / "fake.xlsx")


def test_columns_that_are_not_used_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    read_scores(sheet(tmp_path, "call_id,score,branch_office\nc1,5,x\n"))
    assert "branch_office" in caplog.text


def test_rows_find_their_call_by_id_path_name_or_stem(tmp_path: Path):
    text = (
        "call_id,recording,score\n"
        "c1,,1\n,/a/x/One.wav,2\n,D:\\calls\\ONE.WAV,3\n,one,4\nwrong,one.wav,5\n"
        ",two.wav,6\nghost,,7\n,ghost.wav,8\n,,9\n,/b/two.wav,10\nc2,,\n"
    )
    joined = join(read_scores(sheet(tmp_path, text)), CALLS)
    found = joined.rows["call_id"].astype(object).where(joined.rows["call_id"].notna(), None)
    assert found.tolist() == [
        "c1", "c1", "c1", "c1", "c1", None, None, None, None, "c2", "c2",
    ]  # fmt: skip
    assert dict(zip(joined.unmatched["row"], joined.unmatched["problem"], strict=True)) == {
        7: "2 calls have a recording of this name",
        8: "no call has this call_id",
        9: "no call has this recording",
        10: "neither call_id nor recording",
        12: "neither a verdict nor a score",
    }
    assert joined.scores == {"c1": 3.0, "c2": 10.0}
    assert joined.verdicts == {}


def test_several_reviewers_are_all_kept(tmp_path: Path):
    text = (
        "call_id,item_id,verdict,score,max_score,reviewer,note\n"
        "c1,a,pass,1,1,qa1,\nc1,a,fail,0,1,qa2,太快\nc1,a,fail,0,1,qa2,太快\n"
        "c1,,,80,,qa1,\nc1,,,90,,qa2,\n"
    )
    joined = join(read_scores(sheet(tmp_path, text)), CALLS)
    second = Verdict("a", "outside", "fail", 0.0, 1.0, reviewer="qa2", note="太快")
    first = Verdict("a", "outside", "pass", 1.0, 1.0, reviewer="qa1")
    assert joined.verdicts == {"c1": (first, second, second)}
    assert joined.scores == {"c1": 85.0}
    assert joined.unmatched.empty


def test_agreement_of_a_call_counts_only_what_both_judged():
    verdicts = verdict_rows(
        ("c1", "a", "rubric", "pass"), ("c1", "a", "outside", "pass"),
        ("c1", "b", "rubric", "fail"), ("c1", "b", "outside", "pass"),
        ("c1", "c", "rubric", "cannot_tell"), ("c1", "c", "outside", "pass"),
        ("c1", "d", "rubric", "not_applicable"), ("c1", "d", "outside", "not_applicable"),
        ("c1", "e", "outside", "pass"), ("c1", "f", "rubric", "pass"),
        ("c2", "a", "rubric", "pass"), ("c3", "a", "rubric", "pass"),
        ("c3", "a", "outside", "pass", "qa1"), ("c3", "a", "outside", "fail", "qa2"),
    )  # fmt: skip
    assert call_agreement(verdicts) == {"c1": pytest.approx(2 / 3), "c3": 0.5}
    assert call_agreement(verdicts[:0]) == {}


def test_kappa_is_that_of_the_textbook_table():
    # 45 yes/yes, 15 yes/no, 25 no/yes, 15 no/no: agreement 0.60, kappa 0.1304
    cells = [("pass", "pass", 45), ("pass", "fail", 15), ("fail", "pass", 25), ("fail", "fail", 15)]
    rows = []
    for ours, theirs, n in cells:
        for _ in range(n):
            call = f"c{len(rows)}"
            rows += [(call, "a", "rubric", ours), (call, "a", "outside", theirs)]
    found = agreement(verdict_rows(*rows), CALLS.assign(compliance_score=1.0, outside_score=1.0))
    item = found.items.iloc[0]
    assert (item["pairs"], item["agreed"], item["agreement"]) == (100, 60, 0.6)
    assert item["kappa"] == pytest.approx(0.1304, abs=1e-4)
    assert (item["agreement_low"], item["agreement_high"]) == pytest.approx(
        (0.5020, 0.6906), abs=1e-4
    )
    assert item["kappa_low"] < 0 < item["kappa"] < item["kappa_high"]
    assert len(found.disagreements) == 40


def test_agreement_shows_both_evidences_and_what_only_one_judged():
    rubric = Verdict("a", "rubric", "fail", 0, 1, 1, "agent", 3.0, 5.0, "稍等", "请稍等", 0.8)
    rows = [
        {"call_id": "c1", **{f: getattr(rubric, f) for f in Verdict.__slots__}},
        {"call_id": "c1", "item_id": "a", "source": "outside", "verdict": "pass",
         "reviewer": "qa1", "note": "说了"},
        {"call_id": "c2", "item_id": "a", "source": "outside", "verdict": "pass"},
        {"call_id": "c1", "item_id": "b", "source": "rubric", "verdict": "pass"},
    ]  # fmt: skip
    frame = to_frame("verdicts", [])
    verdicts = pd.DataFrame(rows).reindex(columns=frame.columns).astype(frame.dtypes.to_dict())
    found = agreement(verdicts, CALLS.assign(compliance_score=np.nan, outside_score=1.0))
    only = found.disagreements.iloc[0]
    assert (only["quote_rubric"], only["start_rubric"], only["note_outside"]) == (
        "稍等",
        3.0,
        "说了",
    )
    assert (only["verdict_rubric"], only["verdict_outside"]) == ("fail", "pass")
    items = found.items.set_index("item_id")
    assert items.loc["a", ["pairs", "rubric_only", "outside_only"]].tolist() == [1, 0, 1]
    assert items.loc["b", ["pairs", "rubric_only", "outside_only"]].tolist() == [0, 1, 0]
    assert np.isnan(items.loc["b", "agreement"])
    assert found.scored_calls == 0
    assert found.mean_difference is None
    assert found.pearson is None


def test_kappa_is_undefined_when_all_say_the_same():
    rows = [(f"c{i}", "a", s, "pass") for i in range(3) for s in ("rubric", "outside")]
    item = agreement(
        verdict_rows(*rows), CALLS.assign(compliance_score=1.0, outside_score=1.0)
    ).items.iloc[0]
    assert item["agreement"] == 1.0
    assert item["agreement_low"] == pytest.approx(0.4385, abs=1e-4)
    assert np.isnan(item["kappa"])


def test_overall_scores_are_correlated_and_compared():
    ours, theirs = [60.0, 70, 80, 100, 50], [50.0, 65, 85, 90, np.nan]
    calls = pd.DataFrame({"compliance_score": ours, "outside_score": theirs})
    found = agreement(verdict_rows(), calls)
    assert found.scored_calls == 4
    assert found.pearson == pytest.approx(875 / np.sqrt(875 * 1025))
    assert found.spearman == pytest.approx(1.0)
    assert found.mean_difference == 5.0
    # differences 10, 5, -5, 10: SD 7.0711, t(3) 3.1824
    assert found.mean_difference_low == pytest.approx(5 - 3.182446 * 7.071068 / 2, abs=1e-5)
    assert found.mean_difference_high == pytest.approx(5 + 3.182446 * 7.071068 / 2, abs=1e-5)
    assert found.items.empty
    flat = agreement(verdict_rows(), calls.assign(outside_score=80.0))
    assert flat.pearson is None


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(JUDGED), st.sampled_from(JUDGED)), min_size=1, max_size=30)
)
def test_agreement_is_symmetric_and_within_its_interval(pairs: list[tuple[str, str]]):
    def items(swap: bool) -> pd.Series:
        sides = ("outside", "rubric") if swap else ("rubric", "outside")
        rows = [
            (f"c{i}", "a", side, verdict)
            for i, pair in enumerate(pairs)
            for side, verdict in zip(sides, pair, strict=True)
        ]
        calls = CALLS.assign(compliance_score=1.0, outside_score=1.0)
        return agreement(verdict_rows(*rows), calls).items.iloc[0]

    one, two = items(False), items(True)
    for name in ("agreement", "kappa", "kappa_low", "kappa_high"):
        assert one[name] == pytest.approx(two[name], nan_ok=True)
    assert 0 <= one["agreement_low"] <= one["agreement"] <= one["agreement_high"] <= 1
    assert not one["kappa"] > 1
