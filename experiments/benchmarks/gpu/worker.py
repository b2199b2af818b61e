"""The process of one framework: for each line of JSON, a point and a precision, it answers what that takes.

    python -m experiments.benchmarks.gpu.worker seqjax|linen|cudnn|torch

Only what is asked for is imported, so that JAX and torch are never in one process. Without a GPU everything but cudnn
runs on the CPU.
"""

import importlib
import importlib.metadata
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from experiments.benchmarks.peers.work import NotOffered, Point, Tree, make_data, make_weights

JAX = ("seqjax", "linen", "cudnn")
Program = Callable[[], float]  # runs once, to the end, and gives the loss, or the sum of squared outputs


def program_of_jax(framework: str, point: Point, precision: str) -> tuple[Program, Tree]:
    """A compiled program, and what compiling it took.

    Raises:
        NotOffered: the framework has no such layer, or not in this precision.
    """
    import jax
    import jax.numpy as jnp

    from experiments.benchmarks.peers.model import loss_of

    if precision == "float16" or (precision == "bfloat16" and framework != "seqjax"):
        raise NotOffered(f"{framework} is not measured in {precision}")
    model = _model(framework, point)
    dtype = jnp.dtype(precision if precision == "bfloat16" else "float32")
    cast = lambda tree: jax.tree.map(lambda a: jnp.asarray(a, dtype), tree)
    own, xs = model.own(cast(make_weights(point))), cast(make_data(point).xs)
    loss = lambda own, xs: loss_of(model, own, xs, None, None)
    function = jax.value_and_grad(loss, (0, 1)) if point.call == "train" else loss
    start = time.perf_counter()
    with jax.default_matmul_precision({"float32": "float32", "tf32": "tensorfloat32"}.get(precision, "default")):
        compiled = jax.jit(function).lower(own, xs).compile()
    memory: Any = compiled.memory_analysis()
    cost = {"compile_s": time.perf_counter() - start, "temporary_mib": memory.temp_size_in_bytes / 2**20}

    def run() -> float:
        found = jax.block_until_ready(compiled(own, xs))
        return float(found[0] if point.call == "train" else found)

    return run, cost


def _model(framework: str, point: Point) -> Any:
    file = "ours" if framework in ("seqjax", "cudnn") else framework
    make = importlib.import_module(f"experiments.benchmarks.peers.{file}").make
    return make(point, "cudnn") if framework == "cudnn" else make(point)


def program_of_torch(point: Point, precision: str) -> tuple[Program, Tree]:
    """A module in eager mode, as torch runs it; cuDNN on a GPU."""
    import torch

    from experiments.benchmarks.peers.torch_modules import Program as Module

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(precision, torch.float32)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    module = Module(point)
    module.module.to(device, dtype)
    module.xs = module.xs.detach().to(device, dtype).requires_grad_(point.call == "train")

    def run() -> float:
        found = module.run()
        return float(found if point.call == "train" else (found.float() ** 2).sum())  # waits for the device

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return run, {"temporary_mib": (torch.cuda.max_memory_allocated() - before) / 2**20}
    return run, {}


def measure(run: Program, seconds: float) -> Tree:
    """Milliseconds, least and median, of as many runs as fit, five at least; and what came out."""
    value = run()
    times: list[float] = []
    begun = time.perf_counter()
    while len(times) < 5 or (time.perf_counter() - begun < seconds and len(times) < 100):
        start = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - start))
    return {"min_ms": min(times), "median_ms": statistics.median(times), "runs": len(times), "value": value}


def answer(framework: str, precision: str, seconds: float, **point: Any) -> Tree:
    """The answer to one request; `left_out` says why there is none."""
    make = (lambda *a: program_of_jax(framework, *a)) if framework in JAX else program_of_torch
    try:
        run, cost = make(Point(**point), precision)
        return measure(run, seconds) | cost
    except NotOffered as error:
        return {"left_out": str(error)}
    except Exception as error:  # a benchmark of the rest goes on: cuDNN not found, out of memory
        return {"left_out": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]}


def about(framework: str) -> Tree:
    """Versions, and the device."""
    version = importlib.metadata.version
    if framework in JAX:
        import jax

        return {"version": version("flax" if framework == "linen" else "jax"), "device": str(jax.devices()[0])}
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {"version": f"{version('torch')}, cuDNN {torch.backends.cudnn.version()}", "device": name}


def main(framework: str) -> None:
    """Answer until there are no more requests."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints is no answer
    print(json.dumps(about(framework)), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(framework, **json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
