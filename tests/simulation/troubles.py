"""What may be wrong with one call to a vendor."""

from collections.abc import Callable, Mapping

from synccore.testing import Fault

__all__ = ["CUT", "TROUBLES"]

#: Trouble with one call.
TROUBLES: Mapping[str, Callable[..., Fault]] = {
    "busy": lambda when: Fault.status(429, headers={"Retry-After": "60"}, when=when),
    "lost": lambda when: Fault.commit_then_drop(when=when),
    "refused": lambda when: Fault.status(503, when=when),
}
#: The same to whoever called as `lost`, and nothing was done.
CUT: Mapping[str, Callable[..., Fault]] = {"cut": lambda when: Fault.reset(when=when)}
