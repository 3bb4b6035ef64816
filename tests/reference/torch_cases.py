"""The layers whose values PyTorch has given, and inputs that need no random generator."""

import itertools

import numpy as np

# length, in, out, kernel, stride, padding, output_padding, dilation, groups
TRANSPOSED = [
    (7, 4, 6, 4, 2, 1, 0, 1, 1),
    (7, 4, 6, 5, 3, 2, 2, 1, 2),
    (5, 3, 2, 7, 1, 3, 0, 3, 1),
    (6, 4, 4, 3, 5, 0, 4, 1, 4),
    (4, 2, 8, 16, 8, 4, 0, 1, 1),
    (9, 4, 8, 3, 2, 1, 1, 3, 2),
]
# length, in, out, kernel, stride, padding, dilation, groups
CONVOLUTION = [
    (9, 4, 6, 4, 2, 1, 1, 1),
    (20, 4, 6, 7, 1, 9, 3, 2),
    (9, 4, 4, 3, 3, 0, 2, 4),
]

# length, in, out, kernel, stride, padding, dilation, groups, padding_mode
CONTINUED = [
    (9, 4, 6, 4, 2, 3, 1, 1, "circular"),
    (5, 4, 6, 7, 1, 5, 1, 2, "circular"),
    (9, 4, 6, 4, 2, 3, 1, 1, "reflect"),
    (6, 4, 4, 5, 3, 5, 2, 4, "reflect"),
    (9, 4, 6, 4, 2, 3, 1, 1, "replicate"),
    (3, 4, 6, 5, 1, 8, 2, 2, "replicate"),
]
# length, kernel, stride, padding, dilation, output_size
SIZED = [(5, 4, 3, 1, 1, 14), (5, 4, 3, 1, 1, 16), (4, 3, 2, 0, 3, 14), (1, 1, 4, 0, 1, 4)]
GRID = [
    (length, 2 * groups, 3 * groups, k, s, p, extra * (max(s, d) - 1), d, groups)
    for length, k, s, d, groups, p, extra in itertools.product(
        (1, 3, 6), (1, 2, 5, 8), (1, 2, 3, 5), (1, 2, 3), (1, 2), (0, 1, 3), (0, 1)
    )
    if (length - 1) * s + (k - 1) * d + 1 - 2 * p + extra * (max(s, d) - 1) > 0
]
"""Transposed convolutions, as `TRANSPOSED`; every 113th is stored."""
STORED = range(0, len(GRID), 113)


def numbers(shape, phase):
    """Deterministic, irregular and of size one."""
    return np.sin(np.arange(np.prod(shape)) * 0.7 + phase).reshape(shape)


def transposed_from_torch(weight, groups):
    """``(I, O/g, K) -> (K, O, I/g)``."""
    inputs, outputs, taps = weight.shape
    blocks = weight.reshape(groups, inputs // groups, outputs, taps)
    return blocks.transpose(3, 0, 2, 1).reshape(taps, outputs * groups, inputs // groups)


def convolution_from_torch(weight, groups):
    """``(O, I/g, K) -> (K, I/g, O)``."""
    del groups
    return weight.transpose(2, 1, 0)
