"""Any config: it builds and steps, or is refused by the name of a setting before it compiles."""

import fuzz_configs
import pytest
from fuzz_laws import few
from hypothesis import given


@few(6)
@given(fuzz_configs.configs())
def test_a_config_builds_with_a_step_or_is_refused_by_a_setting(values):
    fuzz_configs.check_config(values)


@pytest.mark.slow
@few(6)
@given(fuzz_configs.configs())
def test_a_config_that_builds_trains(values):
    fuzz_configs.check_step(values)
