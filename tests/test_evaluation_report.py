"""The report, its files, and the gates: good models pass, planted bad ones are caught."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from conftest import SENTENCES, communique
from predictors import Biased, Good, Inverted, Shuffled, Unsure, sample, subject
from test_evaluation_behaviour import write_suites

from evaluation.baselines import TfidfLogistic
from evaluation.bootstrap import group_weights
from evaluation.cases import load_cases
from evaluation.ceiling import read_twice
from evaluation.comparison import compare, compare_suites
from evaluation.examples import Example, Sample, load_sample
from evaluation.gates import Limits, failed_gates, gates, relative_gates
from evaluation.learned import Learned
from evaluation.page import write_report
from evaluation.reliability import wilson
from evaluation.report import RULES, Systems, make_report
from evaluation.schema import CaseFailure, Report, SuiteFigures
from evaluation.scorer import Predicted, predict_sample
from evaluation.slices import slice_figures, worst_slices
from model.errors import InputError
from model.labels import LABELS

NO_LEARNING = Systems(RULES, None)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory):
    return load_cases(write_suites(tmp_path_factory.mktemp("suites")))


def report_of(scorer, cases, over: Sample | None = None) -> Report:
    return make_report(over or sample(), subject(scorer), NO_LEARNING, cases)


def test_a_good_model_passes_every_gate(cases) -> None:
    report = report_of(Good(), cases)
    assert failed_gates(gates(report)) == []
    assert len(gates(report)) == 1 + 4 + 4 + 4 + 1 + 2  # macro-F1, F1s, suites, calibration errors, alarms, actors


@pytest.mark.parametrize(
    ("bad", "caught"),
    [
        (Shuffled(Good()), {"macro-F1", *(f"F1 {label}" for label in LABELS), "false alarms per 1,000"}),
        (Inverted(Good(), "denial"), {"F1 denial", "calibration error denial", "false alarms per 1,000"}),
        (Unsure(Good()), {f"calibration error {label}" for label in LABELS}),
        (Biased(Good(), "Malta"), {"actor flips states"}),
    ],
    ids=["labels shuffled", "one label inverted", "uncalibrated", "actor-biased"],
)
def test_a_planted_bad_model_is_caught(cases, bad, caught) -> None:
    failed = {gate.name: gate for gate in failed_gates(gates(report_of(bad, cases)))}
    assert set(failed) >= caught
    for gate in failed.values():
        assert gate.short > 0
        assert gate.short == pytest.approx(abs(gate.limit - gate.found))
    if isinstance(bad, Unsure | Biased):  # what is wrong with these shows nowhere else
        assert set(failed) == caught


def test_a_model_worse_than_the_present_one_is_caught_above_the_floors(cases) -> None:
    low = Limits(macro_f1=0, label_f1=0, calibration_error=1, false_alarms=1000, flip_rate=1, suite=0)

    def against(before, after):
        names = ("before", "after")
        return relative_gates(
            report_of(before, cases), report_of(after, cases), compare(sample(), before, after, names)
        )

    good, bad = Good(), Biased(Good(), "a")
    assert failed_gates(against(good, good)) == failed_gates(against(bad, good)) == []
    assert failed_gates(gates(report_of(bad, cases), low)) == []
    failed = {gate.name: gate for gate in failed_gates(against(good, bad))}
    assert {"macro-F1 against 2026-01-01-abcdef01", "F1 threat against 2026-01-01-abcdef01"} <= set(failed)
    assert not any(name.startswith("F1 denial") for name in failed)
    assert all(gate.short == pytest.approx(gate.limit - gate.found) and gate.short > 0 for gate in failed.values())


def test_a_suite_is_lost_only_where_chance_does_not_explain_it() -> None:
    """One more case failed of 40 may be chance; ten more are not, even where five others are mended."""
    names = [f"c{number}" for number in range(40)]

    def failing(ids):
        failures = [CaseFailure(id=name, reason="", texts=()) for name in ids]
        found = SuiteFigures(
            cases=40, passed=40 - len(failures), rate=wilson(40 - len(failures), 40), failures=failures
        )
        return report_of(Good(), ()).model_copy(update={"suites": {"modal": found}})

    one, many = (compare_suites(failing(names[:5]), failing(after)) for after in (names[:6], names[5:25]))
    assert one["modal"].value == pytest.approx(-1 / 40)
    assert one["modal"].high == 0
    assert many["modal"].value == pytest.approx(-15 / 40)
    assert many["modal"].high < 0


def test_reports_of_other_cases_are_not_compared(cases) -> None:
    with pytest.raises(InputError, match="other behaviour cases"):
        compare_suites(report_of(Good(), cases), report_of(Good(), ()))


def test_the_weak_slice_is_named_first() -> None:
    """Denials in headlines are missed; everything else is right."""

    class Weak(Good):
        def predict(self, texts):
            scores, holds = super().predict(texts)
            holds[[text.startswith("Headline") for text in texts], 1] = False
            return type(super().predict(texts))(scores, holds)

    examples = tuple(
        Example(f"{genre}{n}", f"{genre}: {text}", tuple(labels), f"{genre}{n}", {"genre": genre, "region": "Peru"})
        for genre in ("Headline", "Wire", "Speech")
        for n, (text, labels) in enumerate(SENTENCES[:60])
    )
    over = Sample("weak.jsonl", "0" * 64, LABELS, examples)
    found = slice_figures(over, predict_sample(Weak(), over), group_weights(over.groups, draws=200))
    worst = worst_slices(found)[0]
    assert (worst.dimension, worst.value, worst.sentences) == ("genre", "Headline", 60)
    assert worst.macro_f1 is not None and worst.gap is not None
    assert worst.macro_f1.value == pytest.approx(0.75)
    assert worst.gap.value == pytest.approx(-0.25)
    assert worst.gap.high < 0
    assert {each.dimension for each in found} == {"genre", "labels"}  # one region and one length: nothing to compare
    assert [each.macro_f1 for each in found if each.value == "none"] == [None]


def test_countries_are_pooled_by_region_and_small_slices_together() -> None:
    regions = ["Peru"] * 15 + ["Chile"] * 15 + ["Kenya"] * 12 + ["Atlantis"] * 12 + ["Poland"] * 30
    examples = tuple(
        Example(str(n), SENTENCES[n][0], tuple(SENTENCES[n][1]), str(n), {"region": region})
        for n, region in enumerate(regions)
    )
    over = Sample("r.jsonl", "0" * 64, LABELS, examples)
    found = slice_figures(over, predict_sample(Good(), over), group_weights(over.groups, draws=10))
    sizes = {each.value: each.sentences for each in found if each.dimension == "region"}
    assert sizes == {"Latin America and the Caribbean": 30, "Eastern Europe": 30, "2 others": 24}


def test_the_human_ceiling_is_the_blind_readers(dataset: Path, cases) -> None:
    over = load_sample(dataset / "train.jsonl")
    assert read_twice(dataset) == {}
    lines = []
    for number, example in enumerate(over.examples[:8]):
        blind = [] if number == 0 else list(example.labels)
        first = (
            ["threat", "denial"] if number in (1, 2) else list(example.labels)
        )  # the final labels are the blind one's
        lines.append({"id": example.id, "reader": "writer", "labels": first})
        lines.append({"id": example.id, "reader": "reader", "labels": blind})
    (dataset / "readings.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = make_report(over, subject(Good()), NO_LEARNING, cases, read_twice(dataset)).ceiling
    assert found is not None
    wrong = 1 if over.examples[0].labels else 0
    assert found.sentences == 8
    assert found.reader.exact_set_accuracy.value == pytest.approx((8 - wrong) / 8)
    assert found.between_readers.exact_set_accuracy.value == pytest.approx((6 - wrong) / 8)
    assert found.model.exact_set_accuracy.value == 1


class _Page(HTMLParser):
    """What the page refers to, and its rows of errors."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.images: list[str] = []
        self.scripts = 0
        self.errors: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.scripts += tag == "script"
        self.links += [str(given[name]) for name in ("href", "src", "action") if name in given]
        if tag == "img":
            self.images.append(str(given["alt"]))
        if "data-missed" in given:
            self.errors.append(given)


def test_the_files_hold_the_same_figures(cases, tmp_path: Path) -> None:
    over = sample()
    nasty = Example("x", '<script>alert(1)</script> & "Peru" may wait | now.', ("denial",), "x", {"genre": "<b>|s"})
    over = replace(over, examples=(*over.examples, nasty))
    report = report_of(Inverted(Good(), "threat"), cases, over)
    paths = write_report(report, over, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in paths)

    again = Report.model_validate_json((tmp_path / "out" / "report.json").read_text())
    assert again == report
    assert "alert(1)" not in (tmp_path / "out" / "report.json").read_text()

    text = (tmp_path / "out" / "report.html").read_text()
    page = _Page()
    page.feed(text)
    assert page.scripts == 1
    assert "&lt;script&gt;alert(1)" in text
    assert all(link.startswith(("data:image/svg+xml;base64,", "#")) for link in page.links)
    assert not re.search(r"url\(|@import|fetch\(", text)
    assert len(page.images) == 6 and all(page.images)
    wrong = [each for each in report.predictions if each.gold != each.predicted]
    assert len(page.errors) == len(wrong) > 100
    assert sum("threat" in str(row["data-missed"]).split() for row in page.errors) == sum(
        "threat" in each.gold and "threat" not in each.predicted for each in wrong
    )

    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    macro = report.parts["all"].systems["model"].macro_f1
    for figure in (macro, report.calibration["threat"].brier):
        assert f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]" in card
    assert report.model.digest in card and report.sample.sha256[:16] in card
    tables = [line for line in card.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} <= {3, 4, 5, 9}


def test_equal_reports_give_equal_bytes(cases, tmp_path: Path) -> None:
    report = report_of(Good(), cases)
    for name in ("a", "b"):
        write_report(report, sample(), tmp_path / name)
    for name in ("report.json", "report.html", "MODEL_CARD.md"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_command_writes_the_whole_evidence(tiny_model: Path, dataset: Path, tmp_path: Path) -> None:
    suites = write_suites(tmp_path / "suites")
    out = tmp_path / "out"
    done = communique(
        *("report", "--model", tiny_model, "--annotations", dataset, "--data", dataset / "train.jsonl"),
        *("--suites", suites, "--out", out),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:3] == [str(out / n) for n in ("report.json", "report.html", "MODEL_CARD.md")]
    assert "gates passed" in done.stdout
    assert done.stderr == ""
    report = Report.model_validate_json((out / "report.json").read_text())
    systems = report.parts["all"].systems
    assert list(systems) == ["all none", "key words", "TF-IDF + logistic", "frozen encoder + logistic", "model"]
    assert systems["frozen encoder + logistic"].macro_f1.value > systems["all none"].macro_f1.value
    assert report.baselines_trained_on == report.sample.sha256
    assert report.code.libraries.keys() >= {"openvino", "numpy"}
    rows = np.array([list(each.probabilities.values()) for each in report.predictions])
    assert rows.shape == (report.sample.sentences, 4)
    assert ((rows >= 0) & (rows <= 1)).all()


def test_learned_baselines_are_fitted_once_and_never_answer_for_others(dataset: Path, cache: Path) -> None:
    train, dev = (load_sample(dataset / f"{split}.jsonl") for split in ("train", "dev"))
    fitted: list[str] = []

    def asked(name: str, train: Sample, texts: list[str]) -> Predicted:
        def make(train: Sample, dev: Sample) -> TfidfLogistic:
            fitted.append(name)
            return TfidfLogistic(train, dev)

        return Learned(name, make, train, dev).predict(texts)

    first, again = asked("a", train, dev.texts), asked("a", train, dev.texts)
    assert fitted == ["a"]
    np.testing.assert_array_equal(first.scores, again.scores)
    np.testing.assert_array_equal(first.holds, again.holds)
    asked("b", train, dev.texts)
    asked("a", replace(train, sha256="1" * 64), dev.texts)
    asked("a", train, dev.texts[1:])
    assert fitted == ["a", "b", "a", "a"]
    for path in (cache / "communique" / "baselines").iterdir():
        path.write_text("{")
    np.testing.assert_array_equal(asked("a", train, dev.texts).scores, first.scores)
    assert fitted == ["a", "b", "a", "a", "a"]


def test_a_wrong_suite_stops_the_command_before_it_writes(tiny_model: Path, dataset: Path, tmp_path: Path) -> None:
    suites = write_suites(tmp_path / "suites")
    (suites / "bad.jsonl").write_text('{"id": "b"}\n')
    done = communique(
        *("report", "--model", tiny_model, "--annotations", dataset, "--suites", suites, "--out", tmp_path / "out")
    )
    assert done.returncode == 2
    assert f"{suites / 'bad.jsonl'}:1: kind: " in done.stderr
    assert not (tmp_path / "out").exists()
