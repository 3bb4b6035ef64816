"""Curves: round ticks, gaps where there was no number, and no more points than are seen."""

import math
import re

import pytest

from apps.pages.curves import POINTS, Line, chart, path, scale, thinned, ticks


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (-3.7, 12.2), (1e-9, 3e-9), (0.999, 1.001), (5, 1e6)]
)
def test_ticks_are_few_round_and_inside(low, high):
    found = ticks(low, high)
    assert 2 <= len(found) <= 6
    step = found[1] - found[0]
    assert round(step / 10 ** math.floor(math.log10(step) + 1e-9), 6) in (1, 2, 5, 10)
    assert low - 1e-9 * abs(low) <= found[0]
    assert found[-1] <= high * (1 + 1e-9)


def test_a_scale_reaches_from_end_to_end_and_is_logarithmic_where_values_are_far_apart():
    plain = scale([0.0, 10.0], start=5.0, end=105.0, exact=True)
    assert (plain.at(0), plain.at(10), plain.at(5)) == (5.0, 105.0, 55.0)
    wide = scale([1.0, 10_000.0], start=0.0, end=1.0)
    assert wide.logarithmic
    assert wide.at(100.0) == pytest.approx(0.5)
    assert not scale([-1.0, 10_000.0], start=0.0, end=1.0).logarithmic
    assert scale([3.0, 3.0], start=0.0, end=1.0).at(3.0) == pytest.approx(0.5)


def test_a_line_is_broken_where_a_value_is_missing():
    across = up = scale([0.0, 4.0], start=0.0, end=4.0, exact=True)
    drawn = path([0, 1, 2, 3, 4], [0.0, 1.0, None, 3.0, 4.0], across, up, style="line")
    assert 'd="M0 0h0L1 1M3 3h0L4 4"' in drawn


def test_a_long_curve_keeps_its_extremes_and_its_gaps_in_few_points():
    values: list[float | None] = [math.sin(at / 50) for at in range(20_000)]
    values[7_000], values[11_000], values[15_000] = 9.0, -9.0, None
    found = list(thinned(range(20_000), values))
    assert len(found) <= 3 * POINTS
    assert (7_000, 9.0) in found
    assert (11_000, -9.0) in found
    assert [value for _, value in found].count(None) == 1
    assert [at for at, _ in found] == sorted(at for at, _ in found)


def test_a_chart_says_in_words_what_it_shows_and_marks_the_best_point():
    line = Line("distance", [10, 20, 30], [3.0, 1.0, 2.0])
    drawn = chart("distance", [line], better="lower", unit="dB")
    assert 'aria-label="distance: 3 → 2, best 1 at step 20"' in drawn
    assert len(re.findall('class="best f1"', drawn)) == 1
    assert 'class="best' not in chart("distance", [line])
    assert "best 3 at step 10" in chart("distance", [line], better="higher")


def test_values_that_were_not_finite_are_marked_and_counted():
    drawn = chart("loss", [Line("loss", [1, 2, 3], [1.0, None, 2.0])])
    assert "not finite once" in drawn
    assert drawn.count('class="lost"') == 1


def test_several_lines_are_told_apart_by_a_legend():
    lines = [Line(name, [1, 2], [1.0, 2.0]) for name in ("<a>", "b")]
    drawn = chart("loss", lines, legend=True)
    assert "&lt;a&gt;" in drawn
    assert "<a>" not in drawn
    assert 'class="line s1"' in drawn
    assert 'class="line s2"' in drawn
