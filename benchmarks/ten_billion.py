"""What ten billion sentences take on a cluster, reckoned from a measured run."""

import platform
from datetime import UTC, datetime

from model.engine import available_threads
from serving.archive.run import SHARD_CHARACTERS

TEXT = """# Ten billion sentences on a cluster

Written by `benchmarks/archive.py --growth … --plan` from the figures of one run on {date}: {size:,} sentences,
{rate:,.0f} a second, {peak:,.0f} MB of memory at most, {bytes_out:.0f} bytes of Parquet a sentence ({machine}).
Nothing below was run at that size; it is multiplication, and it says where that is most likely wrong.

| | |
| --- | --- |
| one core | {core_rate:,.0f} sentences/s |
| cluster | {nodes} nodes of {cores} cores, one scoring actor a core: {workers:,} actors |
| time | {hours:,.0f} hours, were nothing lost on the way |
| machine time | {node_hours:,.0f} node-hours |
| cost | {cost:,.0f} at {price:g} a node-hour; give yours with `--price` |
| memory | {memory:,.0f} GB a node, at the measured peak for each actor |
| input | {tb_in:.1f} TB as JSON Lines, uncompressed: {node_mb:,.1f} MB/s for each node |
| output | {tb_out:.1f} TB of Parquet |
| shards | {shards:,.0f} of {characters:,} characters |

```sh
communique score /shared/archive --out /shared/scored --engine ray --ray-address auto \\
    --shard-size {bigger_characters} --max-errors 1000000
```

## Where it breaks first

1. **One large file.** A task is one file, or small files up to 64 MB together, and one reader reads a task from its
   beginning to its end. An archive in a few huge files keeps a few readers busy: cut it into files of about 64 MB.
2. **The driver.** When it starts, and again at the end, one process reads every shard's mark; at the end it also
   reads the footers of every Parquet file and joins the rejects. A second run, which finds everything done, takes
   {per_shard:.2f} s a shard more here, reading the input again included. Were all of that the driver's, {shards:,.0f}
   shards would keep it for {driver_hours:,.0f} hours (an upper bound: Ray's readers do the reading). `--shard-size
   {bigger_characters}` makes {fewer:,.0f} shards of it, each {shard_minutes:.0f} minutes of one core, which is what a
   lost node then costs each of its actors.
3. **The shared file system.** Output goes to one POSIX folder that all nodes see under one path, with renames that
   are atomic. Every shard is two Parquet files and two small ones, and all marks lie in one folder. Object stores are
   read from, not written to.
4. **The list of inputs** is held by the driver, some hundreds of bytes a file: a million files are fine, a hundred
   million are not. Pack small files into WARC, JSON Lines or Parquet.
5. **Rejects** end the job above `--max-errors`; at this size one sentence in ten thousand is a million.

Before the whole, score a thousandth, and put its rate in the place of the one above.
"""


def plan(runs: dict[int, dict[str, float]], cores: int, nodes: int, price: float) -> str:
    """The plan in Markdown.

    Args:
        runs: the growth runs of `benchmarks/archive.py` by their sentences; rate and sizes are those of the largest.
        cores: of a node.
        price: of a node-hour.
    """
    least, size = min(runs), max(runs)
    run = runs[size]
    sentences = 10_000_000_000
    rate = run["rate"] / available_threads()
    workers = cores * nodes
    hours = sentences / (rate * workers) / 3600
    shards = sentences * run["shards"] / size
    bigger = 5
    # What a second run takes grows by this for each shard; starting and loading the model are left out.
    more = run["shards"] - runs[least]["shards"]
    per_shard = (run["again"] - runs[least]["again"]) / more if more else run["again"] / run["shards"]
    terabytes = {name: sentences * run[name] / 1e12 for name in ("bytes_in", "bytes_out")}
    return TEXT.format(
        date=datetime.now(UTC).date(),
        machine=f"{platform.machine()}, {available_threads()} cores, Python {platform.python_version()}",
        size=size,
        rate=run["rate"],
        peak=run["peak"],
        bytes_out=run["bytes_out"],
        per_shard=per_shard,
        core_rate=rate,
        nodes=nodes,
        cores=cores,
        workers=workers,
        hours=hours,
        node_hours=hours * nodes,
        price=price,
        cost=hours * nodes * price,
        tb_in=terabytes["bytes_in"],
        tb_out=terabytes["bytes_out"],
        node_mb=terabytes["bytes_in"] * 1e6 / (hours * 3600) / nodes,
        shards=shards,
        characters=SHARD_CHARACTERS,
        bigger=bigger,
        bigger_characters=bigger * SHARD_CHARACTERS,
        fewer=shards / bigger,
        shard_minutes=SHARD_CHARACTERS * bigger / run["bytes_in"] / rate / 60,
        memory=cores * run["peak"] / 1000,
        driver_hours=shards * per_shard / 3600,
    )
