"""What is shipped for running it: names that exist, files that parse, headers that arrive."""

import configparser
import json
import re
import shutil
import subprocess
import tomllib
import urllib.error
from pathlib import Path

import pytest

from synccore._web.metrics import LANE_STATES, Metrics
from synccore.testing import START, LoopbackServer, Reply
from synccore.types import Settled

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="module")
def exported():
    """Metric -> its labels, as the real exporter shows them."""
    metrics = Metrics()
    metrics.settled(Settled(at=START, sink="crm", outcome="delivered"))
    metrics.batch("crm", 3, START - START)
    metrics.received("shop")
    metrics.refused("shop", "signature")
    sink = {"state": "ok", "ready": 1, "running": 1, "parked": 1, "oldest_ready_seconds": 3}
    source = {"entities": {"customer": {"snapshots": 3}}}
    page = metrics.page({"sinks": {"crm": sink}, "sources": {"shop": source}}, lambda _: 7).decode()
    found = {}
    for name, labels in re.findall(r"^(synccore_\w+)(?:\{(.*)\})? ", page, re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r"(\w+)=", labels))
    return found


def uses(text):
    """(metric, labels selected by) of every metric in expressions."""
    return [
        (n, set(re.findall(r'(\w+)\s*(?:=~|!=|=)\s*"', s))) for n, s in re.findall(r"(synccore_\w+)(\{[^}]*\})?", text)
    ]


def expressions_of_grafana():
    board = json.loads((DEPLOY / "grafana.json").read_text())
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def expressions_of_rules():
    return re.findall(r"^\s+expr: (.+)$", (DEPLOY / "prometheus-rules.yml").read_text(), re.MULTILINE)


@pytest.mark.parametrize("read", [expressions_of_grafana, expressions_of_rules])
def test_every_metric_and_label_is_one_that_is_exported(read, exported):
    found = [use for expression in read() for use in uses(expression)]
    assert len(found) >= 5
    for name, labels in found:
        assert name in exported, name
        assert labels <= exported[name], (name, labels)


@pytest.mark.parametrize("read", [expressions_of_grafana, expressions_of_rules])
def test_values_they_select_by_exist(read):
    for expression in read():
        for states in re.findall(r'lane_state\{[^}]*state=~?"([^"$]+)"', expression):
            assert set(states.split("|")) <= set(LANE_STATES)


def test_grouping_and_legends_name_labels_that_exist(exported):
    known = {label for labels in exported.values() for label in labels} | {"le"}
    text = (DEPLOY / "grafana.json").read_text()
    named = {x.strip() for group in re.findall(r"by \(([^)]+)\)", text) for x in group.split(",")}
    assert named | set(re.findall(r"\{\{(\w+)\}\}", text)) <= known


def test_the_unit_hands_secrets_over_as_files(tmp_path):
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str
    unit.read_string((DEPLOY / "synccore.service").read_text())
    assert unit["Service"]["User"] == "synccore"
    assert int(unit["Service"]["TimeoutStopSec"]) > 25, "a daemon may take that long to stop"
    names = re.findall(r"^LoadCredential=(\w+):", (DEPLOY / "synccore.service").read_text(), re.MULTILINE)
    assert len(names) == len(set(names)) >= 3


def test_systemd_takes_the_unit(tmp_path):
    if (analyze := shutil.which("systemd-analyze")) is None:
        pytest.skip("no systemd on this machine")
    text = (DEPLOY / "synccore.service").read_text().replace("/opt/synccore/bin/synccore", "/bin/true")
    (tmp_path / "synccore.service").write_text(text)
    done = subprocess.run(
        [analyze, "verify", str(tmp_path / "synccore.service")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "synccore" in line]) == (0, [])


def health_checks():
    text = (DEPLOY / "Containerfile").read_text()
    return [
        json.loads(re.search(r"HEALTHCHECK[^\[]*CMD (\[.*\])", text)[1]),
        json.loads(re.search(r"test: (\[.*\])", (DEPLOY / "compose.yaml").read_text())[1])[1:],
    ]


def test_the_health_checks_of_image_and_compose_are_one_and_tell():
    image, compose = health_checks()
    assert image == compose

    class Endpoint(LoopbackServer):
        status = 200

        def handle(self, request):
            return Reply(self.status if request.path == "/readyz" else 404, "")

    with Endpoint() as endpoint:
        code = image[2].replace("http://127.0.0.1:8484", endpoint.url)
        assert code != image[2]
        for endpoint.status, well in ((200, True), (503, False)):
            if well:
                exec(code, {})  # noqa: S102  as the container runs it
            else:
                with pytest.raises(urllib.error.HTTPError):
                    exec(code, {})  # noqa: S102


def test_the_image_is_built_by_steps_that_are_taken_in_every_run():
    """Without a container engine: the same commands, in environments of their own."""
    steps = re.findall(r"^RUN (?:--mount=\S+ )?(.*)$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    assert len(steps) == 4
    ran = (ROOT / ".ci" / "run").read_text()
    assert "uv build --all-packages --wheel --out-dir /wheels" in steps
    assert re.search(r"uv build (--quiet )?--all-packages --wheel --out-dir", ran)
    assert "pip install --no-cache-dir /wheels/*.whl" in steps
    assert 'environment all "$scratch"/dist/*.whl' in ran


def test_the_container_is_not_root_and_says_how_it_is():
    text = (DEPLOY / "Containerfile").read_text()
    assert text.index("USER synccore") < text.index("ENTRYPOINT")
    assert "/readyz" in text
    assert "VOLUME /var/lib/synccore" in text
    compose = (DEPLOY / "compose.yaml").read_text()
    named = set(re.findall(r"\.\/(\w+file)\b", compose))
    assert all((DEPLOY / name).is_file() for name in named)
    assert "deploy/Containerfile" in compose


@pytest.mark.parametrize("name", ["Caddyfile", "nginx.conf"])
def test_proxies_send_what_the_endpoint_believes(name):
    text = (DEPLOY / name).read_text()
    assert text.count("{") == text.count("}")
    assert "8484" in text
    assert "/metrics" in text
    if name == "nginx.conf":
        assert {"Host", "X-Forwarded-For", "X-Forwarded-Proto"} <= set(re.findall(r"proxy_set_header (\S+)", text))


def test_nginx_takes_its_file(tmp_path):
    if (nginx := shutil.which("nginx")) is None:
        pytest.skip("no nginx on this machine")
    text = re.sub(r"^\s+ssl_certificate.*$", "", (DEPLOY / "nginx.conf").read_text(), flags=re.MULTILINE)
    text = text.replace("443 ssl", "8443").replace("listen 80", "listen 8080").replace("[::]:80", "[::]:8080")
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{text}\n}}\n")
    done = subprocess.run([nginx, "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_caddy_takes_its_file(tmp_path):
    if (caddy := shutil.which("caddy")) is None:
        pytest.skip("no caddy on this machine")
    command = [caddy, "validate", "--adapter", "caddyfile", "--config", str(DEPLOY / "Caddyfile")]
    environ = {"SYNCCORE_HOST": "sync.example.com", "HOME": str(tmp_path)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_workspace_member_is_in_the_container():
    members = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
    assert members == ["core", "plugins/*"]
    assert "--all-packages" in (DEPLOY / "Containerfile").read_text()
