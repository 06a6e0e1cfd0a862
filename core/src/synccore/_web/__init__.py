"""The daemon's web endpoint: webhooks in, health, metrics, and a dashboard to look at.

app.py          the routes; guard.py the headers of every answer, and under which names it is asked
hooks.py        POST /hooks/{source}, and what it needs from the process (`Door`)
metrics.py      GET /metrics
dashboard/      its pages
sessions.py     password, session cookie, CSRF tokens; visitor.py where somebody comes from
server.py       uvicorn in a thread
"""

from .app import create_web
from .hooks import Door
from .metrics import Metrics
from .server import WebServer

__all__ = ["Door", "Metrics", "WebServer", "create_web"]
