"""Eight virtual devices, strict rank promotion, and (for speed of compilation alone) no LLVM optimisation.

Each program is one module of LLVM: cut into up to 32, as XLA does by default, small programs cost a sixth more CPU time
(`check_cell` of LSTM(4), GRU(4) and WindowAttention(3): 31.4 against 26.1 s, mean of two runs each, jax 0.10.2).

The emitters that XLA has for fused loops on CPU take half of all compile time in these tests (`check_cell(LSTM(4))`: 35 s
of CPU time with them, 17 s without, jax 0.10.2; 40 and 21 s, jax 0.11.2), so that they are off as well.
`make test-all` sets SEQJAX_TEST_OPTIMISED=1 and runs everything with the compiler's usual settings.
"""

import gc
import os
import resource
from pathlib import Path

FLAGS = ["--xla_force_host_platform_device_count=8"]
if not os.environ.get("SEQJAX_TEST_OPTIMISED"):
    FLAGS.append("--xla_backend_optimization_level=0")
    FLAGS.append("--xla_cpu_parallel_codegen_split_count=1")
    FLAGS.append("--xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters")
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *FLAGS])
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax  # noqa: E402
import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")
settings.register_profile(
    "seqjax",
    deadline=None,
    max_examples=25 if os.environ.get("SEQJAX_TEST_OPTIMISED") else 15,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("seqjax")
MEMORY = Path("/proc/self/statm")  # of Linux alone


def pytest_collection_finish():
    """What is imported by now stays: Python need not look through it for garbage, 5 % of the time of these tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture
def x64():
    """Float64 for the length of a test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(autouse=True, scope="module")
def bounded_memory():
    """Compiled programs are dropped after a module once they take much: a worker would otherwise grow to 6 GB."""
    yield
    if MEMORY.exists() and int(MEMORY.read_text().split()[1]) * resource.getpagesize() > 3 * 2**30:
        jax.clear_caches()
        gc.collect()
