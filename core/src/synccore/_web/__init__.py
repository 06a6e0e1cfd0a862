"""The daemon's web endpoint: webhooks in, health, metrics, and a dashboard to look at.

app.py          the routes, who may ask, the headers of every answer
hooks.py        POST /hooks/{source}, and what it needs from the process (`Door`)
metrics.py      GET /metrics
pages.py        the dashboard's pages; view.py turns status into words for them
sessions.py     password, session cookie, CSRF tokens
connecting.py   OAuth through the dashboard
server.py       uvicorn in a thread
"""

from .app import create_web
from .hooks import Door
from .metrics import Metrics
from .server import WebServer

__all__ = ["Door", "Metrics", "WebServer", "create_web"]
