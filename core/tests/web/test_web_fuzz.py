"""The whole HTTP surface with methods, paths, headers and bodies that nobody means."""

import http.client

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PATHS = (
    "/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/hooks/shop",
    "/login",
    "/people",
    "/parked",
    "/routes",
    "/work",
    "/log",
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "X")
NAMES = (
    "Host",
    "Origin",
    "Cookie",
    "Content-Type",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "Forwarded",
    "Range",
    "Accept",
    "X-Odd",
)
#: What http.client lets through: a request of another shape is the door's, see `test_web_door`.
LINE = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=40)


@pytest.fixture
def site(open_site, full):
    return open_site(routes=full)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(METHODS),
    path=st.sampled_from(PATHS),
    more=st.sampled_from(("", "/", "/..", "/%2e%2e/%2e%2e/etc/passwd", "/%00", "/%ff", "/1", "/-1", "/" + "9" * 40))
    | LINE,
    query=st.sampled_from(("", "?page=-1", "?before=" + "9" * 40, "?q=%00", "?cause=%ff&id=x", "?id=1&id=2")),
    headers=st.dictionaries(st.sampled_from(NAMES), LINE, max_size=3),
    body=st.binary(max_size=200) | st.sampled_from((b"{", b"a=b&csrf=", b"id=9999999999999999999999", b"\xff=\x00")),
)
def test_nothing_that_is_asked_is_a_bug(site, method, path, more, query, headers, body):
    url = (path + more + query).encode("latin-1", "replace").decode("latin-1")
    if not url.isascii() or " " in url:
        url = "".join(c if "!" <= c <= "~" else f"%{ord(c):02x}" for c in url)
    try:
        answer = site.visitor().ask(method, url, body, headers)
    except http.client.HTTPException as error:  # an answer to HEAD or to a line that is no request
        raise AssertionError(f"{method} {url}: {error!r}") from error
    assert answer.status < 500 or answer.status == 503, f"{method} {url}: {answer.text}"
    assert b"Traceback" not in answer.body
    assert site.visitor().get("/healthz").status == 200
