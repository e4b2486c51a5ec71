"""Outside scores: reading sheets of many kinds, joining, agreement known by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ScoresError
from pipeline.qa_scores import (
    JUDGED,
    VERDICT_WORDS,
    agreement,
    call_agreement,
    join,
    newest,
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


def problems(tmp_path: Path, text: str) -> dict[int, str]:
    rows = read_scores(sheet(tmp_path, text)).rows
    return {
        r["row"]: r["problem"] for r in rows.to_dict("records") if isinstance(r["problem"], str)
    }


def test_a_sheet_is_read_in_every_format_alike(tmp_path: Path):
    expected = read_scores(sheet(tmp_path, SHEET)).rows.drop(columns="file")
    assert expected["verdict"].tolist()[1:] == ["fail"]
    assert expected["score"].tolist() == [96.0, 0.0]
    assert expected["row"].tolist() == [2, 3]
    frame = pd.read_csv(tmp_path / "scores.csv")
    frame.to_excel(tmp_path / "scores.xlsx", index=False)
    frame.to_parquet(tmp_path / "scores.parquet")
    (tmp_path / "gbk.csv").write_bytes(SHEET.encode("gb18030"))
    (tmp_path / "bom.csv").write_bytes(SHEET.encode("utf-8-sig"))
    (tmp_path / "unicode.csv").write_bytes(SHEET.replace(",", "\t").encode("utf-16"))
    (tmp_path / "semicolon.csv").write_text(SHEET.replace(",", ";"), encoding="utf-8")
    for name in ("scores.xlsx", "scores.parquet", "gbk.csv", "bom.csv", "unicode.csv",
                 "semicolon.csv"):  # fmt: skip
        found = read_scores(tmp_path / name).rows
        assert set(found["file"]) == {name}
        pd.testing.assert_frame_equal(found.drop(columns="file"), expected)


def test_chinese_headers_and_numeric_ids_are_understood(tmp_path: Path):
    frame = pd.DataFrame({"通话编号": [1001, 1002], "得分": ["88分", 92.5], "质检员": ["王", None]})
    frame.to_excel(tmp_path / "scores.xlsx", index=False)
    scores, notes = read_scores(tmp_path / "scores.xlsx")
    assert scores["call_id"].tolist() == ["1001", "1002"]
    assert scores["score"].tolist() == [88.0, 92.5]
    assert scores["reviewer"].isna().tolist() == [False, True]
    assert notes == [
        "scores.xlsx: columns understood: 通话编号 = call_id, 得分 = score, 质检员 = reviewer."
    ]


def test_leading_zeros_of_ids_are_kept(tmp_path: Path):
    rows = read_scores(sheet(tmp_path, "call_id,score\n007,50\n")).rows
    assert rows["call_id"].tolist() == ["007"]


@pytest.mark.parametrize(
    ("word", "verdict"), [(w, name) for name, words in VERDICT_WORDS.items() for w in words]
)
def test_verdict_words(tmp_path: Path, word: str, verdict: str):
    text = f"call_id,item_id,verdict\nc1,a, {word.upper()} \n"
    assert read_scores(sheet(tmp_path, text)).rows["verdict"].tolist() == [verdict]


def test_an_item_with_only_a_score_is_judged_by_its_share(tmp_path: Path):
    text = "call_id,item_id,score,max_score\nc1,a,1,\nc1,b,0,\nc1,c,3,5\nc1,d,2,5\nc1,e,,5\n"
    rows = read_scores(sheet(tmp_path, text)).rows
    assert rows["verdict"].tolist()[:4] == ["pass", "fail", "pass", "fail"]
    assert rows["verdict"].isna().tolist() == [False] * 4 + [True]


def test_marks_of_items_whose_full_marks_are_not_said_are_refused_together(tmp_path: Path):
    text = "call_id,item_id,score,max_score,verdict\nc1,a,10,,\nc2,a,1,,\nc3,a,0,,\nc4,b,0,,\n"
    found = problems(tmp_path, text + "c5,b,4,5,\nc6,b,0,,fail\nc7,b,90%,,\nc8,,90,,\n")
    assert set(found) == {2, 3, 4, 5}  # nobody knows what 1 is of, and 0 alone would be left
    assert all("row 2 gives 10" in problem and "满分" in problem for problem in found.values())


@pytest.mark.parametrize(
    ("header", "cells", "score", "top"),
    [
        ("score,max_score", "4.5,5", 4.5, 5.0),
        ("得分,满分", "110,120", 110.0, 120.0),
        ("得分（满分120）,note", "110,", 110.0, 120.0),
        ("得分(5分制),note", "4.5,", 4.5, 5.0),
        ("score,note", "4.5/5,", 4.5, 5.0),
        ("score,note", "95%,", 95.0, None),
        ("score,max_score", "95%,120", 114.0, 120.0),
        ("score,note", "95,", 95.0, None),
    ],
)
def test_full_marks_and_per_cent(
    tmp_path: Path, header: str, cells: str, score: float, top: float | None
):
    row = read_scores(sheet(tmp_path, f"call_id,{header}\nc1,{cells}\n")).rows.iloc[0]
    assert row["score"] == pytest.approx(score)
    assert (None if pd.isna(row["max_score"]) else row["max_score"]) == top


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("call_id,item_id,verdct\nc1,a,pass\n", r'"verdict"'),
        ("call,points\nc1,5\n", 'no column "call_id" or "recording"'),
        ("call_id,team\nc1,5\n", 'no column "score" or "verdict"'),
        ("call_id,call_id ,score\nc1,c1,5\n", "more than once"),
        ("call_id,score\nc1,101\n", r"row 2: score is 101, allowed: 0 to 100"),
        ("call_id,score\nc1,good\n", r"row 2: score is 'good'.*no number"),
        ("call_id,item_id,score\nc1,a,80\n", r"max_score"),
        ("call_id,item_id,verdict\nc1,a,pas\n", r'Did you mean "pass"'),
        ("call_id,verdict\nc1,pass\n", "without item_id"),
        ("call_id,score\n", "holds no scores"),
        ("", "is empty"),
    ],
)
def test_sheets_of_no_use_are_refused_with_the_place_and_what_is_allowed(
    tmp_path: Path, text: str, message: str
):
    with pytest.raises(ScoresError, match=message):
        read_scores(sheet(tmp_path, text))


def test_one_unreadable_row_costs_one_row(tmp_path: Path):
    text = "call_id,score\nc1,50\nc2,-1\nc3,good\nc1,7,8\nc2,60\n"
    scores, notes = read_scores(sheet(tmp_path, text))
    assert scores["score"][scores["problem"].isna()].tolist() == [50.0, 60.0]
    found = problems(tmp_path, text)
    assert found[3].startswith("score is -1, allowed: 0 to 100")
    assert found[4] == "score is 'good', which is no number"
    assert notes == ['scores.csv: rows longer than its header were not used: row 5 ("8").']


def test_files_that_cannot_be_read_are_refused(tmp_path: Path):
    with pytest.raises(ScoresError, match="No such file"):
        read_scores(tmp_path / "missing.csv")
    with pytest.raises(ScoresError, match=r'".ods"; allowed are .csv'):
        read_scores(tmp_path / "scores.ods")
    (tmp_path / "fake.xlsx").write_bytes(b"no workbook")
    with pytest.raises(ScoresError, match="cannot be read"):
        read_scores(tmp_path / "fake.xlsx")


def test_columns_that_are_not_used_are_said(tmp_path: Path):
    notes = read_scores(sheet(tmp_path, "call_id,score,branch_office\nc1,50,x\n")).notes
    assert notes == ["scores.csv: columns that are not used: branch_office."]


def test_rows_find_their_call_by_id_path_name_or_stem(tmp_path: Path):
    text = (
        "call_id,recording,score\n"
        "c1,,1\n,/a/x/One.wav,2\n,D:\\calls\\ONE.WAV,3\n,one,4\nwrong,one.wav,5\n"
        ",two.wav,6\nghost,,7\n,ghost.wav,8\n,,9\n,/b/two.wav,10\nc2,,\n,\\\\srv\\rec\\one.V3,11\n"
        ",tow,12\n"
    )
    joined = join(read_scores(sheet(tmp_path, text)).rows, CALLS)
    found = joined.rows["call_id"].astype(object).where(joined.rows["call_id"].notna(), None)
    assert found.tolist() == [
        "c1", "c1", "c1", "c1", "c1", None, None, None, None, "c2", "c2", "c1", None,
    ]  # fmt: skip
    assert dict(zip(joined.unmatched["row"], joined.unmatched["problem"], strict=True)) == {
        7: "2 calls have a recording of this name",
        8: "no call has this call_id",
        9: "no call has this recording",
        10: "neither call_id nor recording",
        12: "neither a verdict nor a score",
        14: "no call has this recording; the nearest is two.wav",
    }


def test_items_are_known_by_their_names_and_unknown_ones_are_noted(tmp_path: Path):
    items = {"opening_greeting": "开场问候", "closing_thanks": "结束致谢"}
    text = (
        "call_id,item_id,verdict\nc1,开场问候,√\nc1,Closing_Thanks,×\nc1,开场白,合格\n"
        "c2,开场白,合格\n"
    )
    joined = join(read_scores(sheet(tmp_path, text)).rows, CALLS, items)
    assert joined.rows["item_id"].tolist() == [
        "opening_greeting", "closing_thanks", "开场白", "开场白",
    ]  # fmt: skip
    assert joined.rows["verdict"].tolist() == ["pass", "fail", "pass", "pass"]
    assert joined.notes == [
        'The item "开场白" is none of the rubric; the nearest is opening_greeting (开场问候).'
    ]


def judgements(*rows: tuple[str | None, str | None, int]) -> list[int]:
    """Scores that count of (reviewer, time, score), all of one call."""
    names = ("reviewer", "scored_at", "score")
    given = [
        {"call_id": "c1", "item_id": None, **dict(zip(names, row, strict=True))} for row in rows
    ]
    return [row["score"] for row in newest(given)]


def test_of_one_reviewer_the_newest_counts_and_a_second_opinion_stands_beside():
    first, again = ("qa1", "2026-03-13", 60), ("qa1", "2026-03-15", 90)
    assert judgements(first, again) == judgements(again, first) == [90]
    assert judgements(first, ("qa2", "2026-03-14", 70), again) == [70, 90]
    assert judgements(("qa1", None, 40), ("qa1", None, 90)) == [90]  # by what was read later
    assert judgements(first, ("qa1", None, 80)) == [80]
    assert judgements((None, None, 1), (None, None, 2)) == [2]


def test_a_score_without_a_reviewer_is_no_second_opinion():
    one, two = ("qa1", "2026-03-13", 60), ("qa2", "2026-03-15", 70)
    assert judgements(("qa1", None, 90), (None, None, 95)) == [95]
    assert judgements((None, None, 90), ("qa1", None, 95)) == [95]
    assert judgements(one, two, (None, "2026-03-16", 95)) == [95]
    assert judgements(one, two, (None, "2026-03-14", 95)) == [70]


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


def items_of(*rows: tuple[str, ...]) -> pd.DataFrame:
    calls = CALLS.assign(compliance_score=1.0, outside_score=1.0)
    return agreement(verdict_rows(*rows), calls).items.set_index("item_id")


def test_ac1_holds_where_nearly_all_pass():
    # 118 both pass, 5 and 2 by one only, none both fail: Gwet 2008, table of high prevalence
    cells = [("pass", "pass", 118), ("pass", "fail", 5), ("fail", "pass", 2)]
    rows, n = [], 0
    for ours, theirs, times in cells:
        for _ in range(times):
            n += 1
            rows += [(f"c{n}", "a", "rubric", ours), (f"c{n}", "a", "outside", theirs)]
    item = items_of(*rows).loc["a"]
    assert item["agreement"] == pytest.approx(0.944)
    assert item["kappa"] == pytest.approx(-0.0234, abs=1e-3)
    assert item["ac1"] == pytest.approx(0.9408, abs=1e-3)
    assert item["ac1_low"] < 0.9408 < item["ac1_high"] <= 1
    assert -1 <= item["kappa_low"] < item["kappa"]
    assert item["says"] == "agree in 80% and more"


def test_a_call_that_several_judged_counts_once_and_people_are_compared_too():
    rows = []
    for n in range(12):
        rows += [(f"c{n}", "a", "rubric", "pass")]
        for reviewer in ("qa1", "qa2", "qa3"):
            verdict = "fail" if n < 2 and reviewer == "qa1" else "pass"
            rows += [(f"c{n}", "a", "outside", verdict, reviewer)]
    item = items_of(*rows).loc["a"]
    assert (item["calls"], item["pairs"], item["agreed"]) == (12, 36, 34)
    assert item["agreement"] == pytest.approx(34 / 36)
    once = items_of(
        *((f"c{n}", "a", s, "pass") for n in range(12) for s in ("rubric", "outside"))
    ).loc["a"]
    assert item["agreement_high"] - item["agreement_low"] >= 1 - once["agreement_low"]
    assert item["people_pairs"] == 36
    assert item["people_agreement"] == pytest.approx(1 - 4 / 36)


def test_what_could_not_be_told_is_counted():
    items = items_of(
        ("c1", "a", "rubric", "cannot_tell"), ("c1", "a", "outside", "pass"),
        ("c2", "a", "rubric", "pass"), ("c2", "a", "outside", "cannot_tell"),
        ("c3", "a", "rubric", "pass"), ("c3", "a", "outside", "pass"),
        ("c4", "a", "rubric", "cannot_tell"), ("c4", "a", "outside", "cannot_tell"),
    )  # fmt: skip
    item = items.loc["a"]
    assert (item["rubric_cannot_tell"], item["outside_cannot_tell"]) == (1, 1)
    assert (item["rubric_only"], item["outside_only"], item["pairs"]) == (1, 1, 1)
    assert item["says"] == "too few calls (1 of 10)"


def test_correlations_have_intervals_from_four_calls_on():
    rng = np.random.default_rng(3)
    ours = rng.normal(70, 10, 50)
    calls = pd.DataFrame({"compliance_score": ours, "outside_score": ours + rng.normal(0, 8, 50)})
    found = agreement(verdict_rows(), calls)
    z, half = np.arctanh(found.pearson), 1.959964 / np.sqrt(47)
    assert found.pearson_interval == pytest.approx((np.tanh(z - half), np.tanh(z + half)), abs=1e-6)
    low, high = found.spearman_interval
    assert low < found.spearman < high <= 1
    assert agreement(verdict_rows(), calls[:3]).pearson_interval is None


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
    for name in ("agreement", "kappa", "kappa_low", "kappa_high", "ac1", "ac1_low", "ac1_high"):
        assert one[name] == pytest.approx(two[name], nan_ok=True)
    for name in ("kappa", "ac1"):
        if not np.isnan(one[name]):
            assert -1 <= one[f"{name}_low"] <= one[name] <= one[f"{name}_high"] <= 1
    assert 0 <= one["agreement_low"] <= one["agreement"] <= one["agreement_high"] <= 1
    assert not one["kappa"] > 1


def test_scores_with_a_decimal_comma_and_dates_with_the_year_last(tmp_path: Path):
    path = tmp_path / "scores.csv"
    path.write_text(
        "录音文件;得分;满分;质检员;评分时间\na.wav;4,5;5;甲;26/11/2026\na.wav;3;5;甲;03/12/2026\n"
        "b.wav;95,5;;甲;\n",
        encoding="utf-8",
    )
    scores = read_scores(path)
    assert scores.rows["score"].tolist() == [4.5, 3.0, 95.5]
    assert scores.rows["scored_at"].tolist()[:2] == ["2026-11-26", "2026-12-03"]
    assert not any("cannot be read" in note for note in scores.notes)
    counts = newest(scores.rows.iloc[[1, 0]].rename(columns={"recording": "x"}).to_dict("records"))
    assert [row["score"] for row in counts] == [3.0]  # the later one, whatever was read last


def test_times_of_scores_that_cannot_be_read_are_said_and_rank_nothing(tmp_path: Path):
    path = tmp_path / "scores.csv"
    path.write_text(
        "call_id,score,reviewer,scored_at\nC1,90,甲,03/11/2026\nC1,60,甲,01/12/2026\n", "utf-8"
    )
    scores = read_scores(path)
    assert 'cannot be read (give them as 2026-03-12 10:05): "03/11/2026" and 1 more' in " ".join(
        scores.notes
    )
    assert [row["score"] for row in newest(scores.rows.to_dict("records"))] == [60.0]


def test_two_values_of_one_judgement_in_a_table_are_said_with_both_rows(tmp_path: Path):
    text = "call_id,score,reviewer,scored_at\nc1,70,甲,\nc1,40,甲,\nc1,50,乙,\nc2,9,,\nc2,9,,\n"
    notes = read_scores(sheet(tmp_path, text)).notes
    assert len(notes) == 1
    assert "row 2 and row 3 (c1: 70 and 40)" in notes[0]
    assert "scored_at" in notes[0]


@pytest.mark.parametrize(
    ("values", "most", "used"),
    [
        (("4.5", "4", "0"), "over 4.5", [0.0]),
        (("0.95", "1"), "over 1", []),
        (("4.5", "90"), "", [4.5, 90.0]),
        (("4%", "3%"), "", [4.0, 3.0]),
        (("4.5/5", "3/5"), "", [4.5, 3.0]),
        (("0", "0"), "", [0.0, 0.0]),
    ],
)
def test_scores_that_are_small_all_over_are_kept_and_not_used(
    tmp_path: Path, values: tuple[str, ...], most: str, used: list[float]
):
    text = "".join(f"c{i},{value}\n" for i, value in enumerate(values))
    rows, notes = read_scores(sheet(tmp_path, "call_id,score\n" + text))
    assert rows["score"][rows["problem"].isna()].tolist() == used
    assert len(rows) == len(values)
    assert any(f"no score of a call is {most}" in n and "满分" in n for n in notes) == bool(most)


def test_totals_among_the_items_are_the_scores_of_their_calls(tmp_path: Path):
    text = "call_id,item_id,score,max_score\nc1,a,10,10\nc1,总分,95,100\nc2,合计,80,\n"
    text += "c3,,70,\nc3,总分,60,\n"
    rows, notes = read_scores(sheet(tmp_path, text))
    totals = rows[rows["item_id"].isna() & rows["problem"].isna()]
    assert dict(zip(totals["call_id"], totals["score"], strict=True)) == {
        "c1": 95,
        "c2": 80,
        "c3": 70,
    }
    assert totals["verdict"].isna().all()
    assert "the scores of their calls: row 3 (总分), row 4 (合计)" in notes[0]
    assert problems(tmp_path, text) == {
        6: "a total beside the score that the call has in this table"
    }
