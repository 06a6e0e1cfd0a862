"""Every regular expression of the product, fed with what is worst for it: no text may hold the process."""

import ast
import re
import time
import warnings
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from attrs import frozen

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import re._constants as sre
    import re._parser as parser

ROOT = Path(__file__).parents[1]
#: Growing, so that what takes for ever at 100 kB is caught while it still ends.
SIZES = (20, 200, 1_000, 4_000, 20_000, 100_000)
#: Two repetitions that take turns are tried up to here: what is quadratic in them is seen by then.
PAIRED = 4_000
#: Seconds of this thread's own time within which nobody asks further.
SOON = 0.01
#: What a pattern may cost, in scans of 100 kB by one that is linear, timed at the same moment: a slow or busy machine
#: is slow for both. The dearest linear one here takes about 12; what is quadratic takes 60 at PAIRED, and thousands at
#: 100 kB.
MOST = 25
TRIES = 6
#: Seconds that no busy machine explains.
HOPELESS = 1.0
YARDSTICK = re.compile("b+z")
USES = ("compile", "match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer")
#: A file without one has none: it need not be parsed.
CALL = re.compile(rf"\.(?:{'|'.join(USES)})\b")


@frozen(order=True)
class Pattern:
    """A regular expression and how it is used."""

    place: str
    text: str | bytes
    flags: int
    use: str


def _constant(node: ast.expr) -> str | bytes | None:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return None
    return value if isinstance(value, str | bytes) else None


def _flags(nodes: list[ast.expr]) -> int:
    names = {n.attr for node in nodes for n in ast.walk(node) if isinstance(n, ast.Attribute)}
    return sum(int(getattr(re, n)) for n in names if isinstance(getattr(re, n, None), re.RegexFlag))


def patterns(distribution: Path) -> Iterator[Pattern]:
    """All of them, found in its source. One that is compiled and named counts for the ways the distribution uses it."""
    texts = {file: file.read_text(encoding="utf-8") for file in sorted(distribution.glob("src/**/*.py"))}
    trees = {file: ast.parse(text) for file, text in texts.items() if CALL.search(text)}
    methods = {file: list(_methods(tree)) for file, tree in trees.items()}
    uses: dict[str, set[str]] = {}
    for owner, call in chain.from_iterable(methods.values()):
        uses.setdefault(owner, set()).add(call.func.attr)
    for file, tree in trees.items():
        named = {
            id(node.value): node.targets[0].id
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for owner, call in methods[file]:
            if owner != "re":
                continue
            place = f"{file.relative_to(ROOT)}:{call.lineno}"
            text, use = _constant(call.args[0]), call.func.attr
            if text is None and "testing" in file.parts:
                continue  # a stand-in's table of addresses
            assert text is not None, f"{place}: not a constant, so nobody can say what it costs"
            flags = _flags([*call.args[1:], *[k.value for k in call.keywords]])
            known = uses.get(named.get(id(call), ""), {"search", "fullmatch"})
            for each in dearest(known if use == "compile" else {use}):
                yield Pattern(place, text, flags, each)


def dearest(uses: set[str]) -> set[str]:
    """Those that do more than what another one of them begins with."""
    if uses & {"sub", "subn", "split", "findall", "finditer"}:
        return uses - {"search", "match"}
    return uses - {"match"} if "search" in uses else uses


def _methods(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """(name, call) for `name.search(...)` and its like."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in USES:
            owner = node.func.value
            name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
            if name != "re" or node.args:
                yield name, node


# -- the worst texts ---------------------------------------------------------------------------------------------------


def _example(item) -> str:
    """A short text that a piece of a parsed pattern takes."""
    kind, value = item
    if kind is sre.LITERAL:
        return chr(value)
    if kind in (sre.NOT_LITERAL, sre.ANY):
        return "a" if value != ord("a") else "b"
    if kind is sre.IN:
        return _member(value)
    if kind is sre.CATEGORY:
        return {sre.CATEGORY_DIGIT: "1", sre.CATEGORY_SPACE: " ", sre.CATEGORY_WORD: "a"}.get(value, "!")
    if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
        least, _, inner = value
        return _text(inner) * max(least, 1)
    if kind is sre.SUBPATTERN:
        return _text(value[-1])
    if kind is sre.ATOMIC_GROUP:
        return _text(value)
    if kind is sre.BRANCH:
        return _text(value[1][0])
    return ""


def _member(members) -> str:
    if members[0][0] is sre.NEGATE:
        refused = re.compile("[" + "".join(re.escape(chr(v)) for k, v in members[1:] if k is sre.LITERAL) + "\\s]")
        return next(c for c in "a1.-@x" if not refused.match(c))
    kind, value = members[0]
    return chr(value[0]) if kind is sre.RANGE else _example((kind, value))


def _members(item) -> Iterator[str]:
    kind, value = item
    if kind is sre.IN:
        for member in value:
            if member[0] is sre.RANGE:
                yield chr(member[1][0])
            elif member[0] is not sre.NEGATE:
                yield _example(member)


def _text(items) -> str:
    return "".join(_example(i) for i in items)


def _pumps(items, before: str = "") -> Iterator[tuple[str, str]]:
    """(what leads there, what can be repeated there) for each repetition in a parsed pattern."""
    for item in items:
        kind, value = item
        if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            inner = value[2]
            yield before, _text(inner)
            for piece in inner:
                for member in _members(piece):
                    yield before, member
            yield from _pumps(inner, before)
        elif kind is sre.SUBPATTERN:
            yield from _pumps(value[-1], before)
        elif kind is sre.ATOMIC_GROUP:
            yield from _pumps(value, before)
        elif kind is sre.BRANCH:
            for branch in value[1]:
                yield from _pumps(branch, before)
        before += _example(item)


def worst(pattern: Pattern, size: int) -> Iterator[str]:
    """Texts that a pattern nearly takes, and has to look at from everywhere."""
    text = pattern.text if isinstance(pattern.text, str) else pattern.text.decode("latin-1")
    tree = parser.parse(text, pattern.flags)
    pumps = {(before, unit) for before, unit in _pumps(tree) if unit}
    whole = _text(tree)
    units = {unit for _, unit in pumps} | {before + unit for before, unit in pumps} | {whole} | set(whole)
    if size <= PAIRED:
        units |= {a + b for _, a in pumps for b in {u for _, u in pumps} if a != b}
    leads = {""} | {before for before, _ in pumps}
    for unit in sorted(u for u in units if u):
        for lead in sorted(leads):
            for end in ("", "\x00"):
                yield (lead + unit * (size // len(unit) + 1))[:size] + end


def _seconds(pattern: Pattern, text: str) -> float:
    compiled = re.compile(pattern.text, pattern.flags)
    subject = text if isinstance(pattern.text, str) else text.encode("utf-8", "replace")
    use = getattr(compiled, "finditer" if pattern.use == "findall" else pattern.use)
    began = time.thread_time()
    if pattern.use in ("sub", "subn"):
        use("" if isinstance(subject, str) else b"", subject)
    elif pattern.use in ("finditer", "findall"):
        for _ in use(subject):
            pass
    else:
        use(subject)
    return time.thread_time() - began


def _yardstick() -> float:
    """Seconds that this machine takes, now, to scan 100 kB in one go."""
    began = time.thread_time()
    YARDSTICK.search("a" * SIZES[-1])
    return time.thread_time() - began


DISTRIBUTIONS = [ROOT / "core", *sorted(path for path in ROOT.glob("plugins/*") if (path / "src").is_dir())]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda path: path.name)
def test_no_text_holds_a_pattern(distribution):
    held = {f"{p.place}, {p.use}": text for p in sorted(set(patterns(distribution)), key=str) if (text := slowest(p))}
    assert not held


def slowest(pattern: Pattern) -> str | None:
    """A text that holds the pattern for too long."""
    for size in SIZES:
        for text in worst(pattern, size):
            tries = 0
            while (seconds := _seconds(pattern, text)) > SOON and seconds > MOST * _yardstick():
                tries += 1
                if tries == TRIES or seconds > HOPELESS:
                    return f"{len(text)} characters: {text[:40]!r}..."
    return None


@pytest.mark.parametrize(
    ("text", "use"),
    [(r"(\d+)+x", "match"), (r"a+b", "search"), (r".*@(?:.*\.)?x", "fullmatch"), (r"(?:\w+\.)*\w+@", "search")],
)
def test_what_takes_long_is_found(text, use):
    assert slowest(Pattern("here", text, 0, use)) is not None


@pytest.mark.parametrize(
    ("uses", "asked"),
    [("match", "match"), ("match search fullmatch", "search fullmatch"), ("match search sub", "sub")],
)
def test_what_another_use_does_anyway_is_not_asked_again(uses, asked):
    assert dearest({*uses.split()}) == {*asked.split()}
