"""The light engine: OpenVINO on the CPU, int8 weights, no torch."""

import copy
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from model.batching import TOKEN_BUDGET, Batch, pad, plan_batches
from model.errors import ArtefactError
from model.labels import LABELS

# Importing OpenVINO reports to an analytics host and writes into the home directory unless its telemetry module
# cannot be found; it then uses its own stub.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
import openvino as openvino  # noqa: E402  (after the line above, which must come first)
from openvino import opset13  # noqa: E402

INPUT_IDS = "input_ids"
ATTENTION_MASK = "attention_mask"

KERNELS = 300
"""Prepared kernels that are kept of each kind, least recently used first out.

A trade: with all batch shapes kept (OpenVINO's default is 5,000) the engine's memory passed 950 MB where 50 kept it at
500 MB, and then took an eighth more time, since kernels were prepared again and again.
"""


OFFLINE_STREAMS = 8
"""Most streams where nobody waits for one answer. Each has kernels and buffers of its own, some 40 MB; with two on two
cores 10 to 14 % more sentences a second were measured than with one (2026-11-28), and a single sentence took half as
long again.
"""


def available_threads() -> int:
    """CPU cores that this process may use: its affinity mask, and the share of time that a container leaves it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # More threads than the share allows would be stopped in the middle of every batch.
    return max(1, min(cores, int(_cgroup_cores(Path("/sys/fs/cgroup")) or cores)))


def _cgroup_cores(root: Path) -> float | None:
    """The limit on CPU time of a container in cores, None where there is none (cgroup v2, then v1)."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota, period = ((root / "cpu" / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        except OSError:
            return None
    return int(quota) / int(period) if quota not in ("max", "-1") else None


def _look_up_first(model: openvino.Model) -> None:
    """Have the graph look up rows of its embeddings before it makes floats of them, not after.

    OpenVINO works the floats of a whole table out while it compiles and keeps them, 50 MB an engine and a quarter of
    the time. Each number is the same, since its row's scale is all that it is multiplied with.
    """
    for look_up in model.get_ops():
        if look_up.get_type_name() != "Gather":
            continue
        table, rows, axis = (look_up.input_value(place) for place in range(3))
        made_of = [table.get_node(), *(value.get_node() for value in table.get_node().input_values())]
        if [node.get_type_name() for node in made_of] != ["Multiply", "Convert", "Constant"]:
            continue
        numbers, scales = made_of[1].input_value(0), made_of[2].output(0)
        if list(scales.get_shape()) != [numbers.get_shape()[0], 1] or axis.get_node().get_data() != 0:
            continue
        found = opset13.convert(opset13.gather(numbers, rows, axis), "f32")
        found = opset13.multiply(found, opset13.gather(scales, rows, axis))
        for user in look_up.output(0).get_target_inputs():
            user.replace_source_output(found.output(0))
    model.validate_nodes_and_infer_types()


class LightEngine:
    """Token ids in, logits out.

    Not safe for use from several threads at once: callers serialise (each scoring thread of the service has its own).
    """

    token_budget = TOKEN_BUDGET

    def __init__(self, graph: Path, threads: int | None = None, streams: int = 1) -> None:
        """Compile the IR at `graph` (its `.bin` beside it, memory-mapped) for `threads` CPU threads.

        Args:
            streams: batches that run at once, the threads shared out among them. One answers soonest; as many as
                threads give the most sentences a second (see `OFFLINE_STREAMS`). The logits are the same.

        Raises:
            ArtefactError: OpenVINO cannot read or compile it.
        """
        threads = threads or available_threads()
        core = openvino.Core()
        try:
            model = core.read_model(graph)
            _look_up_first(model)
            compiled = core.compile_model(
                model,
                "CPU",
                {
                    "NUM_STREAMS": streams,
                    "INFERENCE_NUM_THREADS": threads,
                    # Full precision for all that is not int8: bf16 exists on some CPUs only, and answers should not
                    # depend on the machine more than they must.
                    "INFERENCE_PRECISION_HINT": "f32",
                    # Kernels of the shapes seen last; the default keeps so many that memory passes a gigabyte.
                    "CPU_RUNTIME_CACHE_CAPACITY": KERNELS,
                },
            )
        except RuntimeError as error:
            raise ArtefactError(f"{graph}: OpenVINO cannot load it: {error}") from None
        self._graph, self._threads = graph, threads
        self._compiled, self._streams = compiled, streams
        self._requests = openvino.AsyncInferQueue(compiled, streams)

    def split(self) -> list[Self]:
        """Two engines that answer at the same time, each in a thread of its own, with half of the threads each; or
        none where there is nothing to share out. The graph is compiled anew: half a second, and some 60 MB.

        Raises:
            ArtefactError: see the constructor.
        """
        if self._threads < 2:
            return []
        both = type(self)(self._graph, self._threads, streams=2)
        return [both._stream(), both._stream()]

    def _stream(self) -> Self:
        """This engine with one of its streams only."""
        one = copy.copy(self)
        one._streams, one._requests = 1, openvino.AsyncInferQueue(self._compiled, 1)
        return one

    def logits(self, token_ids: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        """Logits, float array (sentences, 4), columns as `LABELS`, rows in the order given.

        Args:
            token_ids: ids of each sentence with special tokens, no padding.
        """
        out = np.empty((len(token_ids), len(LABELS)), dtype=np.float32)

        def keep(request: openvino.InferRequest, batch: Batch) -> None:
            out[list(batch.indices)] = request.get_output_tensor(0).data

        self._requests.set_callback(keep)
        try:
            for batch in plan_batches([len(ids) for ids in token_ids], self.token_budget):
                ids, mask = pad(batch, token_ids)
                self._requests.start_async({INPUT_IDS: ids, ATTENTION_MASK: mask}, batch)
            self._requests.wait_all()
        except BaseException:
            # A queue raises its first failure again with every later call.
            self._requests = openvino.AsyncInferQueue(self._compiled, self._streams)
            raise
        return out
