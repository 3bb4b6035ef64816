"""Each line of the README's phrase book computes what it stands for."""

import re

import environment
import equinox as eqx
import jax
import numpy as np
import pytest

from convt1d import Conv1d, ConvTranspose1d, WeightNorm, interop

README = (environment.ROOT / "README.md").read_text(encoding="utf-8")
LINES = re.findall(r"^\| `((?:nn|eqx\.nn)\..+)` \| `(.+)` \|$", README, flags=re.MULTILINE)
OURS = {"Conv1d": Conv1d, "ConvTranspose1d": ConvTranspose1d, "WeightNorm": WeightNorm}
X = np.random.default_rng(0).standard_normal((2, 28, 16)).astype(np.float32)


def of_torch(theirs: str):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    layer = eval(theirs, {"nn": torch.nn})
    with torch.no_grad():
        out = layer(torch.from_numpy(X.swapaxes(1, 2).copy())).numpy()
    return {name: array.numpy() for name, array in layer.state_dict().items()}, out


def of_equinox(theirs: str):
    layer = eval(theirs, {"eqx": eqx, "key": jax.random.key(1)})
    return layer, np.asarray(jax.vmap(layer)(X.swapaxes(1, 2)))


def test_the_phrase_book_is_found():
    assert {theirs.split(".")[0] for theirs, _ in LINES} == {"nn", "eqx"}
    assert len(LINES) == README.count("\n| `nn.") + README.count("\n| `eqx.")


@pytest.mark.parametrize(("theirs", "ours"), LINES)
def test_a_line_of_the_phrase_book_computes_what_it_stands_for(theirs: str, ours: str):
    layer = eval(ours, OURS)
    if theirs.startswith("eqx"):
        library, (weights, out) = "equinox", of_equinox(theirs)
    else:
        library, (weights, out) = "torch", of_torch(theirs)
    layer = interop.read(layer, weights, library=library)
    # float32: at most 7 x 16 products of size one
    np.testing.assert_allclose(layer(X), out.swapaxes(1, 2), atol=2e-5)
