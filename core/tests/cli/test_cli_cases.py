"""How `plugins check` reads on a terminal."""

import sys

import click

from synccore._cli.plugins import _show_cases
from synccore._workshop.contract import Case
from synccore.testing import SinkContract


def test_names_of_cases_stay_whole_where_the_terminal_is_narrow(monkeypatch, capsys):
    names = [name.removeprefix("test_") for name in dir(SinkContract) if name.startswith("test_")]
    hazard = "A new account comes before the word that the old one with its address was deleted."
    cases = [Case(contract="", case=name, hazard=hazard, result="not staged") for name in names]
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    _show_cases(cases, {})
    lines = click.unstyle(capsys.readouterr().out).splitlines()
    assert {line.split()[-1] for line in lines if line.startswith("not staged")} == set(names)
    assert max(map(len, lines)) <= 80
