"""The registry as a user has it: a candidate promoted, a worse one refused, forced, rolled back; pushed and pulled."""

import json
import os
import random
import shutil
from pathlib import Path

import pytest
from conftest import SENTENCES, TINY, communique, record_line

from model.artefact import RELEASED, open_artefact
from model.errors import InputError
from training.registry import remote
from training.splits import SPLITS, split_of

SUITE = [
    {"id": f"k{number}", "suite": "known", "kind": "must-pass", "text": text, "labels": labels}
    for number, (text, labels) in enumerate(SENTENCES[:48])
]


def write_even(folder: Path, labels: list[list[str]]) -> Path:
    """The tiny sentences with these labels, a quarter of each kind for dev and one for test: enough to calibrate on."""
    lines: dict[str, list[str]] = {split: [] for split in SPLITS}
    for number, ((text, _), given) in enumerate(zip(SENTENCES, labels, strict=True)):
        split = ("train", "dev", "train", "test")[(number + number // 6) % 4]
        group = next(name for name in (f"g{number}-{tried}" for tried in range(1000)) if split_of(name) == split)
        lines[split].append(record_line(number, text, given, group=group))
    folder.mkdir(parents=True)
    for split, content in lines.items():
        (folder / f"{split}.jsonl").write_text("\n".join(content) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def measuring(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that name what the candidates are measured on."""
    folder = tmp_path_factory.mktemp("measuring")
    write_even(folder / "annotations", [labels for _, labels in SENTENCES])
    (folder / "suites").mkdir()
    (folder / "suites" / "known.jsonl").write_text("".join(json.dumps(case) + "\n" for case in SUITE), encoding="utf-8")
    return ["--annotations", str(folder / "annotations"), "--suites", str(folder / "suites")]


@pytest.fixture(scope="module")
def good_model(tiny_encoder: Path, measuring: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("good") / "model"
    done = communique("train", *measuring[:2], "--out", out, "--encoder", tiny_encoder, *TINY)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def worse_model(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the good one, but its sentences have each other's labels."""
    folder = tmp_path_factory.mktemp("worse")
    labels = [labels for _, labels in SENTENCES]
    random.Random(1).shuffle(labels)
    done = communique(
        *("train", "--annotations", write_even(folder / "annotations", labels), "--out", folder / "model"),
        *("--encoder", tiny_encoder, "--epochs", "2", "--threads", "1", "--light"),
    )
    assert done.returncode == 0, done.stderr
    return folder / "model"


@pytest.fixture(scope="module")
def registry(good_model: Path, measuring: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a machine on which the good model has been promoted over the released one."""
    environment = os.environ | {"BENTOML_HOME": str(tmp_path_factory.mktemp("home"))}
    done = communique("promote", good_model, *measuring, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == open_artefact(good_model).version
    return environment


def answering(environment: dict[str, str], *options: str) -> str:
    """The version that gives an answer."""
    done = communique("classify", "--json", "Kenya denied the report.", *options, env=environment)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["model"])


def test_a_worse_candidate_is_refused_then_forced_and_rolled_back(
    registry: dict[str, str], good_model: Path, worse_model: Path, measuring: list[str]
) -> None:
    good, worse, released = (open_artefact(each).version for each in (good_model, worse_model, RELEASED))
    assert answering(registry) == good

    refused = communique("promote", worse_model, *measuring, env=registry)
    assert refused.returncode == 5
    assert "Traceback" not in refused.stderr
    for gate in (f"macro-F1 against {good}", f"suite known against {good}", "macro-F1", "F1 threat"):
        assert f"\n  {gate}: " in refused.stderr
    assert "missed by 0." in refused.stderr
    assert answering(registry) == good
    # Refused, but kept with its report, and every --model can name it.
    rows = {row["version"]: row for row in json.loads(communique("registry", "list", "--json", env=registry).stdout)}
    assert {version: row["present"] for version, row in rows.items()} == {good: True, worse: False}
    assert rows[good]["macro_f1"] > 0.9 > rows[worse]["macro_f1"]
    assert answering(registry, "--model", f"communique:{worse}") == worse

    forced = communique("promote", f"communique:{worse}", "--force", "to see it fail", *measuring, env=registry)
    assert forced.returncode == 0, forced.stderr
    assert f"overruled: macro-F1 against {good}: " in forced.stderr
    assert answering(registry) == worse
    shown = json.loads(communique("registry", "show", worse, env=registry).stdout)
    assert [each["reason"] for each in shown["promotions"]] == ["to see it fail"]
    assert any(line.startswith(f"macro-F1 against {good}") for line in shown["promotions"][0]["overruled"])

    back = communique("rollback", env=registry)
    assert back.stdout.strip() == good
    assert answering(registry) == good
    shown = json.loads(communique("registry", "show", worse, env=registry).stdout)
    assert shown["promotions"] == []
    assert shown["rolled_back"][0]["promotion"]["reason"] == "to see it fail"
    assert communique("rollback", env=registry).stdout.strip() == released
    assert answering(registry) == released
    nothing = communique("rollback", env=registry)
    assert nothing.returncode == 2
    assert "nothing was promoted" in nothing.stderr


def test_force_needs_a_reason(worse_model: Path, measuring: list[str]) -> None:
    done = communique("promote", worse_model, "--force", " ", *measuring)
    assert done.returncode == 2
    assert "expected a reason" in done.stderr


def test_a_damaged_candidate_is_refused_even_by_force(good_model: Path, measuring: list[str], tmp_path: Path) -> None:
    shutil.copytree(good_model, tmp_path / "damaged")
    with (tmp_path / "damaged" / "light.bin").open("ab") as stream:
        stream.write(b"x")
    environment = os.environ | {"BENTOML_HOME": str(tmp_path / "home")}
    done = communique("promote", tmp_path / "damaged", "--force", "hurry", *measuring, env=environment)
    assert done.returncode == 3
    assert "SHA-256 is" in done.stderr
    assert communique("registry", "list", env=environment).stdout == ""


def test_what_was_pushed_can_be_pulled_elsewhere_unless_it_was_changed(
    registry: dict[str, str], good_model: Path, tmp_path: Path
) -> None:
    version = open_artefact(good_model).version
    address = f"file://{tmp_path}/shared"
    for _ in range(2):  # the second time there is nothing to do
        pushed = communique("registry", "push", version, address, env=registry)
        assert pushed.returncode == 0, pushed.stderr
        assert pushed.stdout.strip() == f"{address}/{version}"
    assert [path.name for path in (tmp_path / "shared").iterdir()] == [version]

    elsewhere = os.environ | {"BENTOML_HOME": str(tmp_path / "elsewhere")}
    pulled = communique("registry", "pull", version, address, env=elsewhere)
    assert pulled.returncode == 0, pulled.stderr
    assert answering(elsewhere, "--model", f"communique:{version}") == version
    assert json.loads(communique("registry", "show", version, env=elsewhere).stdout)["version"] == version

    wrong = communique("registry", "pull", "2026-01-01-00000000", address, env=elsewhere)
    assert wrong.returncode == 2
    assert version in wrong.stderr
    with (tmp_path / "shared" / version / "artefact" / "light.bin").open("ab") as stream:
        stream.write(b"x")
    third = os.environ | {"BENTOML_HOME": str(tmp_path / "third")}
    damaged = communique("registry", "pull", version, address, env=third)
    assert damaged.returncode == 3
    assert "SHA-256 is" in damaged.stderr
    assert communique("registry", "list", env=third).stdout == ""


@pytest.mark.parametrize("error", [RuntimeError("no credentials\nsee the manual"), TimeoutError()])
def test_what_a_store_raises_is_one_clear_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(address: str) -> None:
        raise error

    monkeypatch.setattr(remote.fsspec.core, "url_to_fs", fail)
    with pytest.raises(InputError, match=r"^s3://bucket: cannot be reached: (no credentials|TimeoutError)$"):
        remote.pull("2026-01-01-00000000", "s3://bucket")


def test_the_promoted_model_gone_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "communique-promotions.json").write_text(
        json.dumps({"history": [{"version": "2026-01-01-00000000", "digest": "0", "at": "2026-01-01"}]})
    )
    done = communique("classify", "Peru waits.", env=os.environ | {"BENTOML_HOME": str(tmp_path)})
    assert done.returncode == 3
    assert "the promoted model is gone" in done.stderr
    assert "Traceback" not in done.stderr


def test_rollback_goes_past_models_that_are_gone(tmp_path: Path) -> None:
    path = tmp_path / "communique-promotions.json"
    gone = [{"version": f"2026-01-0{day}-00000000", "digest": "0", "at": f"2026-01-0{day}"} for day in (1, 2)]
    path.write_text(json.dumps({"history": gone}))
    done = communique("rollback", env=os.environ | {"BENTOML_HOME": str(tmp_path)})
    assert (done.returncode, done.stdout.strip()) == (0, open_artefact(RELEASED).version), done.stderr
    kept = json.loads(path.read_text())
    assert kept["history"] == []
    assert [each["promotion"]["version"] for each in kept["withdrawn"]] == [gone[1]["version"], gone[0]["version"]]
