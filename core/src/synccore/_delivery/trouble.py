"""What a lane that cannot work tells those who only look."""

from datetime import datetime

from attrs import frozen

__all__ = ["LaneTrouble"]


@frozen(kw_only=True)
class LaneTrouble:
    """What keeps a lane from working, in words, and since when."""

    since: datetime
    text: str
