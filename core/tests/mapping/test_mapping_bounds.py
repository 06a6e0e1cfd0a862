"""No expression takes the process's memory or time, whatever stands in it and whatever the record holds."""

import time
import tracemalloc

import pytest

from synccore.config import ConfigProblems
from synccore.entities import Customer
from synccore.errors import MappingError
from synccore.testing import customer  # noqa: F401  the kit is importable beside the mapper

from .test_mapping_expressions import ANN, compiled, value

#: Needs no record: a mistake of the configuration.
HOPELESS = [
    "'x' * 10**9",
    "10**9 * 'x'",
    "2**(2**30)",
    "9**(9**9)",
    "[0] * 10**8",
    "'x'.ljust(10**9)",
    "'x'.zfill(999999999)",
    "'x' | center(10**9)",
    "'x' | center(1000000000)",
    "('a' * 999999) | replace('a', 'bbbb')",
    "'%1000000000d' % 1",
    "'%*d' % (10**9, 1)",
    "'%.1000000000f' | format(1)",
    "'{:>1000000000}'.format(1)",
    "'{:{w}}'.format(1, w=10**9)",
    "range(10**9)",
    "('x' * 999999).replace('x', 'yyyy')",
    "(5).to_bytes(10**9, 'big')",
    "'a\\tb'.expandtabs(10**9)",
    "[1] | batch(10**9, 'x')",
    "('x\\n' * 9999) | indent(9999)",
    "'9' ~ ('x' * 10**7)",
]
#: Needs a record to be known.
GROWING = [
    "customer.first_name * (10**9)",
    "(10 + customer.meta.n) ** (10**7)",
    "customer.first_name.ljust(10**6 * customer.meta.n)",
    "customer.first_name | center(10**6 * customer.meta.n)",
    "('%' ~ 10**(4 + customer.meta.n) ~ 'd') % 1",
    "range(customer.meta.n * 10**6) | list",
    "([customer.first_name] * 99999) | join('x' * 999)",
    "{% set ns = namespace(x='x') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x='x') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=7) %}{% for i in range(99) %}{% set ns.x = ns.x * ns.x %}{% endfor %}{{ ns.x }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% for a in range(99999) %}{{ customer.first_name * 100 }}{% endfor %}",
    "{% macro f(n) %}{{ f(n + 1) }}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{% set x %}{% for a in range(99999) %}{{ customer.first_name * 100 }}{% endfor %}{% endset %}{{ x | length }}",
]


@pytest.fixture(autouse=True)
def bounded():
    """Within 64 MB and some seconds."""
    tracemalloc.start()
    began = time.thread_time()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64_000_000
    assert time.thread_time() - began < 20


@pytest.mark.parametrize("expression", HOPELESS)
def test_what_can_never_work_is_refused_by_check(expression):
    with pytest.raises(ConfigProblems) as found:
        compiled({"F": expression})
    assert "fields.F" in str(found.value)
    assert "Error" not in str(found.value)


@pytest.mark.parametrize("expression", GROWING)
def test_what_grows_with_the_record_is_refused_before_it_does(expression):
    with pytest.raises(MappingError, match=r"routes\.r\.fields\.F: ") as found:
        value(expression)
    assert any(word in found.value.message for word in ("more than", "longer than", "calls itself"))


@pytest.mark.parametrize(
    "expression",
    [
        "(" * 5000 + "1" + ")" * 5000,
        "[" * 3000 + "]" * 3000,
        "not " * 4000 + "1",
        "9" * 5000,
        "1" + "+1" * 9000,
        "x" * 30_000,
    ],
    ids=lambda e: f"{e[:6]} x {len(e)}",
)
def test_what_is_nested_or_long_beyond_reason_is_a_mistake_of_the_configuration(expression):
    with pytest.raises(ConfigProblems) as found:
        compiled({"F": expression})
    assert "Error" not in str(found.value)
    assert len(str(found.value)) < 500


def nested(depth):
    found = []
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize(
    "expression",
    ["customer.meta.deep", "customer.meta.deep | tojson", "customer.meta.deep ~ ''"],
)
def test_a_record_nested_beyond_reason_is_no_bug(expression):
    deep = Customer(key="1", meta={"deep": nested(50_000)})
    with pytest.raises(MappingError, match=r"deeply|kind"):
        value(expression, deep)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("2 ** 10 + 3 * 4", 1036),
        ("'-' * 3 ~ customer.key", "---12"),
        ("'%05.1f' % 3.14159", "003.1"),
        ("'100 %% of %s in 12345' | format('x')", "100 % of x in 12345"),
        ("'{:>4}|{}'.format(7, 123456)", "   7|123456"),
        ("'a' | center(5)", "  a  "),
        ("[1, 2] + [3]", [1, 2, 3]),
        ("{% for i in range(3) %}{{ loop.last }}{{ loop.length }} {% endfor %}", "False3 False3 True3 "),
        ("range(3) | list", [0, 1, 2]),
        ("(['a'] * 3) | join(', ')", "a, a, a"),
        ("'a-b' | replace('-', '+')", "a+b"),
    ],
)
def test_what_is_of_this_world_works(expression, expected):
    assert value(expression, ANN) == expected
