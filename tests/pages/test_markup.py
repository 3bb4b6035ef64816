"""What stands in a page means nothing but itself."""

import pytest
from reported_runs import seen

from apps.pages.markup import Markup, at_axis, duration, element, escaped, join, number, table

HOSTILE = "<script>alert('1')</script> & \"quotes\""


def test_text_and_attributes_are_read_back_as_they_were():
    found = seen(element("p", HOSTILE, title=HOSTILE))
    assert found.tags == [("p", {"title": HOSTILE})]
    assert found.text == HOSTILE


def test_markup_is_not_escaped_twice_and_none_is_nothing():
    inner = element("b", "a < b")
    assert join([inner, None, " & "]) == "<b>a &lt; b</b> &amp; "
    assert escaped(inner) is inner


def test_an_attribute_that_is_none_or_false_is_left_out_and_one_that_is_true_has_no_value():
    assert element("audio", controls=True, src=None, loop=False) == "<audio controls></audio>"
    assert element("img", alt="x", class_="paper") == '<img alt="x" class="paper">'
    assert element("div", aria_label="y") == '<div aria-label="y"></div>'


def test_what_no_document_may_hold_is_replaced():
    assert escaped("a\x00b\x1b[31m\udc80") == "a\ufffdb\ufffd[31m\ufffd"
    assert escaped("音\tä\n") == "音\tä\n"


def test_a_table_names_its_columns_and_rows_and_can_be_scrolled_by_the_keyboard():
    found = seen(table(["metric", "mean"], [("loss", Markup("<b>1</b>"))], caption="Scores"))
    names = [tag for tag, _ in found.tags]
    assert names.count("th") == 3
    assert "caption" in names
    assert found.tags[0][1] | {"class": "scroll"} == {
        "class": "scroll", "tabindex": "0", "role": "region", "aria-label": "Scores"
    }  # fmt: skip
    assert ("th", {"scope": "row"}) in found.tags


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (-1.23456, "−1.235"), (123456.0, "123,456"), (1e-7, "1e−07")],
)
def test_numbers_are_short(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "0.0123 s"), (59.94, "59.9 s"), (61, "1 min 1 s"), (7260, "2 h 1 min")],
)
def test_times_are_short(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (20_000_000.0, "20M"),
        (-1_500_000.0, "−1.5M"),
        (12_345.0, "12.35k"),
        (3e9, "3G"),
        (9_999.0, "9999"),
        (0.25, "0.25"),
        (0.0, "0"),
    ],
)
def test_a_number_at_an_axis_takes_little_room(value, text):
    assert at_axis(value) == text
