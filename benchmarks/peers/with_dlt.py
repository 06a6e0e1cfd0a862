"""dlt as somebody would use it for the same job: a resource into a custom destination, 200 records a call.

Runs in an environment of its own: `with_dlt.py COUNT TARGET DIRECTORY`.
"""

import json
import os
import sys
import threading
import urllib.request
from http.client import HTTPConnection
from typing import Any

COUNT, TARGET, DIRECTORY = int(sys.argv[1]), sys.argv[2], sys.argv[3]
os.environ |= {
    "DLT_DATA_DIR": DIRECTORY,
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "LOAD__WORKERS": "4",
}

import dlt  # noqa: E402  it reads the environment when it is imported
from people import people  # noqa: E402

_kept = threading.local()


@dlt.destination(batch_size=200, name="target", loader_parallelism_strategy="parallel")
def target(items: Any, table: Any) -> None:
    """One call."""
    if not hasattr(_kept, "connection"):
        _kept.connection = HTTPConnection(urllib.request.urlparse(TARGET).netloc)
    records = [{k: v for k, v in item.items() if not k.startswith("_dlt")} for item in items]
    _kept.connection.request("POST", "/batch", json.dumps(records).encode())
    answer = _kept.connection.getresponse()
    answer.read()
    assert answer.status == 200


@dlt.resource(name="people", primary_key="id", write_disposition="append", max_table_nesting=0)
def customers() -> Any:
    """The shop."""
    yield from people(COUNT)


dlt.pipeline("bench", destination=target, dataset_name="d", pipelines_dir=DIRECTORY).run(customers())
