"""Strict JAX for every test, and eight emulated devices for those that need a mesh.

Compiling is most of the suite's time, so programs are compiled the quick way: without LLVM's
optimisations, each as one module of code, and by XLA's older emitters of loops where it still has
them. The same operations in a quarter of the time. `XLA_FLAGS= python -m pytest` runs what a user
runs.
"""

import os
from importlib.metadata import version

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
    + (" --xla_cpu_use_fusion_emitters=false" * version("jaxlib").startswith("0.10.")),
)

import gc
from collections.abc import Callable, Iterator

import jax
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(autouse=True, scope="module")
def forget_programs() -> Iterator[None]:
    """Drop a file's compiled programs when it is done.

    Each holds a few mappings of memory, of which Linux gives a process 65,530 (vm.max_map_count);
    a process that runs thousands of tests used them up, and the compiler ended it by a fault.
    """
    yield
    jax.clear_caches()
    gc.collect()


@pytest.fixture
def told(record_property: Callable[[str, object], None]) -> Callable[[str, str, str], None]:
    """Promise something: `told(section, fault, outcome)` is a row of what `faults.py` prints.

    It is to be called first, so that a promise that is broken has its row too.
    """

    def tell(section: str, fault: str, outcome: str) -> None:
        for name, text in (("section", section), ("fault", fault), ("outcome", outcome)):
            record_property(name, text)

    return tell
