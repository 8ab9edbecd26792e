import random
from pathlib import Path

from model.batching import BUCKET, ROWS, plan_batches
from model.engine import _cgroup_cores


def test_every_sentence_is_in_one_batch_of_its_own_padded_length_within_the_budget() -> None:
    lengths = [random.Random(3).randint(3, 256) for _ in range(500)]
    batches = plan_batches(lengths, token_budget=1024)
    assert sorted(i for batch in batches for i in batch.indices) == list(range(500))
    for batch in batches:
        assert len(batch.indices) in ROWS
        assert len(batch.indices) * batch.padded_length <= 1024
        for index in batch.indices:
            assert 0 <= batch.padded_length - lengths[index] < BUCKET


def test_a_sentence_over_the_budget_goes_alone() -> None:
    assert [batch.indices for batch in plan_batches([100, 100], token_budget=50)] == [(0,), (1,)]
    assert plan_batches([]) == []


def test_the_share_of_time_that_a_container_leaves_is_found(tmp_path: Path) -> None:
    assert _cgroup_cores(tmp_path) is None
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert _cgroup_cores(tmp_path) is None
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("250000\n")
    assert _cgroup_cores(tmp_path) == 2.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert _cgroup_cores(tmp_path) is None
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert _cgroup_cores(tmp_path) == 1.5
