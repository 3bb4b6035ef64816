"""Strict JAX for every test, and eight emulated devices for those that need a mesh.

Compiling is most of the suite's time, so programs are compiled without LLVM's optimisations: the
same operations, a third less work. `XLA_FLAGS= python -m pytest` runs what a user runs.
"""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import jax

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
