"""The inbox of corrections: whole lines, many writers, nothing lost that was acknowledged."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model.records import Record, Stance, read_records
from serving.inbox import Inbox, InboxFullError, record_id


def record(number: int) -> Record:
    made = Record(text=f"They denied claim number {number}.", stances=(Stance(label="denial"),), origin="feedback")
    return made.model_copy(update={"id": record_id(made)})


def test_many_threads_and_processes_append_whole_records(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "inbox.jsonl"
    code = (
        "import sys; from test_inbox import *; inbox = Inbox(Path(sys.argv[1]), 1 << 20)\n"
        "for n in range(int(sys.argv[2]), int(sys.argv[2]) + 50): inbox.append(record(n))"
    )
    commands = [[sys.executable, "-c", code, str(path), str(at)] for at in (0, 50, 100)]
    others = [subprocess.Popen(command, cwd=Path(__file__).parent) for command in commands]
    inbox = Inbox(path, 1 << 20)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: inbox.append(record(number)), range(150, 250)))
    assert [other.wait(60) for other in others] == [0, 0, 0]
    assert {r.text for r in read_records(path)} == {record(n).text for n in range(250)}


def test_what_a_killed_writer_left_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "inbox.jsonl"
    inbox = Inbox(path, 1 << 20)
    inbox.append(record(1))
    with path.open("a") as stream:
        stream.write('{"text": "They den' + "y" * 20_000)
    inbox.append(record(2))
    assert [r.text for r in read_records(path)] == [record(1).text, record(2).text]
    path.write_text('{"text": "half')
    inbox.append(record(3))
    assert [r.text for r in read_records(path)] == [record(3).text]


def test_a_full_inbox_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox.jsonl", 250)
    inbox.append(record(1))
    with pytest.raises(InboxFullError):
        for number in range(2, 10):
            inbox.append(record(number))
    assert inbox.path.stat().st_size <= 250
    assert record(1) in read_records(inbox.path)


def test_a_writer_that_waited_while_the_file_was_moved_away_begins_a_new_one(tmp_path: Path) -> None:
    path, moved = tmp_path / "inbox.jsonl", tmp_path / "moved.jsonl"
    inbox = Inbox(path, 1 << 20)
    inbox.append(record(1))
    with path.open("rb") as held, ThreadPoolExecutor(1) as pool:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = pool.submit(inbox.append, record(2))
        time.sleep(0.2)
        path.rename(moved)
        fcntl.flock(held, fcntl.LOCK_UN)
        waiting.result(10)
    assert (read_records(moved), read_records(path)) == ([record(1)], [record(2)])


WRITER = """
import sys
from pathlib import Path
from test_inbox import record
from serving.inbox import Inbox
inbox = Inbox(Path(sys.argv[1]), 1 << 30)
for number in range(int(sys.argv[2]), 10**9):
    inbox.append(record(number))
    print(number, flush=True)
"""


def test_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "inbox.jsonl"
    acknowledged = []
    for round_ in range(6):
        command = [sys.executable, "-c", WRITER, str(path), str(round_ * 1_000_000)]
        writer = subprocess.Popen(command, cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        acknowledged.append(int(writer.stdout.readline()))
        time.sleep(0.05 + 0.01 * round_)
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in writer.stdout.read().split()]
        writer.wait()
        writer.stdout.close()
    kept = {json.loads(line)["text"] for line in path.read_text().splitlines()}
    assert {record(number).text for number in acknowledged} <= kept
