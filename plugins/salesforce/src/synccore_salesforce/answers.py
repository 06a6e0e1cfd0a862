"""What Salesforce's answers hold, read out of them."""

import csv
import io
import json as jsonlib
from collections.abc import Iterator, Mapping
from typing import Any

from synccore.errors import Transient
from synccore.http import Response

from . import shapes
from .errors import Problem, problems_of

__all__ = ["part_response", "problems_in", "results_in", "rows_in"]


def part_response(answer: Mapping[str, Any]) -> Response:
    """One part of a composite request, as if it had been asked for alone."""
    body = answer.get("body")
    return Response(
        status=answer["httpStatusCode"],
        headers={},
        body=jsonlib.dumps(body).encode() if body is not None else b"",
    )


def problems_in(answer: Response) -> tuple[Problem, ...]:
    """Why Salesforce turned a request down."""
    return problems_of(answer.json_or_none(shapes.PROBLEMS))


def results_in(answer: Response, expected: int) -> list[dict[str, Any]]:
    """What became of so many records, in order. Raises Transient where it does not say that of each."""
    found: list[dict[str, Any]] = answer.json_as(shapes.RESULTS, wrote=True)
    if len(found) != expected:
        raise Transient(f"{expected} records were sent and the answer holds {len(found)}", maybe_applied=True)
    if any(result["success"] and "id" not in result for result in found):
        raise Transient("the answer says of some records that they are written, and not where", maybe_applied=True)
    return found


def rows_in(text: io.TextIOBase) -> Iterator[dict[str, str]]:
    """The rows of a job's results. Raises Transient where it is no such table."""
    try:
        rows = csv.DictReader(text, strict=True)
        if rows.fieldnames is not None and "sf__Id" not in rows.fieldnames:
            raise Transient("the results of a job are another table than Salesforce's")
        for row in rows:
            if None in row or None in row.values():
                raise Transient("a row of a job's results has more cells than columns, or fewer")
            yield row
    except (csv.Error, UnicodeDecodeError) as error:
        # Without the cause: it may show a cell.
        raise Transient(f"the results of a job cannot be read: {type(error).__name__}") from None
