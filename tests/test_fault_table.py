"""The table of faults, made of what pytest reports."""

import faults
import pytest
from readme import README

REPORT = """<testsuites><testsuite>
<testcase name="test_a[1]"><properties><property name="section" value="numbers"/>
 <property name="fault" value="a | b"/><property name="outcome" value="told"/></properties>
</testcase>
<testcase name="test_a[2]"><properties><property name="section" value="numbers"/>
 <property name="fault" value="a | b"/><property name="outcome" value="told"/></properties>
</testcase>
<testcase name="test_b"><properties><property name="section" value="many processes"/>
 <property name="fault" value="c"/><property name="outcome" value="d"/></properties>
 <skipped message="no root"/></testcase>
<testcase name="test_e"><properties><property name="section" value="numbers"/>
 <property name="fault" value="e"/><property name="outcome" value="told"/></properties>
</testcase>
<testcase name="test_a_thing_of_no_row"/>{}
</testsuite></testsuites>"""
BROKEN = '<testcase name="test_of_no_row"><failure/></testcase>'


@pytest.fixture
def table(tmp_path):
    def make(more=""):
        (tmp_path / "report.xml").write_text(REPORT.format(more))
        return faults.markdown(faults.rows(faults.promises(tmp_path / "report.xml")), "Here.")

    return make


def test_every_promise_is_a_row_of_its_section(table):
    assert table() == (
        "3 promises: 2 kept, 0 broken, 1 not tried. Here.\n\n"
        "|  | what is done | what happens | result |\n| --- | --- | --- | --- |\n"
        "| many processes | c | d | skipped: no root |\n"
        "| numbers | a \\| b; e | told | ✓ (3 cases) |\n"
    )


def test_what_fails_is_told_even_if_it_promised_nothing(table):
    assert "| besides | of no row |  | FAILED |" in table(BROKEN)


def test_one_broken_case_breaks_the_promise(table):
    case = REPORT.split("<testcase")[1].replace("</properties>", "</properties><failure/>")
    text = table(f"<testcase{case}")
    assert "3 promises: 1 kept, 1 broken, 1 not tried" in text
    assert "| numbers | a \\| b | told | FAILED (3 cases) |" in text


def test_without_a_report_there_is_nothing_to_tell(tmp_path):
    assert list(faults.promises(tmp_path / "none.xml")) == []


def test_only_the_whole_table_is_written(capsys):
    with pytest.raises(SystemExit):
        faults.main(["--fast", "--write"])
    assert "--write takes the whole suite: leave out --fast" in capsys.readouterr().err


def test_the_readme_has_a_place_for_the_table():
    readme = README.read_text(encoding="utf-8")
    assert readme.count(faults.BEGIN) == readme.count(faults.END) == 1
