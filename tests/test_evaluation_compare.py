"""Two models on the same sentences, and the spread over several."""

import json
import statistics
from pathlib import Path

import pytest
from conftest import communique
from predictors import Good, Inverted, sample
from sklearn.metrics import f1_score

from evaluation.comparison import compare
from evaluation.scorer import Predicted
from evaluation.spread import spread


class Forgetful(Good):
    """Overlooks every nth threat."""

    def __init__(self, nth: int) -> None:
        self._nth = nth

    def predict(self, texts) -> Predicted:
        scores, holds = super().predict(texts)
        holds[holds[:, 0].nonzero()[0][:: self._nth], 0] = False
        return Predicted(scores, holds)


def test_a_better_model_is_called_better_and_the_other_way_round() -> None:
    over = sample()
    better = compare(over, Forgetful(3), Good(), ("old", "new"))
    assert better.verdict == "better"
    assert better.before_macro_f1 == pytest.approx(
        f1_score(over.truth, Forgetful(3).predict(over.texts).holds, average="macro")
    )
    assert better.macro_f1.value == pytest.approx(better.after_macro_f1 - better.before_macro_f1)
    missed = [change for change in better.changes if change.outcome == "mended"]
    assert len(missed) == len(better.changes) == better.labels["threat"].only_after == 16
    assert better.labels["threat"].only_before == 0
    assert better.labels["threat"].mcnemar == pytest.approx(2 * 0.5**16)
    assert better.labels["denial"].mcnemar == 1
    worse = compare(over, Good(), Forgetful(3), ("new", "old"))
    assert worse.verdict == "worse"
    assert worse.macro_f1.value == pytest.approx(-better.macro_f1.value)
    assert {change.outcome for change in worse.changes} == {"broken"}


def test_one_changed_sentence_shows_no_difference() -> None:
    found = compare(sample(), Forgetful(100), Good(), ("old", "new"))
    assert (found.verdict, len(found.changes)) == ("no difference shown", 1)
    change = found.changes[0]
    assert change.before != change.after == change.gold
    assert change.text in sample().texts


def test_the_spread_is_the_plain_mean_and_deviation() -> None:
    over = sample()
    scorers = {"a": Good(), "b": Forgetful(2), "c": Inverted(Good(), "hedge")}
    found = spread(over, scorers, [{"seed": 1, "epochs": 2}, {"seed": 2, "epochs": 2}, {"seed": 3, "epochs": 4}])
    values = [f1_score(over.truth, each.predict(over.texts).holds, average="macro") for each in scorers.values()]
    assert [row["macro-F1"] for row in found.models.values()] == pytest.approx(values)
    summary = found.summary["macro-F1"]
    assert (summary.mean, summary.deviation) == pytest.approx((statistics.mean(values), statistics.stdev(values)))
    assert (summary.least, summary.most) == (min(values), max(values))
    assert found.differences == ("epochs",)


def test_compare_on_the_command_line(tiny_model: Path, dataset: Path) -> None:
    command = ("compare", tiny_model, tiny_model, "--annotations", dataset)
    found = json.loads(communique(*command, "--json").stdout)
    assert found["verdict"] == "no difference shown"
    assert found["changes"] == []
    assert found["macro_f1"] == {"value": 0, "low": 0, "high": 0}
    text = communique(*command)
    assert text.stderr == ""
    assert text.stdout.splitlines()[0].endswith(": no difference shown")
    assert "0 of " in text.stdout.splitlines()[-1]


def test_spread_on_the_command_line(tiny_model: Path, dataset: Path, tmp_path: Path) -> None:
    import shutil

    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["training"] |= {"seed": 99, "epochs": 3}
    (other / "manifest.json").write_text(json.dumps(manifest))
    done = communique("spread", tiny_model, other, "--annotations", dataset, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "the models differ in more than the seed: epochs"
    found = json.loads(done.stdout)
    assert list(found["models"]) == [str(tiny_model), str(other)]
    assert found["summary"]["macro-F1"]["deviation"] == 0
    assert "standard deviation" in communique("spread", tiny_model, other, "--annotations", dataset).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("spread", "{model}", "{model}"), "two models or more"),
        (("spread", "{model}", "nowhere"), "nowhere: not a model folder"),
        (("compare", "{model}", "{model}", "--annotations", "nowhere"), "nowhere: no dataset there"),
        (("compare", "{model}", "{model}", "--data", "nowhere.csv"), "nowhere.csv: cannot be read"),
    ],
)
def test_mistakes_are_named(tiny_model: Path, dataset: Path, arguments: tuple[str, ...], message: str) -> None:
    words = [word.format(model=tiny_model) for word in arguments]
    if "--annotations" not in words:
        words += ["--annotations", str(dataset)]
    done = communique(*words)
    assert done.returncode in (2, 3)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
