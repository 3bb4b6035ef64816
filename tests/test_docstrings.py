"""Every public name of the library is documented by an example, and the examples run."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import convt1d

MODULES = [module.name for module in pkgutil.walk_packages(convt1d.__path__, prefix="convt1d.")]
PUBLIC = {
    name: value
    for home in (convt1d, convt1d.initializers, convt1d.interop, convt1d.models)
    for name, value in vars(home).items()
    if not name.startswith("_") and getattr(value, "__module__", "").startswith("convt1d")
}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_a_docstring_with_an_example(name):
    text = inspect.getdoc(PUBLIC[name]) or ""
    assert "Example" in text or name == "Row"


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_run(module):
    result = doctest.testmod(importlib.import_module(module))
    assert result.failed == 0
