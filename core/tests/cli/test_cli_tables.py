"""Tables on terminals of any width: nothing that a cell holds is lost, and no line is longer than the terminal."""

import sys

import click
import pytest
from rich.cells import cell_len

from synccore._cli._output import table

COLUMNS = ("at (UTC)", "route", "record", "took", "fields, or why")
ROW = (
    "2026-11-30 11:02:53",
    "crm_customers",
    "customer 中村さくら",
    "17 ms",
    "Amount, Name; CurrencyIsoCode left out: hidden",
)


@pytest.fixture
def shown(monkeypatch, capsys):
    def show(width):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        monkeypatch.setenv("COLUMNS", str(width))
        table(COLUMNS, [ROW, ("2026-11-30", "", "order 1", None, "")], empty="none", numbers=("took",))
        lines = click.unstyle(capsys.readouterr().out).splitlines()
        assert max(map(cell_len, lines)) <= width
        return lines

    return show


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 120, 200])
def test_nothing_is_cut(shown, width):
    letters = "".join(shown(width)).replace(" ", "")
    for cell in ROW[:3]:
        assert cell.replace(" ", "") in letters
    for word in (*ROW[-1].split(), "17"):
        assert word in letters or width < 40


def test_what_fits_stands_in_columns(shown):
    head, first, second = shown(140)
    assert head.split("  ")[0] == "at (UTC)"
    assert cell_len(first.split("17 ms")[0]) == cell_len(head.split("took")[0]) - 1
    assert second.startswith("2026-11-30 ")


def test_the_last_column_is_broken_before_a_name_is(shown):
    lines = shown(100)
    assert ROW[2] in lines[1]
    assert len(lines) == 4


def test_what_does_not_fit_stands_below_each_other_by_name(shown):
    lines = [line.rstrip() for line in shown(60)]
    assert lines[0] == "2026-11-30 11:02:53"
    assert lines[1].startswith("  route: crm_customers  record: customer 中村さくら")
    assert lines[-2:] == ["2026-11-30", "  record: order 1"]


def test_a_row_is_one_line_in_a_pipe_however_wide_its_letters(capsys):
    rows = [("Street", "7 Lane\r\nBack yard", "x"), ("City", "中村さくら", "y"), ("Zip", "1", "z")]
    table(("field", "would be", "sent"), rows, empty="none")
    lines = capsys.readouterr().out.splitlines()
    assert "7 Lane Back yard" in lines[1]
    assert len({cell_len(line) for line in lines[1:]}) == 1
