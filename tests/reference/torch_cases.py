"""The layers whose values PyTorch has given, and inputs that need no random generator."""

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


def numbers(shape, phase):
    """Deterministic, irregular and of size one."""
    return np.sin(np.arange(np.prod(shape)) * 0.7 + phase).reshape(shape)
