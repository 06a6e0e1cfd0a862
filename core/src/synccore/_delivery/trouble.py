"""What a lane that cannot work tells those who only look."""

from datetime import datetime

from attrs import frozen

from .._plain import Plain

__all__ = ["LaneTrouble"]


@frozen(kw_only=True)
class LaneTrouble(Plain):
    """What keeps a lane from working, in words, and since when."""

    since: datetime
    text: str
