"""Any description in a run folder: a clear error of ours, and no file opened outside of it."""

import fuzz_stored
import pytest
from fuzz_laws import few
from hypothesis import given

from apps import config


@pytest.mark.parametrize("name", ["config.yaml", "signal.json", "integrity.json", "model.json"])
def test_an_altered_description_is_read_or_refused_in_words(name: str):
    @few(8)
    @given(fuzz_stored.altered((name,)))
    def law(description):
        fuzz_stored.check_altered(description)

    law()


@pytest.mark.slow
@few(25)
@given(fuzz_stored.altered())
def test_every_altered_description_is_read_or_refused_in_words(description):
    fuzz_stored.check_altered(description)


LAUGHS = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (letter, letter, b",".join([b"*%c" % (letter - 1)] * 9))
    for letter in b"bcdefghi"
)
WORDS = b'{"kind": "none", "offset": ["x"], "factor": [1]}, "columns": []}'
FOUND = {  # by fuzzing, each once an exception of somebody else's
    "nested": ("model.json", b"[" * 100_000),
    "no_class": ("model.json", b'{"format": 2, "model": {"class": [], "arguments": {}}}'),
    "no_arguments": ("model.json", b'{"format": 2, "model": {"class": "VAE", "arguments": []}}'),
    "null": ("meta", b"null"),
    "no_step": ("meta", b'{"format": 2}'),
    "yaml_date": (config.FILE, b"name: 2001-99-99"),
    "yaml_endless": (config.FILE, b"model: &a {model: *a}"),
    "yaml_laughs": (config.FILE, LAUGHS + b"model: *i\n"),
    "yaml_nested": (config.FILE, b"name: " + b"[" * 3000),
    "kind_of_one": (config.FILE, b"model: {kind: vae}"),
    "huge": (config.FILE, b"train: {steps: 1" + b"0" * 400 + b"}"),
    "nul": (config.FILE, b'name: "a\\0b"'),
    "signal_words": (
        "signal.json",
        b'{"kind": "series", "length": 4, "channels": 1, "rate": null, "scaling": ' + WORDS,
    ),
}


@pytest.mark.parametrize(("name", "data"), FOUND.values(), ids=FOUND.keys())
def test_what_fuzzing_found_stays_mended(name: str, data: bytes):
    fuzz_stored.check_altered((name, data))
