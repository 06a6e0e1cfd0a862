"""The shipped proxies for real: nginx and Caddy in front of the endpoint, their files as they are but for ports."""

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from synccore._web import Metrics, WebServer, create_web
from synccore.testing import Harness

DEPLOY = Path(__file__).parents[1] / "deploy"
PASSWORD = "a password for tests"
#: What the endpoint says of every page, and a proxy must neither drop nor double.
HEADERS = ("content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy", "cache-control")


class Door:
    """What is behind the endpoint: an app that works, and keeps what webhooks bring."""

    def __init__(self, app):
        self.app, self.metrics, self.received = app, Metrics(), []

    def not_ready(self):
        return None

    not_well = not_ready

    def receive(self, source, request):
        self.received.append(request)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def house(folder, public_url) -> Iterator[tuple[Door, WebServer]]:
    server = {
        "listen": "127.0.0.1:0",
        "public_url": public_url,
        "dashboard_password": PASSWORD,
        "trusted_proxies": ["127.0.0.1"],
    }
    with Harness(folder, {"people": {"entity": "customer", "fields": {"email": "customer.email"}}}, server=server) as h:
        door = Door(h.app)
        with WebServer(create_web(door), "127.0.0.1", 0) as web:
            yield door, web


@contextmanager
def running(command, port, environ=None):
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environ or {})}
    ) as proxy:
        try:
            end = time.monotonic() + 30
            while proxy.poll() is None and time.monotonic() < end:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.02)
            assert proxy.poll() is None, proxy.stderr.read()
            yield
        finally:
            proxy.terminate()
            proxy.wait(20)


def looked_at(client, door, public_url, direct):
    """Through the proxy everything is as the endpoint says it; what is for this machine is not there."""
    for path in ("/metrics", "/readyz"):
        assert client.get(path).status_code == 404, path
    page, same = client.get("/login"), direct.get("/login")
    assert page.status_code == 200
    for name in HEADERS:
        assert page.headers.get_list(name) == same.headers.get_list(name) != [], name
    assert client.get("/").headers["location"] == "./login"
    cookie = page.headers["set-cookie"]
    assert ("Secure" in cookie) == public_url.startswith("https"), cookie
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    token = re.search(r'name="token" value="(\w+)"', page.text)[1]
    form = {"token": token, "password": PASSWORD}
    assert client.post("/login", data=form, headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.post("/login", data=form, headers={"Origin": public_url}).status_code == 303
    home = client.get("/")
    assert home.status_code == 200
    assert "Shops and targets" in home.text
    body = b'{"id": 7, "name": "J\xc3\xbcrgen"}'
    assert client.post("/hooks/shop", content=body, headers={"X-WC-Webhook-Topic": "a.b"}).status_code == 200
    assert [r.body for r in door.received] == [body], "the signature is of these very bytes"
    # Refused while it is still being sent: Caddy may see the broken connection before it sees why.
    assert client.post("/hooks/shop", content=b"x" * 7_000_000).status_code in (413, 502)
    assert len(door.received) == 1


def test_nginx_before_the_endpoint(tmp_path):
    nginx, openssl = shutil.which("nginx"), shutil.which("openssl")
    if nginx is None or openssl is None:
        pytest.skip("no nginx on this machine")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=sync.example.com",
         "-addext", "subjectAltName=DNS:sync.example.com", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    plain, port, name = free_port(), free_port(), "https://sync.example.com"
    with house(tmp_path, name) as (door, web):
        text = (DEPLOY / "nginx.conf").read_text()
        text = re.sub(r"\n\s+listen \[::\]:.*", "", text)
        text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
        text = text.replace("listen 80", f"listen 127.0.0.1:{plain}").replace("127.0.0.1:8484", f"127.0.0.1:{web.port}")
        text = text.replace("/etc/letsencrypt/live/sync.example.com/fullchain.pem", str(tmp_path / "cert.pem"))
        text = text.replace("/etc/letsencrypt/live/sync.example.com/privkey.pem", str(tmp_path / "key.pem"))
        temp = "".join(f"{n}_temp_path {tmp_path}/{n};\n" for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (tmp_path / "nginx.conf").write_text(
            f"daemon off; pid {tmp_path}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{temp}{text}\n}}\n"
        )
        command = [nginx, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"]
        trust = ssl.create_default_context(cafile=tmp_path / "cert.pem")
        # The name is looked up by nobody: the connection goes to this machine, asks for the name and checks it.
        options = {"base_url": f"https://127.0.0.1:{port}", "headers": {"Host": "sync.example.com"}, "timeout": 20}
        with (
            running(command, port),
            httpx.Client(base_url=web.url) as direct,
            httpx.Client(**options, verify=trust, transport=_Named(httpx.HTTPTransport(verify=trust))) as client,
        ):
            looked_at(client, door, name, direct)
            moved = direct.get(f"http://127.0.0.1:{plain}/people", headers={"Host": "sync.example.com"})
            assert (moved.status_code, moved.headers["location"]) == (301, f"{name}/people")


class _Named(httpx.BaseTransport):
    """Sends the name that the certificate is for, whatever address is dialled."""

    def __init__(self, inner):
        self._inner = inner

    def handle_request(self, request):
        request.extensions = {**request.extensions, "sni_hostname": "sync.example.com"}
        return self._inner.handle_request(request)

    def close(self):
        self._inner.close()


def test_caddy_before_the_endpoint(tmp_path):
    """Plain: no certificate authority hears of it, and none is trusted on this machine."""
    caddy = shutil.which("caddy")
    if caddy is None:
        pytest.skip("no caddy on this machine")
    port = free_port()
    name = f"http://127.0.0.1:{port}"
    with house(tmp_path, name) as (door, web):
        environ = {
            "SYNCCORE_HOST": name,
            "SYNCCORE_UPSTREAM": f"127.0.0.1:{web.port}",
            "HOME": str(tmp_path),
            "XDG_DATA_HOME": str(tmp_path),
            "XDG_CONFIG_HOME": str(tmp_path),
        }
        adapted = subprocess.run(
            [caddy, "adapt", "--adapter", "caddyfile", "--config", str(DEPLOY / "Caddyfile")],
            env=os.environ | environ,
            capture_output=True,
            text=True,
            check=True,
        )
        settings = json.loads(adapted.stdout) | {"admin": {"disabled": True}}
        (tmp_path / "caddy.json").write_text(json.dumps(settings))
        command = [caddy, "run", "--config", str(tmp_path / "caddy.json")]
        with (
            running(command, port, environ),
            httpx.Client(base_url=web.url) as direct,
            httpx.Client(base_url=name, timeout=20) as client,
        ):
            looked_at(client, door, name, direct)
