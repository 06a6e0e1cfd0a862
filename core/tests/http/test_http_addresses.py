"""An address is put together once, and is the one that httpx would put together in three steps."""

from itertools import product

import httpx
import pytest

from synccore.http._wire import Wire

BASES = (
    "https://shop.test",
    "https://shop.test/",
    "https://shop.test//",
    "https://shop.test/a/b",
    "https://shop.test/a//",
    "http://127.0.0.1:81/wp-json",
    "https://ü.test:444/x/",
    "https://u:p@shop.test/q",
    "https://shop.test/q?z=1",
    "https://shop.test/q#z",
    "http://[::1]:8/x",
    "",
)
PATHS = (
    *("", "/", "/a", "a", "//a/b", "///x", "/a//b/", "/.", "/a/./b", "/a/../b", "/../../x", "/\\evil", "/a\\b"),
    *("/a?b=1", "/q?", "/?x=ü&y=%20", "?x=1", "/#a", "/a#b?c", "http://o.test/x", "/http://o.test/x", "/@o.test"),
    *("wp-json/x", "x/.y", "x/..", "x/a.b", ".x", "..", "a:b/c", "a/b:c", "/%41%zZ/%c3", "x+y", "https://o.test/a/b:c"),
    *(
        "https://o.test",
        "http://o.test/a?b=%41&c=d e",
        "https://O.test:443/x",
        "https://o.test/a/../b",
        "https://o.test//x",
    ),
    *("https://u:p@o.test/x", "https://o.test:x/y", "ftp://o.test/x", "x?y=z", "/x?y", "/x?", "/x?y?z", "/x&y=z"),
    *("/ü ä", "/a%20b%zz", "/a:b", "/a@b", "/a;b,c", "/a[1]", "/{x}", "/'\"<>", "/\n", "/a\tb", "/" + "x" * 70_000),
)
PARAMS = (
    None,
    [],
    [("a", "1"), ("b", "ü &#?"), ("a", "3")],
    [("a[]", "x y+"), ("n", None), ("t", True), ("e", "")],
)


def told(client, url, params=None):
    try:
        return str(client.build_request("GET", url, params=params).url)
    except httpx.InvalidURL:
        return None


@pytest.mark.parametrize("base", BASES)
def test_an_address_is_what_httpx_makes_of_it(base):
    with Wire(base, headers={}, auth=None, verify=None) as wire, httpx.Client(base_url=base) as plain:
        for path, params in product(PATHS, PARAMS):
            try:
                whole = wire._addresses.of(path, params)
            except httpx.InvalidURL:
                assert told(plain, path, params) is None
                continue
            if whole is not None:
                assert told(wire._http, whole) == told(plain, path, params), (path[:50], params)
            else:
                assert path[:1] != "/" or path[1:2] == "/" or {*base, *path} & set("#?") or not base, path


@pytest.mark.parametrize(
    ("url", "params"),
    [
        ("wp-json/wc/v3/orders", [("page", "1"), ("after", "2026-01-01T00:00:00"), ("q", "ü &#?")]),
        ("/wp-json/wc/v3/orders/7", None),
        ("/v1/people:search?q=a%20b", None),
        ("https://other.test/services/data", [("q", "SELECT Id")]),
    ],
)
def test_a_plain_address_is_not_read_character_by_character(url, params, monkeypatch):
    with Wire("https://shop.test/a", headers={}, auth=None, verify=None) as wire:
        wire._addresses.of(url, params)  # the first of its host is
        monkeypatch.setattr("httpx._urls.urlparse", None)
        assert wire._addresses.of(url, params) is not None
