"""Behaviour cases: their formats, what passes and what fails, and swapped actors."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from predictors import Biased, Good

from evaluation.behaviour import run_suites
from evaluation.cases import SUITES, Actors, load_cases
from evaluation.scorer import Predicted
from model.errors import CommuniqueError

ACTORS = {"states": ["Kenya", "Peru", "Malta", "Chile"], "genders": [["He", "his"], ["She", "her"]]}

CASES = [
    {"id": "m1", "suite": "words", "kind": "must-pass", "text": "Peru denied it.", "labels": ["denial"]},
    {"id": "m2", "suite": "words", "kind": "must-pass", "text": "It rained.", "labels": []},
    {"id": "m3", "suite": "words", "kind": "must-pass", "text": "Peru may punish us.", "has": ["threat"]},
    {"id": "m4", "suite": "words", "kind": "must-pass", "text": "Peru backs it.", "lacks": ["threat", "denial"]},
    {"id": "i1", "suite": "same", "kind": "invariance", "texts": ["Peru backs it.", "It is Peru that backs it."]},
    {"id": "i2", "suite": "same", "kind": "invariance", "texts": ["Peru denied it.", "PERU denied it.", "Peru denied"]},
    {"id": "i3", "suite": "same", "kind": "invariance", "texts": ["It rained.", "Rain fell."]},
    {
        "id": "d1",
        "suite": "edit",
        "kind": "direction",
        "text": "Peru waits.",
        "variant": "Peru may wait.",
        "label": "hedge",
        "change": "up",
    },
    {
        "id": "d2",
        "suite": "edit",
        "kind": "direction",
        "text": "Peru may wait.",
        "variant": "Peru waits.",
        "label": "hedge",
        "change": "down",
    },
    {
        "id": "d3",
        "suite": "edit",
        "kind": "direction",
        "text": "Peru may wait.",
        "variant": "Peru may leave.",
        "label": "hedge",
        "change": "up",
    },
    {"id": "a1", "suite": "actor-swap", "kind": "actors", "text": "{actor} will punish {actor2}.", "group": "states"},
    {"id": "a2", "suite": "actor-swap", "kind": "actors", "text": "{actor} backs the treaty.", "group": "states"},
    {"id": "a3", "suite": "actor-swap", "kind": "actors", "text": "{actor} denied {actor2} role.", "group": "genders"},
]


def write_suites(folder: Path) -> Path:
    """A folder with one suite file and its actors."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "suite.jsonl").write_text("".join(json.dumps(case) + "\n" for case in CASES), encoding="utf-8")
    (folder / "actors.json").write_text(json.dumps(ACTORS), encoding="utf-8")
    return folder


class Fixed:
    """Answers from a table; every other text is stance-free."""

    def __init__(self, hedge: dict[str, float]) -> None:
        self._hedge = hedge

    def predict(self, texts) -> Predicted:
        scores = np.zeros((len(texts), 4))
        scores[:, 3] = [self._hedge.get(text, 0.0) for text in texts]
        return Predicted(scores, scores >= 0.5)


def test_a_good_predictor_passes_everything(tmp_path: Path) -> None:
    suites, actors = run_suites(load_cases(write_suites(tmp_path)), Good())
    assert {name: (suite.passed, suite.cases) for name, suite in suites.items()} == {
        "words": (4, 4),
        "same": (3, 3),
        "edit": (3, 3),
        "actor-swap": (3, 3),
    }
    assert {name: (found.cases, found.fillings) for name, found in actors.items()} == {
        "states": (2, 8),
        "genders": (1, 2),
    }
    assert all(found.flip_rate.value == 0 and found.probability_change.value == 0 for found in actors.values())


def test_fillings_take_the_next_actor_or_the_second_form(tmp_path: Path) -> None:
    filled = {case.id: case.texts for case in load_cases(write_suites(tmp_path)) if isinstance(case, Actors)}
    assert filled["a1"] == (
        *("Kenya will punish Peru.", "Peru will punish Malta."),
        *("Malta will punish Chile.", "Chile will punish Kenya."),
    )
    assert filled["a3"] == ("He denied his role.", "She denied her role.")


def test_failures_say_what_was_expected_and_found(tmp_path: Path) -> None:
    suites, _ = run_suites(load_cases(write_suites(tmp_path)), Fixed({"Peru denied it.": 0.9, "Peru waits.": 0.5}))
    reasons = {each.id: each.reason for suite in suites.values() for each in suite.failures}
    assert reasons["m1"] == "expected denial, found hedge"
    assert reasons["m3"] == "expected threat, found none"
    assert reasons["i2"] == "none, but hedge in 1 of 3 texts"
    assert reasons["d1"] == "expected hedge to go up, found 0.50 → 0.00"
    assert set(reasons) == {"m1", "m3", "i2", "d1", "d2", "d3"}
    assert suites["words"].rate.value == 0.5
    assert suites["words"].rate.low < 0.5 < suites["words"].rate.high


@pytest.mark.parametrize(
    ("before", "after", "passed"), [(0.2, 0.26, True), (0.2, 0.24, False), (0.99, 0.96, True), (0.94, 0.951, True)]
)
def test_a_direction_needs_a_real_move_unless_saturated(tmp_path: Path, before, after, passed) -> None:
    scorer = Fixed({"Peru waits.": before, "Peru may wait.": after})
    suites, _ = run_suites([case for case in load_cases(write_suites(tmp_path)) if case.id == "d1"], scorer)
    assert suites["edit"].passed == passed


def test_a_biased_predictor_flips_by_hand(tmp_path: Path) -> None:
    """One of the four states is always a threat: one filling of a2 flips, none of a1 (all are threats already)."""
    cases = [case for case in load_cases(write_suites(tmp_path)) if case.id in ("a1", "a2")]
    suites, actors = run_suites(cases, Biased(Good(), "Malta"))
    assert suites["actor-swap"].passed == 1
    assert suites["actor-swap"].failures[0].texts == ("Kenya backs the treaty.", "Malta backs the treaty.")
    assert actors["states"].flip_rate.value == pytest.approx(1 / 8)
    # a2: threat is 0.02, 0.02, 0.9, 0.02, mean 0.24. a1 (Malta in two): 0.98, 0.9, 0.9, 0.98, mean 0.94.
    moved = (0.22 * 3 + 0.66) / 4 + 0.04 * 4 / 4
    assert actors["states"].probability_change.value == pytest.approx(moved / 4 / 2)
    strongest = actors["states"].strongest[0]
    assert (strongest.actor, strongest.label) == ("Malta", "threat")
    assert strongest.change == pytest.approx((0.66 - 0.04) / 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "must"}, "kind: Input tag 'must' found"),
        ({"labels": ["anger"]}, r"labels\.0: Input should be 'threat'"),
        ({"has": ["threat"]}, "labels: expected either labels, or has and lacks"),
        ({"extra": 1}, "extra: Extra inputs"),
        ({"text": None}, "text: Input should be a valid string"),
        ({"kind": "invariance"}, "texts: Field required"),
        ({"kind": "actors", "text": "{actor} waits.", "group": "gods", "labels": None}, "labels: Extra inputs"),
    ],
)
def test_a_wrong_case_is_named_by_file_and_line(tmp_path: Path, change, message) -> None:
    write_suites(tmp_path)
    with (tmp_path / "suite.jsonl").open("a") as stream:
        stream.write(json.dumps({**CASES[0], "id": "new", **change}) + "\n")
    with pytest.raises(CommuniqueError, match=message) as caught:
        load_cases(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'suite.jsonl'}:{len(CASES) + 1}: ")
    assert "\n" not in str(caught.value)


def test_ids_groups_and_folders_are_checked(tmp_path: Path) -> None:
    with pytest.raises(CommuniqueError, match="no behaviour cases"):
        load_cases(tmp_path)
    folder = write_suites(tmp_path / "suites")
    (folder / "twice.jsonl").write_text(json.dumps(CASES[0]) + "\n")
    with pytest.raises(CommuniqueError, match=r"twice\.jsonl:1: id: 'm1' stands in .*suite\.jsonl:1 already"):
        load_cases(folder)
    (folder / "twice.jsonl").unlink()
    (folder / "actors.json").write_text('{"states": ["Peru", "Mali"]}')
    with pytest.raises(CommuniqueError, match=r"group: expected one of states, found 'genders'"):
        load_cases(folder)
    (folder / "actors.json").write_text('{"states": ["Peru"]}')
    with pytest.raises(CommuniqueError, match=r"actors\.json: states"):
        load_cases(folder)


def test_the_projects_own_suites_are_well_formed() -> None:
    cases = load_cases(SUITES)
    for path in SUITES.glob("*.jsonl"):
        assert len(path.read_text(encoding="utf-8").splitlines()) >= 60, path.name
    groups = Counter(case.group for case in cases if isinstance(case, Actors))
    assert all(groups[name] >= 60 for name in ("states", "parties", "religions", "genders"))
