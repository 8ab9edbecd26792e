"""Baselines and models side by side: test split, other sentences, behaviour suites. Prints a Markdown table.

    git archive bc1fa47 model/released | tar x -C build        # the first release
    python benchmarks/releases.py build/model/released model/released --data real-dev.jsonl

Macro-F1 and false alarms per 1,000 stance-free sentences on each set of sentences; of the suites the share of cases
that pass, all and suite by suite, and the share of flips between actors.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from evaluation import metrics
from evaluation.behaviour import run_suites
from evaluation.cases import load_cases
from evaluation.examples import Sample, load_sample
from evaluation.report import QUICK, Systems
from evaluation.scorer import ModelScorer, Scorer, predict_sample
from model.classifier import StanceClassifier

ROOT = Path(__file__).parent.parent
ANNOTATIONS = ROOT / "data" / "annotations"


def rows(scorers: dict[str, Scorer], samples: Sequence[Sample]) -> list[list[str]]:
    """Header first, then a row for each figure, a column for each scorer."""
    table = [["", *scorers]]
    for sample in samples:
        found = [predict_sample(scorer, sample).holds for scorer in scorers.values()]
        macro = [metrics.macro_f1(sample.truth, holds) for holds in found]
        alarms = [metrics.false_alarms(sample.truth, holds) for holds in found]
        table.append([f"{sample.name}: macro-F1", *(f"{each:.3f}" for each in macro)])
        table.append([f"{sample.name}: false alarms per 1,000", *(f"{each:.0f}" for each in alarms)])
    cases = load_cases()
    results = [run_suites(cases, scorer) for scorer in scorers.values()]
    passed = [sum(each.passed for each in suites.values()) for suites, _ in results]
    table.append([f"suites: {len(cases)} cases passed", *(f"{count / len(cases):.3f}" for count in passed)])
    for name, suite in results[0][0].items():
        table.append([f"– {name} ({suite.cases})", *(f"{suites[name].rate.value:.3f}" for suites, _ in results)])
    fillings = sum(group.fillings for group in results[0][1].values())
    flips = [sum(group.flip_rate.value * group.fillings for group in groups.values()) for _, groups in results]
    table.append([f"actors: flips of {fillings}", *(f"{count / fillings:.4f}" for count in flips)])
    return table


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="model folders, or communique:VERSION")
    parser.add_argument("--data", type=Path, action="append", default=[], help="other sentences; may be repeated")
    given = parser.parse_args()
    scorers: dict[str, Scorer] = dict(Systems.prepare(ANNOTATIONS, QUICK).baselines)
    for model in given.models:
        print(f"loading {model}", file=sys.stderr)
        classifier = StanceClassifier.load(model, offline=True)
        scorers[classifier.manifest.version] = ModelScorer(classifier)
    samples = [load_sample(path) for path in (ANNOTATIONS / "test.jsonl", *given.data)]
    table = rows(scorers, samples)
    for at, row in enumerate(table):
        print(f"| {' | '.join(row)} |")
        if not at:
            print("|" + " --- |" * len(row))


if __name__ == "__main__":
    main()
