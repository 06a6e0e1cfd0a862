"""What goes wrong in front of and inside a WordPress, as recorded from a real one."""

from synccore.testing import Fault, Reply

__all__ = ["maintenance", "php_fatal", "php_notice"]

_JSON = "application/json; charset=UTF-8"
_NO_CACHE = "no-cache, must-revalidate, max-age=0, no-store, private"


def php_notice(rows: str = '[{"id":4}]') -> Fault:
    """200, and a PHP warning printed before the JSON."""
    text = "<br />\n<b>Warning</b>:  Undefined array key in <b>/srv/www/broken.php</b> on line <b>7</b><br />\n"
    return Fault(kind="reply", reply=Reply(200, text + rows, {"Content-Type": _JSON}))


def php_fatal() -> Fault:
    """500 as WordPress gives it to a caller that accepts JSON; it leaks paths."""
    body = {
        "code": "internal_server_error",
        "message": "<p>There has been a critical error on this website.</p>",
        "data": {"status": 500, "error": {"type": 1, "message": "Uncaught Error in /srv/store/www/x.php:13"}},
        "additional_errors": [],
    }
    return Fault.status(500, body, {"Content-Type": _JSON, "Cache-Control": _NO_CACHE})


def maintenance() -> Fault:
    """503 while WordPress updates itself."""
    body = {
        "code": "wp_die",
        "message": "Briefly unavailable for scheduled maintenance. Check back in a minute.",
        "data": {"status": 503},
        "additional_errors": [],
    }
    return Fault.status(503, body, {"Content-Type": _JSON, "Cache-Control": _NO_CACHE, "Retry-After": "600"})
