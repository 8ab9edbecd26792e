"""Archives to score, and what a finished output folder holds."""

import json
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

ACTORS = ("Kenya", "Peru", "Norway", "Japan", "Chile", "Malta", "Ghana", "Nepal", "Serbia", "Fiji", "Oman", "Togo")
TEMPLATES = (
    "{} may send troops. It denied the report.\n\n- Aid goes on\n- Talks resume",
    "The envoy of {} backs the treaty. Nobody else does. “We will strike back,” he said.",
    "{} held an election.",
)


def write_archive(folder: Path, documents: int, start: int = 0) -> Path:
    """A folder with a JSON Lines and a text file; every 25th line cannot be read, every 40th sentence is too long."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "news.jsonl").open("w", encoding="utf-8") as stream:
        for number in range(start, start + documents):
            if number % 25 == 7:
                stream.write("{broken\n")
                continue
            text = TEMPLATES[number % 3].format(ACTORS[number % len(ACTORS)])
            if number % 40 == 3:
                text += "\n\n" + "word " * 500
            row = {"id": f"d{number}", "text": f"Item {number}. {text}", "outlet": f"Wire {number % 3}/é"}
            row["day"] = f"2024-{number % 5 + 1:02d}-1{number % 9}"
            stream.write(json.dumps(row) + "\n")
    (folder / "note.txt").write_text("The ministry denied it. They may come.", encoding="utf-8")
    return folder


def table(out: Path, kind: str = "sentences") -> pa.Table:
    """All rows of an output folder, in the order of its files."""
    return pa.concat_tables(
        parquet.read_table(path, partitioning=None) for path in sorted((out / kind).rglob("*.parquet"))
    )


def contents(out: Path) -> dict[str, bytes]:
    """Every file of an output folder but the lock, by its path."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def rejects(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "rejected.jsonl").read_text(encoding="utf-8").splitlines()]
