"""What must not leave with a message: personal values and secrets, taken out of foreign words in linear time.

Two means, in this order: what is known (the record's own values, the instance's secrets) is found as it stands and in
the forms in which the other side may quote it; what only looks like an address, a number or a key is found by its
shape. No pattern here may backtrack: whoever writes the text decides how long we search it.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

__all__ = ["conceal", "redact"]

#: A quotation mark before it is the sentence's own.
_EMAIL = re.compile(r"(?<![\w.+'%-])('?+)[\w.+'%-]++@[\w-]++(?:\.[\w-]++)++")
_BEARER = re.compile(r"(?i)(?<!\w)((?:authorization\W{1,6}+)?)(bearer|basic|klaviyo-api-key)\s++([\w.~+/=-]{6,}+)")
#: "Basic authentication", "bearer token-based": words, where no header stands before them. Keys are no words.
_WORDS = re.compile(r"[A-Za-z]?[a-z]{1,15}(?:[-/._][A-Za-z]?[a-z]{1,15}){0,3}[.]?")
_KEYLIKE = re.compile(
    # A Salesforce session is an org's id, "!" and a key; the id alone is no secret, and an operator needs it.
    r"(?i)\b(?:(?:c[ks]_|[ps]k_|ya29\.|1//|00D\w{12,15}+!)[\w.!/-]{8,}+"
    r"|((?:access_token|refresh_token|client_secret|consumer_key|consumer_secret|assertion|api_key|code)=)[^&\s\"]++)"
)
#: Digits and what people put between them; whether it is a telephone number is decided by `_is_phone`.
_RUN = re.compile(r"[+(\d][+\d\s().-]*+")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?!\d)")
#: What a terminal acts on instead of showing it, and what turns the order of the rest round. Lines stay.
_ACTING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
#: At most this much of a foreign text is searched: so much more than is shown that nothing shown is missed.
_SEARCHED = 8
#: Longer values are known by their beginning, as the other side may have cut them.
_HEAD = 40
#: What every form leaves as it is, and within its head: where the text has not even that of a value, it has no form of
#: it. Most words hold nothing of most values, and the forms are dear to write.
_UNCHANGED = re.compile(r"[^A-Za-z0-9]{0,3}+([A-Za-z0-9]{1,4})")
#: Shorter texts and numbers are too common to be told from the message's own words.
_SHORTEST, _FEWEST_DIGITS = 3, 5
#: Shorter ones count as whole words only: `Ann` is not in `cannot`.
_SURE = 8
#: What every vendor's messages are made of. Nobody learns of a person called Key from "API key", and without these
#: words nobody learns what is wrong: a value that is one of them alone stays.
_VOCABULARY = frozenset(
    """
    access account action active add address after again all and any api app apply are argument array attempt attribute
    authentication authorization bad batch before body but call cannot canceled cancelled case change character client
    code column company complete completed conflict contact content count country create created custom customer data
    database date day default delete deleted denied detail details does duplicate duplicates each email empty enabled
    entry error errors event exceeded exception exist exists expired external failed failure false field fields file
    first for forbidden format found from get given group has have header host html http https image inactive index
    input integer internal invalid item json key keys language large last length less limit line link list location
    login long longer lookup match media member message meta method missing mode more must name names new next none not
    null number object off one only open operation option order other owner page parameter parameters parse password
    pending person phone picklist place please plan post previous processing profile profiles property quota range rate
    read reason record records reference refresh refused region rejected request requests required resource response
    result retry route row rows rule save schema scope search secret server service session set setting shop should
    show source state status store street string subscriber such suppressed sync syntax table target temporary test
    text than that the then there this time timeout title token too total true try type unauthorized unavailable unique
    unit unknown update updated url use used user username valid value values version was web webhook when which with
    without wrong xml year yes zip
    """.split()  # noqa: SIM905  a list of words reads as one
)
#: Names that are such words too: they go where they are spelt as names ("Max", "MAX"), and stay in "max length".
_NAMES_TOO = frozenset(
    """
    april art august basic bill can chance chase dean drew early faith few free grace grant green guest high hope
    house iris joy june king lily low mail mark max may might min much own pat pay per price ray rich rose sale sent
    short sue sum sun van vat view way white will winter young
    """.split()  # noqa: SIM905
)


def redact(
    text: str, limit: int | None = 500, *, known: Mapping[str, Any] | None = None, secrets: Iterable[str] = ()
) -> str:
    """Take personal values, tokens and keys out of foreign words and cut them to `limit` characters.

    Everything that reaches logs, history or an error column goes through here first.

    Args:
        limit: None takes only what is known out, and cuts nothing: for words that are the operator's own.
        known: label -> value (texts, numbers, lists and tables of them): what the words may quote, replaced by
            `[label]`, so that a person still sees which field is meant. Case does not matter.
        secrets: texts replaced by `[secret]`, whatever they look like.
    """
    whole = limit is None or len(text) <= (searched := _SEARCHED * limit + 1000)
    text = text if whole else text[:searched]
    for secret in secrets:
        text = _without(text, secret, "[secret]", words=len(secret) < _SURE)
    for label, value in _longest_first(known or {}, text):
        text = _without(text, value, f"[{label}]", words=len(value) < _SURE, name=value != value.lower() in _NAMES_TOO)
    if limit is None:
        return text
    text = _ACTING.sub("\ufffd", text.replace("\r\n", "\n"))
    text = _EMAIL.sub(r"\1[email]", text)
    text = _BEARER.sub(_credential, text)
    text = _KEYLIKE.sub(lambda m: f"{m.group(1) or ''}[secret]", text)
    text = _RUN.sub(_phone, text)
    if not whole:
        # What the cut may have left half of goes; where that is all, a person sees at least that there was something.
        text = text[: -2 * _HEAD] or "(a long text of personal values or numbers)"
    return text if whole and len(text) <= limit else text[: limit - 1] + "…"


def conceal(error: BaseException, known: Mapping[str, Any], secrets: Iterable[str] = ()) -> None:
    """Take these values out of an error's own words, for good: whatever is said of it later cannot hold them."""
    secrets = tuple(secrets)
    error.args = tuple(redact(a, 2000, known=known, secrets=secrets) if isinstance(a, str) else a for a in error.args)


def _longest_first(known: Mapping[str, Any], text: str) -> list[tuple[str, str]]:
    """What the text may hold of what is known, a whole name before its parts."""
    folded = _folded(text)
    found = {(label, own) for label, value in known.items() for own in _texts(value) if _may_hold(folded, own)}
    return sorted(found, key=lambda pair: (-len(pair[1]), pair))


def _may_hold(folded: str, value: str) -> bool:
    plain = _UNCHANGED.match(value)
    return plain is None or plain[1].lower() in folded


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    """The texts inside a field's value that are worth looking for."""
    if isinstance(value, str):
        text = value.strip()
        enough = len(text) >= (_FEWEST_DIGITS if text.isdecimal() else _SHORTEST)
        if enough and (text.lower() not in _VOCABULARY or text.lower() in _NAMES_TOO):
            yield text
    elif isinstance(value, (list, tuple, set, frozenset)) and depth < 5:  # the union is dearer
        for inner in value:
            yield from _texts(inner, depth + 1)
    elif isinstance(value, Mapping) and depth < 5:
        for inner in value.values():
            yield from _texts(inner, depth + 1)
    elif value is not None and not isinstance(value, bool | bytes | Mapping):
        yield from _texts(str(value), depth)


def _without(text: str, value: str, mark: str, *, words: bool, name: bool = False) -> str:
    """The text without a value, as it stands or as JSON, HTML and addresses write it."""
    if len(value) < _SHORTEST or not _may_hold(_folded(text), value):
        return text
    forms = {value}
    if not (value.isascii() and value.isalnum()):
        import html  # with a table of two thousand names, for what hardly any command has to hide

        forms |= {json.dumps(value)[1:-1], html.escape(value), quote(value, "", errors="replace")}
        forms |= {quote_plus(value, errors="replace")}
    for form in sorted(forms, key=len, reverse=True):
        text = _without_form(text, form, mark, words=words, name=name)
    return text


def _without_form(text: str, value: str, mark: str, *, words: bool, name: bool) -> str:
    haystack, needle = _folded(text), _folded(value)
    head = needle[:_HEAD]
    parts: list[str] = []
    done = 0
    at = haystack.find(head)
    while at >= 0:
        skipped = (words and _joined(haystack, at)) or (name and text[at : at + len(value)].islower())
        end = at if skipped else at + _agreement(haystack[at:], needle)
        if end == at or (words and _joined(haystack, end)):
            at = haystack.find(head, at + 1)
            continue
        parts += [text[done:at], mark]
        done = end
        at = haystack.find(head, end)
    return "".join([*parts, text[done:]]) if parts else text


def _agreement(text: str, needle: str) -> int:
    """How many characters both begin with."""
    if text.startswith(needle):
        return len(needle)
    most = min(len(text), len(needle))
    return next((at for at in range(most) if text[at] != needle[at]), most)


def _folded(text: str) -> str:
    """In lower case, every character where it was."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def _joined(text: str, at: int) -> bool:
    """Whether a word goes on across this place."""
    return 0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum()


def _credential(found: re.Match[str]) -> str:
    header, scheme, key = found.groups()
    return found[0] if not header and _WORDS.fullmatch(key) else f"{header}{scheme} [secret]"


def _phone(found: re.Match[str]) -> str:
    run, before = found[0], found.string[found.start() - 1] if found.start() else ""
    skipped = 0
    if before.isalnum() or before in ("_", "-"):
        # The end of a word or an id: what comes after it may still be a number.
        skipped = next((at for at, c in enumerate(run) if not c.isdecimal() and c != "-"), len(run))
    begin = next((at for at in range(skipped, len(run)) if run[at] in "+(" or run[at].isdecimal()), len(run))
    begin = max(begin, run.find("+", begin))
    end = len(run.rstrip(" \t\r\n\f\v().-+"))
    return f"{run[:begin]}[phone]{run[end:]}" if _is_phone(run[begin:end]) else run


def _is_phone(run: str) -> bool:
    """Eight digits or more, a sign or separators between. Plain runs of digits are ids and stay, and so do dates."""
    digits = sum(c.isdecimal() for c in run)
    if digits < 8 or _DATE.match(run):
        return False
    if run.startswith(("+", "(")):
        return True
    groups = run.replace("(", " ").replace(")", " ").replace(".", " ").replace("-", " ").split()
    if len(groups) == 2:
        return run.startswith("0") and len(groups[0]) >= 3
    return len(groups) > 2 and all(len(group) >= 2 for group in groups)
