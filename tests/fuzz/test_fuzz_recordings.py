"""Any bytes that are called sound: whole, or refused in one line; never a short crop."""

import fuzz_recordings
import pytest
from fuzz_laws import few
from hypothesis import given


@few(60)
@given(fuzz_recordings.damaged())
def test_a_damaged_file_is_read_as_promised_or_refused_in_one_line(file):
    fuzz_recordings.check_damaged(file)


@few(60)
@given(fuzz_recordings.cut())
def test_a_file_cut_anywhere_gives_all_frames_or_is_refused(file):
    fuzz_recordings.check_cut(file)


KINDS = [(suffix, each) for suffix, kinds in fuzz_recordings.KINDS.items() for each in kinds]


@pytest.mark.parametrize(("suffix", "subtype"), KINDS)
@pytest.mark.parametrize("missing", [1, 2, 4])
def test_a_file_without_its_last_bytes_gives_all_frames_or_is_refused(
    suffix: str, subtype: str, missing: int
):
    size = len(fuzz_recordings.whole(suffix, subtype, 1))
    fuzz_recordings.check_cut((suffix, subtype, (size - missing + 0.5) / size))
