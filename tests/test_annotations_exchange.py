import csv
import json
from pathlib import Path

import pytest
from conftest import communique

from model.errors import InputError
from model.records import Record, Stance, read_records, write_records
from training.annotations.exchange import FORMATS, export_records, import_records
from training.dataset import load_annotations

TEXT = "Oslo may back the plan, and Bergen will not: “it’s a sell-out”, said Bergen 🙂 | plan, again."
RECORDS = [
    Record(
        text=TEXT,
        # Not in column order, a span that stands twice, two stances with the same holder.
        stances=(
            Stance(label="hedge", cue="may", holder="Oslo"),
            Stance(label="support", cue="back the plan", holder="Oslo", target="plan"),
            Stance(label="denial", cue="🙂 | plan, again", target="Bergen"),
            Stance(label="threat"),
        ),
        id="r1",
        group="g1",
        difficult=True,
        genre="wire",
        topic='a "topic"; with, commas',
        region="Norway",
        decade="1990s",
        origin="converted",
        annotator="writer-3",
        note="two\nlines, and a | bar\r\nor three",
    ),
    Record(text="It rained.", stances=(), near_miss="plain-negative"),
    Record(text="=SUM(A1) is no sentence", stances=(Stance(label="threat", cue="=SUM(A1)"),)),
    Record(text="'a' \\ \"b\"\t\u2028c", stances=(), id="007", note="none"),
]

WARN = "Minsk may close the border, the ministry said."


@pytest.mark.parametrize("name", FORMATS)
def test_records_survive_the_way_there_and_back(name: str, tmp_path: Path) -> None:
    export_records(name, RECORDS, tmp_path / "out")
    found = import_records(name, tmp_path / "out")
    assert found.records == RECORDS
    assert (found.left_out, found.problems) == ([], [])


@pytest.mark.parametrize("name", FORMATS)
def test_the_whole_dataset_survives_by_the_commands(name: str, dataset: Path, tmp_path: Path) -> None:
    done = communique("annotations", "export", name, "--out", tmp_path / "out", "--annotations", dataset)
    assert done.returncode == 0, done.stderr
    done = communique("annotations", "import", name, tmp_path / "out", "--out", tmp_path / "back.jsonl")
    assert (done.returncode, done.stdout) == (0, "")
    assert read_records(tmp_path / "back.jsonl") == load_annotations(dataset).all()


def test_one_split_alone_can_be_exported(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "dev.csv"
    communique("annotations", "export", "csv", "--out", out, "--split", "dev", "--annotations", dataset)
    records = import_records("csv", out).records
    assert [record.id for record in records] == [record.id for record in read_records(dataset / "dev.jsonl")]


def studio_result(kind: str, names: list[str], start: int = 0, end: int = 0, **value: object) -> dict[str, object]:
    """One item of `annotations[].result`, as Label Studio 1.x writes it."""
    if kind == "choices":
        return {
            "value": {"choices": names},
            "id": "Kq3b1nN0xW",
            "from_name": "sentiment",
            "to_name": "text",
            "type": "choices",
            "origin": "manual",
        }
    return {
        "value": {"start": start, "end": end, "labels": names} | value,
        "id": "b7Ty_0aPQs",
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "origin": "manual",
    }


def studio_task(number: int, text: str, *annotations: dict[str, object]) -> dict[str, object]:
    """A task of Label Studio's JSON export, with the keys that nobody needs."""
    given = [
        {
            "id": 90 + at,
            "completed_by": 1,
            "was_cancelled": False,
            "ground_truth": False,
            "result_count": 2,
            "created_at": "2026-03-09T22:16:08.728353Z",
            "updated_at": "2026-03-09T22:16:08.728378Z",
            "draft_created_at": None,
            "lead_time": 4.288,
            "prediction": {},
            "task": number,
            "project": 83,
            "unique_id": "a2f8e6c4",
            "parent_prediction": None,
            "parent_annotation": None,
            "last_action": None,
            **annotation,
        }
        for at, annotation in enumerate(annotations)
    ]
    return {
        "id": number,
        "annotations": given,
        "file_upload": "3b2c-tasks.json",
        "drafts": [],
        "predictions": [],
        "data": {"text": text, "genre": "wire", "url": "https://example.org"},
        "meta": {},
        "inner_id": number,
        "created_at": "2026-03-09T21:52:49.513742Z",
        "updated_at": "2026-03-09T22:16:08.738138Z",
        "project": 83,
        "total_annotations": len(given),
        "cancelled_annotations": 0,
        "comment_count": 0,
        "updated_by": 1,
    }


def test_a_label_studio_export_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "project-83.json"
    spans = [studio_result("labels", ["cue"], 6, 9, text="may"), studio_result("labels", ["Holder"], 0, 5)]
    emoji = "🙂🙂 Minsk may close the border."
    tasks = [
        studio_task(1, WARN, {"result": [studio_result("choices", ["Hedge"]), *spans]}),
        studio_task(2, "Labels alone.", {"result": [studio_result("choices", ["threat", "hedge"])]}),
        studio_task(3, "Nothing chosen.", {"result": []}),
        studio_task(4, "Nobody came."),
        studio_task(5, "Skipped.", {"result": [], "was_cancelled": True}),
        studio_task(6, "Two.", {"result": [studio_result("choices", ["threat"])]}, {"result": []}),
        studio_task(
            *(7, "Truth.", {"result": []}, {"result": [studio_result("choices", ["denial"])], "ground_truth": True})
        ),
        # Offsets in UTF-16 units, as old versions wrote them.
        studio_task(
            *(8, emoji),
            {
                "result": [
                    studio_result("choices", ["hedge"]),
                    studio_result("labels", ["cue:hedge"], 11, 14, text="may"),
                ]
            },
        ),
    ]
    path.write_text(json.dumps(tasks), encoding="utf-8")
    found = import_records("label-studio", path)
    assert found.problems == []
    assert found.records == [
        Record(text=WARN, stances=(Stance(label="hedge", cue="may", holder="Minsk"),), genre="wire"),
        Record(text="Labels alone.", stances=(Stance(label="threat"), Stance(label="hedge")), genre="wire"),
        Record(text="Nothing chosen.", stances=(), genre="wire"),
        Record(text="Truth.", stances=(Stance(label="denial"),), genre="wire"),
        Record(text=emoji, stances=(Stance(label="hedge", cue="may"),), genre="wire"),
    ]
    assert found.left_out == [
        f"{path}:4: skipped: not annotated",
        f"{path}:5: skipped: skipped by the annotator",
        f"{path}:6: skipped: 2 annotations that differ: mark one as ground truth",
    ]


def test_a_prodigy_dataset_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "stances.jsonl"
    common = {"_input_hash": -1530009927, "_task_hash": -340967702, "_view_id": "blocks", "_timestamp": 1711111111}
    options = [{"id": 0, "text": "x"}]
    span = {"start": 6, "end": 9, "token_start": 1, "token_end": 1, "label": "cue"}
    tasks = [
        {
            "text": WARN,
            "options": options,
            "accept": ["hedge"],
            "spans": [span],
            "answer": "accept",
            "meta": {"score": 1},
        },
        {"text": "Labels alone.", "accept": ["threat", "hedge"], "answer": "accept", "meta": {"genre": "wire"}},
        {"text": "None.", "accept": [], "answer": "accept", "config": {"choice_style": "multiple"}},
        {"text": "No.", "accept": ["threat"], "answer": "reject"},
        {"text": "Hm.", "accept": [], "answer": "ignore"},
        {"text": "One label.", "label": "threat", "answer": "accept", "score": 0.06, "spans": []},
        {"text": WARN[:-1], "spans": [span | {"label": "hedge"}], "answer": "accept"},
    ]
    path.write_text("".join(json.dumps(task | common) + "\n" for task in tasks))
    found = import_records("prodigy", path)
    assert found.problems == []
    assert found.records == [
        Record(text=WARN, stances=(Stance(label="hedge", cue="may"),)),
        Record(text="Labels alone.", stances=(Stance(label="threat"), Stance(label="hedge")), genre="wire"),
        Record(text="None.", stances=()),
        Record(text=WARN[:-1], stances=(Stance(label="hedge", cue="may"),)),
    ]
    assert [line.removeprefix(f"{path}:") for line in found.left_out] == [
        "4: skipped: answered with reject",
        "5: skipped: answered with ignore",
        "6: skipped: no `accept`: a question about one label says nothing of the others",
    ]


def test_doccano_exports_of_each_kind_of_project_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "admin.jsonl"
    entity = {"id": 31, "label": "cue:hedge", "start_offset": 6, "end_offset": 9}
    tasks = [
        {"id": 1, "text": WARN, "label": ["hedge", "threat"], "Comments": ["Unsure.", "Or not."], "source": "x"},
        {"id": 2, "text": WARN, "label": [[6, 9, "cue:hedge"], [0, 5, "holder"]], "Comments": []},
        {"id": 3, "text": WARN, "entities": [entity], "relations": [], "Comments": []},
        {"id": 4, "text": WARN, "cats": ["none"], "entities": [], "Comments": []},
        {"id": 5, "text": WARN, "cats": ["hedge"], "entities": [[6, 9, "cue"]], "Comments": []},
        {"id": 6, "text": WARN, "label": [], "Comments": []},
    ]
    path.write_text("".join(json.dumps(task) + "\n" for task in tasks))
    found = import_records("doccano", path)
    cue = Stance(label="hedge", cue="may")
    assert found.problems == []
    assert found.records == [
        Record(text=WARN, stances=(Stance(label="hedge"), Stance(label="threat")), note="Unsure. Or not."),
        Record(text=WARN, stances=(Stance(label="hedge", cue="may", holder="Minsk"),)),
        Record(text=WARN, stances=(cue,)),
        Record(text=WARN, stances=()),
        Record(text=WARN, stances=(cue,)),
    ]
    assert found.left_out == [f"{path}:6: skipped: no label; a sentence without a stance needs the label `none`"]


def test_a_spreadsheet_of_texts_and_labels_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    path.write_bytes(
        '\ufefflabels,text,hedge_cue\r\nthreat | hedge,"May, or else.",May\r\nnone,Calm.,\r\n,Later.,\r\n'.encode()
    )
    found = import_records("csv", path)
    assert found.problems == []
    assert [(record.labels, record.text) for record in found.records] == [
        (("threat", "hedge"), "May, or else."),
        ((), "Calm."),
    ]
    assert found.records[0].stances[1].cue == "May"
    assert found.left_out == [f"{path}:4: skipped: no label; a sentence without a stance needs the label `none`"]


def test_what_export_writes_has_the_offsets_that_the_tools_show(tmp_path: Path) -> None:
    record = RECORDS[0]
    export_records("label-studio", [record], tmp_path / "ls.json")
    [task] = json.loads((tmp_path / "ls.json").read_text())
    [choices, *marked] = task["annotations"][0]["result"]
    assert choices["value"] == {"choices": ["hedge", "support", "denial", "threat"]}
    assert all(TEXT[m["value"]["start"] : m["value"]["end"]] == m["value"]["text"] for m in marked)
    assert task["meta"]["near_miss" if record.near_miss else "genre"] == "wire"
    export_records("prodigy", [record], tmp_path / "p.jsonl")
    row = json.loads((tmp_path / "p.jsonl").read_text())
    assert [TEXT[span["start"] : span["end"]] for span in row["spans"]][:2] == ["may", "Oslo"]
    export_records("csv", [record], tmp_path / "r.csv")
    with (tmp_path / "r.csv").open(newline="") as stream:
        [cells] = csv.DictReader(stream)
    assert (cells["labels"], cells["support_target"]) == ("hedge|support|denial|threat", "plan")


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"text": WARN, "accept": ["anger"], "answer": "accept"}, "labels: expected some of .*'anger'"),
        ({"text": WARN, "accept": ["none", "hedge"], "answer": "accept"}, "labels: `none` beside hedge"),
        ({"text": WARN, "accept": ["hedge"], "answer": "maybe"}, "answer: expected accept"),
        ({"text": "", "accept": ["hedge"], "answer": "accept"}, "text: "),
        ({"text": WARN, "accept": "hedge", "answer": "accept"}, "accept: expected a list"),
        ({"accept": ["hedge"], "answer": "accept"}, "text: expected the sentence"),
        ({"spans": [{"start": 6, "end": 99, "label": "cue"}]}, "spans: expected offsets from 0 to 46, found 6 to 99"),
        ({"spans": [{"start": 6, "end": 9, "label": "verb"}]}, "spans: expected a name such as cue:threat.*'verb'"),
        ({"spans": [{"start": 6, "end": 9, "label": "cue:threat"}]}, "the label threat is not given"),
        (
            {"accept": ["hedge", "threat"], "spans": [{"start": 6, "end": 9, "label": "cue"}]},
            "'cue' does not say which of hedge, threat it belongs to; name it cue:hedge",
        ),
        ({"text": WARN, "accept": [], "answer": "accept", "meta": {"genre": "poem"}}, "genre: .*'wire'"),
    ],
)
def test_a_task_that_cannot_be_read_is_named_and_nothing_is_written(
    task: dict[str, object], message: str, tmp_path: Path
) -> None:
    path, out = tmp_path / "p.jsonl", tmp_path / "records.jsonl"
    if "spans" in task:
        task = {"text": WARN, "accept": ["hedge"], "answer": "accept"} | task
    path.write_text(json.dumps({"text": "Fine.", "accept": [], "answer": "accept"}) + "\n" + json.dumps(task) + "\n")
    [problem] = import_records("prodigy", path).problems
    assert problem.line == 2
    with pytest.raises(InputError, match=message):
        raise problem
    if "poem" in message or "genre" in message:
        done = communique("annotations", "import", "prodigy", path, "--out", out)
        assert done.returncode == 2
        assert done.stdout == f"{problem}\n"
        assert "nothing written: 1 problem\n" in done.stderr
        assert not out.exists()


def test_a_second_cue_is_left_out_aloud_and_a_found_stance_ends_a_near_miss(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    spans = [{"start": 6, "end": 9, "label": "cue"}, {"start": 10, "end": 15, "label": "cue"}]
    task = {"text": WARN, "accept": ["hedge"], "spans": spans, "answer": "accept", "meta": {"near_miss": "drill"}}
    path.write_text(json.dumps(task) + "\n")
    found = import_records("prodigy", path)
    assert found.records == [Record(text=WARN, stances=(Stance(label="hedge", cue="may"),))]
    assert found.left_out == [f"{path}:1: left out: a second cue of hedge, 'close'"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("label-studio", "{}", "expected a JSON array of tasks, found dict"),
        ("label-studio", "[", "not JSON"),
        ("label-studio", "[1]", "f:1: task: expected an object, found int"),
        ("prodigy", "[]", "f:1: line: expected a JSON object, found list"),
        ("doccano", "{", "f:1: line: not JSON"),
        ("csv", "text,label\n", "f:1: header: no column 'labels'"),
        ("csv", "text,labels,mood\n", "unknown column 'mood'"),
        ("csv", "text,labels\na\n", "f:2: row: expected 2 cells"),
    ],
)
def test_a_file_of_another_kind_is_one_clear_error(name: str, content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        import_records(name, path)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        import_records(name, tmp_path / "missing")


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("label-studio", [{"data": {"text": WARN}, "annotations": [{"result": ["hedge"]}]}]),
        ("label-studio", [{"data": {"text": WARN}, "annotations": [{"result": [{"type": "choices", "value": 1}]}]}]),
        ("label-studio", [{"data": {"text": WARN}, "annotations": 5}]),
        ("prodigy", {"text": WARN, "answer": "accept", "accept": [1]}),
        ("prodigy", {"text": WARN, "answer": "accept", "accept": [], "spans": "no"}),
        ("doccano", {"text": WARN, "label": "hedge"}),
        ("doccano", {"text": WARN, "label": [["hedge"]]}),
        ("doccano", {"text": WARN, "cats": {"hedge": 1}}),
        ("doccano", {"text": WARN, "cats": ["hedge"], "entities": [[None, 2, "cue"]]}),
    ],
)
def test_a_task_of_an_unknown_shape_is_a_problem_and_no_crash(name: str, task: object, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text(json.dumps(task) + "\n")
    found = import_records(name, path)
    assert len(found.problems) == 1
    assert found.records == []


def test_a_json_min_export_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "min.json"
    path.write_text(json.dumps([{"text": WARN, "id": 1, "sentiment": "hedge", "annotator": 1}]))
    [problem] = import_records("label-studio", path).problems
    assert "not as JSON-MIN" in str(problem)


SUGGESTED = Record(
    text=WARN,
    stances=(Stance(label="hedge", cue="may"),),
    id="c1",
    origin="archive",
    annotator="model:0.1.0",
    confidence=0.12,
)


def test_suggestions_are_predictions_in_label_studio_and_only_what_a_person_submits_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "tasks.json"
    export_records("label-studio", [SUGGESTED, RECORDS[0]], path)
    suggested, finished = json.loads(path.read_text())
    assert ("annotations" in suggested, "predictions" in finished) == (False, False)
    [prediction] = suggested["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("0.1.0", 0.12)
    assert [item["value"] for item in prediction["result"]] == [
        {"choices": ["hedge"]},
        {"start": 6, "end": 9, "text": "may", "labels": ["cue:hedge"]},
    ]
    found = import_records("label-studio", path)
    assert (found.records, found.problems) == ([RECORDS[0]], [])
    assert found.left_out == [f"{path}:1: skipped: not annotated: predictions alone"]

    # What the tool exports when one was submitted as it stood, one changed, one skipped and one never opened.
    stored = [{"id": 7, "task": 1, "project": 83, "cluster": None, "mislabeling": 0.0, **prediction}]
    changed = [studio_result("choices", ["denial"]) | {"origin": "prediction-changed"}]
    submitted = {"result": prediction["result"], "parent_prediction": 7, "prediction": stored[0]}
    tasks = [
        studio_task(1, WARN, submitted),
        studio_task(2, WARN, {"result": changed, "parent_prediction": 7}),
        studio_task(3, WARN, {"result": prediction["result"], "was_cancelled": True}),
        studio_task(4, WARN),
    ]
    kept = {"predictions": stored, "meta": suggested["meta"]}
    path.write_text(json.dumps([task | kept for task in tasks]))
    found = import_records("label-studio", path)
    person = SUGGESTED.model_copy(update={"annotator": None, "confidence": None, "genre": "wire"})
    assert found.records == [person, person.model_copy(update={"stances": (Stance(label="denial"),)})]
    assert found.left_out == [
        f"{path}:3: skipped: skipped by the annotator",
        f"{path}:4: skipped: not annotated: predictions alone",
    ]


def test_suggestions_have_no_answer_in_prodigy_until_a_person_gives_one(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    export_records("prodigy", [SUGGESTED], path)
    task = json.loads(path.read_text())
    assert "answer" not in task
    assert (task["accept"], task["spans"]) == (["hedge"], [{"start": 6, "end": 9, "label": "cue:hedge"}])
    found = import_records("prodigy", path)
    assert (found.records, found.problems) == ([], [])
    assert found.left_out == [f"{path}:1: skipped: no `answer`: not annotated"]
    saved = {"_input_hash": 1, "_task_hash": 2, "_view_id": "blocks", "_annotator_id": "2026-11-28_ada"}
    path.write_text(json.dumps(task | saved | {"accept": ["none"], "spans": [], "answer": "accept"}) + "\n")
    expected = Record(text=WARN, stances=(), id="c1", origin="archive")
    assert import_records("prodigy", path).records == [expected]


def test_suggestions_wait_for_the_name_of_their_reader_in_a_spreadsheet(tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    export_records("csv", [SUGGESTED, SUGGESTED.model_copy(update={"text": WARN[:-1]})], path)
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["suggested_by"], row["annotator"]) for row in rows] == [("0.1.0", "")] * 2
    rows[1] |= {"annotator": "ada", "labels": "threat", "hedge_cue": ""}
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    found = import_records("csv", path)
    expected = Record(text=WARN[:-1], stances=(Stance(label="threat"),), id="c1", origin="archive", annotator="ada")
    assert (found.records, found.problems) == ([expected], [])
    assert found.left_out == [f"{path}:2: skipped: a suggestion without a name in `annotator`: nobody has read it"]


def test_a_suggestion_stays_one_in_doccano_and_add_asks_who_has_read_it(dataset: Path, tmp_path: Path) -> None:
    path, new = tmp_path / "admin.jsonl", tmp_path / "new.jsonl"
    write_records(tmp_path / "suggested.jsonl", [SUGGESTED])
    communique("annotations", "export", "doccano", "--records", tmp_path / "suggested.jsonl", "--out", path)
    task = json.loads(path.read_text())
    assert (task["cats"], task["entities"]) == (["hedge"], [[6, 9, "cue:hedge"]])
    # doccano gives back whatever keys it does not know.
    entity = {"id": 31, "label": "cue:hedge", "start_offset": 6, "end_offset": 9}
    path.write_text(json.dumps(task | {"id": 1, "entities": [entity], "Comments": []}) + "\n")
    assert communique("annotations", "import", "doccano", path, "--out", new).returncode == 0
    assert read_records(new) == [SUGGESTED.model_copy(update={"confidence": None})]
    done = communique("annotations", "add", new, "--annotations", dataset)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nobody has read" in done.stderr
    assert communique("annotations", "add", new, "--annotations", dataset, "--annotator", "ada").returncode == 0
