"""The daemon's web endpoint: webhooks in, health, metrics, and a dashboard to look at.

app.py          the routes; guard.py the headers of every answer, and under which names it is asked
hooks.py        POST /hooks/{source}, and what it needs from the process (`Door`)
metrics.py      GET /metrics
pages.py        the dashboard put together: home, people, parked, activity, work, routes, instances, glossary, access
site.py         what all its pages share: who may see them, forms, templates
view.py         status and trail in words; record_view.py a record, described.py a configuration, chart.py a day
sessions.py     password, session cookie, CSRF tokens
connecting.py   OAuth through the dashboard
server.py       uvicorn in a thread
"""

from .app import create_web
from .hooks import Door
from .metrics import Metrics
from .server import WebServer

__all__ = ["Door", "Metrics", "WebServer", "create_web"]
