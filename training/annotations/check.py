"""Everything that must hold of the dataset, and every place where it does not."""

import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from model.errors import InputError, RecordError
from model.records import read_texts
from training.annotations.language import other_language
from training.annotations.near import Sentence, near_duplicates
from training.dataset import Placed, group_of, scan_annotations
from training.splits import SPLITS


def read_benchmark(path: Path) -> list[Sentence]:
    """The sentences of a benchmark: a JSONL file of objects with `text`; other fields are left alone.

    Raises:
        InputError, RecordError: the file cannot be read, or a line has no text.
    """
    sentences = [Sentence(text, str(path), f"{path}:{number}") for number, text, _ in read_texts(path)]
    if not sentences:
        raise InputError(f"{path}: no sentences")
    return sentences


def content_problems(
    records: Sequence[Placed], benchmarks: Sequence[Sentence] = (), known: Sequence[Placed] = ()
) -> list[RecordError]:
    """Near duplicates, leaks and sentences that are not English among `records`, in their order.

    Args:
        records: what is checked.
        benchmarks: sentences that must not come near any record.
        known: records that are not checked themselves, but that none of `records` may come near.
    """
    problems: list[RecordError] = []
    placed_sentences = (
        Sentence(placed.record.text, placed.split, str(placed), group_of(placed.record))
        for placed in (*known, *records)
    )
    sentences = [*benchmarks, *placed_sentences]
    start = len(benchmarks) + len(known)
    # Benchmarks have no group and records always do.
    for pair in near_duplicates(sentences, start):
        placed, other = records[pair.later - start], sentences[pair.earlier]
        same = "the same words as" if pair.similarity == 1 else f"near duplicate ({pair.similarity:.2f}) of"
        if other.group is None:
            where = f"the benchmark sentence {other.where}: leak into a benchmark"
        elif other.part != placed.split:
            where = f"{other.where}: leak from {other.part} to {placed.split}"
        else:
            where = f"{other.where}, which is of another group"
        problems.append(RecordError(placed.path, placed.line, "text", f"{same} {where}"))
    for placed in tqdm(records, desc="language", unit=" records", disable=not sys.stderr.isatty(), leave=False):
        language = other_language(placed.record.text)
        if language is not None:
            problems.append(RecordError(placed.path, placed.line, "text", f"not English: looks like {language!r}"))
    order = {str(placed): position for position, placed in enumerate(records)}
    return sorted(problems, key=lambda problem: order[f"{problem.file}:{problem.line}"])


def check_annotations(folder: Path, benchmarks: Sequence[Path] = ()) -> list[RecordError]:
    """All problems of a dataset, by file and line; an empty list for a dataset that is fit for use.

    Of a line that breaks the record format the first reason is given.

    Raises:
        InputError: a split is missing or empty; a benchmark cannot be read.
    """
    barred = [sentence for path in benchmarks for sentence in read_benchmark(path)]
    placed, problems = scan_annotations(folder)
    order = {str(folder / f"{split}.jsonl"): position for position, split in enumerate(SPLITS)}
    for path in order.keys() - {str(each.path) for each in placed} - {problem.file for problem in problems}:
        raise InputError(f"{path}: no records")
    problems += content_problems(placed, barred)
    return sorted(problems, key=lambda problem: (order[problem.file], problem.line))
