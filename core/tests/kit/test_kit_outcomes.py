"""The authors' table of what a user sees of each outcome is what the engine writes."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from synccore import errors, types
from synccore.testing import Harness, customer

PAGE = Path(__file__).parents[3] / "docs" / "authors" / "contract.md"
ROUTES = {"people": {"entity": "customer", "fields": {"email": "customer.email", "name": "customer.first_name"}}}
ROWS = re.findall(
    r"^\| `(\w+\(.*\))`(?:, alone)? \| (\w+) \| (.*?) ?\| (\w+) \|$",
    PAGE.read_text().partition("## What a user sees")[2].partition("\n## ")[0],
    re.MULTILINE,
)


def test_the_table_is_there():
    assert len(ROWS) == 14


@pytest.mark.parametrize(("script", "outcome", "why", "lane"), ROWS, ids=[row[0] for row in ROWS])
def test_a_line_of_the_table(tmp_path, script, outcome, why, lane):
    names = {**vars(errors), **vars(types), "timedelta": timedelta}
    with Harness(tmp_path, ROUTES) as app:
        app.sink.always(eval(script, names))  # noqa: S307  our own page
        app.emit(customer("1", email="anna@shop.test", first_name="Anna"))
        app.drain()
        line = app.app.store.history()[1]  # after "received"
        said = line.error or line.note or ", ".join(line.fields)
        assert (line.outcome, said.strip(), app.app.store.lane("crm").state) == (outcome, why, lane)
