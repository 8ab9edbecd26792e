"""The Ray engine gives what the plain engine gives, also when an actor is killed."""

import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from archives import contents, rejects, table, write_archive
from conftest import communique
from servers import script

pytest.importorskip("ray")
pytestmark = pytest.mark.slow  # starting Ray and its workers takes most of a minute

OPTIONS = ["--shard-size", "3000", "--id-field", "id", "--date-field", "day", "--source-field", "outlet"]


def scoring_actors(driver: psutil.Process) -> list[psutil.Process]:
    found = []
    for process in driver.children(recursive=True):
        try:
            if "MapWorker" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def run(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [script("communique"), "score", *map(str, arguments), *OPTIONS]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_ray_with_a_killed_actor_equals_the_plain_engine(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "in", 400)
    plain = communique("score", archive, "--out", tmp_path / "plain", *OPTIONS)
    assert plain.returncode == 0, plain.stderr

    out = tmp_path / "ray"
    job = run(archive, "--out", out, "--engine", "ray", "--actors", "2")
    driver = psutil.Process(job.pid)
    killed = None
    while job.poll() is None and killed is None:
        time.sleep(0.05)
        if list(out.glob("marks/*/*.json")) and len(actors := scoring_actors(driver)) == 2:
            killed = actors[0].pid
            actors[0].send_signal(signal.SIGKILL)
    stdout, said = job.communicate(timeout=600)
    assert job.returncode == 0, said
    assert killed is not None
    assert stdout == plain.stdout
    assert table(out).to_pylist() == table(tmp_path / "plain").to_pylist()
    assert rejects(out) == rejects(tmp_path / "plain")
    assert contents(out) == contents(tmp_path / "plain")


def test_one_engine_goes_on_where_the_other_was_killed(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "in", 160)
    assert communique("score", archive, "--out", tmp_path / "whole", *OPTIONS).returncode == 0
    out = tmp_path / "out"
    plain = run(archive, "--out", out)
    while plain.poll() is None and not list(out.glob("marks/*/*.json")):
        time.sleep(0.01)
    plain.kill()
    plain.communicate()
    done = len(list(out.glob("marks/*/*.json")))
    job = communique("score", archive, "--out", out, *OPTIONS, "--engine", "ray", "--actors", "1")
    assert job.returncode == 0, job.stderr
    assert len(list(out.glob("marks/*/*.json"))) > done
    assert contents(out) == contents(tmp_path / "whole")


def test_an_error_in_a_reader_is_one_line(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "in", 60)
    out = tmp_path / "out"
    assert communique("score", archive, "--out", out, *OPTIONS).returncode == 0
    news = archive / "news.jsonl"
    news.write_text(news.read_text().replace("Item 0.", "Item 9."))
    job = communique("score", archive, "--out", out, *OPTIONS, "--engine", "ray", "--actors", "1")
    assert job.returncode == 2, job.stderr
    assert "has changed since shard 00000-000000" in job.stderr and "Traceback" not in job.stderr


def test_two_nodes_of_which_one_is_lost_equal_the_plain_engine(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    archive = write_archive(tmp_path / "in", 400)
    assert communique("score", archive, "--out", tmp_path / "plain", *OPTIONS).returncode == 0
    out = tmp_path / "ray"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 3})
    try:
        lost = cluster.add_node(num_cpus=2)
        job = run(archive, "--out", out, "--engine", "ray", "--ray-address", cluster.address, "--actors", "3")
        while job.poll() is None and not list(out.glob("marks/*/*.json")):
            time.sleep(0.05)
        assert job.poll() is None
        cluster.remove_node(lost, allow_graceful=False)
        _, said = job.communicate(timeout=600)
    finally:
        cluster.shutdown()
    assert job.returncode == 0, said
    assert rejects(out) == rejects(tmp_path / "plain")
    assert contents(out) == contents(tmp_path / "plain")
