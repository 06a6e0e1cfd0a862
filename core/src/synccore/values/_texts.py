"""Text that can be sent."""

from typing import Any

#: Longer texts are no number, name or amount of this world.
MOST = 200


def encodable(text: str) -> str:
    """The text with every half of a broken character pair (a cut emoji) replaced by U+FFFD, so that it can be sent."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def mended(value: Any) -> Any:
    """JSON whose every text can be encoded (`encodable`)."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, list):
        return [mended(v) for v in value]
    if isinstance(value, dict):
        return {encodable(k): mended(v) for k, v in value.items()}
    return value
