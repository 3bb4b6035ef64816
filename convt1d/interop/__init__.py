"""Weights from and to other libraries: PyTorch, Equinox, Flax, Haiku, Keras, brainstate.

Arrays are handed over as plain mappings from names to arrays; none of the libraries is needed.

===========================  ========================  ===============  ===========================
``library``                  transposed convolution    convolution      names
===========================  ========================  ===============  ===========================
``"torch"``                  ``(I, O/g, K)``           ``(O, I/g, K)``  ``weight``, ``bias``
``"equinox"``                ``(O, I/g, K)``, flipped  ``(O, I/g, K)``  ``weight``, ``bias (O, 1)``
``"flax"``                   ``(K, I, O)``, flipped    ``(K, I/g, O)``  ``kernel``, ``bias``
``"flax_transpose_kernel"``  ``(K, O, I)``             ``(K, I/g, O)``  ``kernel``, ``bias``
``"haiku"``                  ``(K, O, I)``, flipped    ``(K, I/g, O)``  ``w``, ``b``
``"keras"``                  ``(K, O, I)``             ``(K, I/g, O)``  ``kernel``, ``bias``
``"brainstate"``             ``(K, O, I/g)``           ``(K, I/g, O)``  ``weight``, ``bias (1, O)``
``"brainstate<0.5"``         ``(K, O, I/g)``, flipped  ``(K, I/g, O)``  ``weight``, ``bias (1, O)``
===========================  ========================  ===============  ===========================

Flipped: the last tap comes first in the output. Flax (linen and nnx), Haiku and Keras have no
groups in transposed convolutions. ``flax_transpose_kernel`` is a layer of Flax that was made with
``transpose_kernel=True``.

Where the arrays come from, and what joins a name to the next: PyTorch ``module.state_dict()``, dot;
Equinox the module itself, dot; linen ``variables["params"]``, nnx ``nnx.to_pure_dict(state)``,
slash; Haiku the parameters, slash; Keras ``layer.get_weights()`` or ``{v.path: v.numpy()}`` of a
model's variables, slash; brainstate ``{path: state.value}`` of ``layer.states()``, dot, where the
state of a layer is itself called ``weight``: the name to give is ``"up.weight"``.

Published models travel as a whole: `published_names` has the names of their weights.

Only weights travel: strides and paddings are the constructor's. Of weight normalisation PyTorch's
forms are known; fold another library's into its weights before.

Example:
    >>> import numpy as np, convt1d
    >>> layer = convt1d.ConvTranspose1d((28, 16), 8, 4, stride=2, b_init=0.0)
    >>> flax = {"up": {"kernel": np.ones((4, 16, 8), "f4"), "bias": np.zeros(8, "f4")}}
    >>> layer = convt1d.interop.read(layer, flax, library="flax", name="up")
    >>> {k: v.shape for k, v in convt1d.interop.write(layer, library="haiku", name="up").items()}
    {'up/w': (4, 8, 16), 'up/b': (8,)}
"""

from convt1d.interop._published import published_names as published_names
from convt1d.interop._reading import read as read
from convt1d.interop._reading import read_model as read_model
from convt1d.interop._writing import write as write
