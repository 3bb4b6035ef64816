"""From files and formulas to batches: host side, numpy, no jax."""
