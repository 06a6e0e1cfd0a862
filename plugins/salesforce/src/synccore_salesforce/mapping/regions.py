"""States and countries: with Salesforce's picklists switched on, codes instead of names, and only codes the org knows.

What describe lists (with `validFor`, which state is whose) is not tried in vain; where describe does not say, a
refusal is remembered.
"""

from synccore.values import state

from ..schema import Catalog, Field, Schema
from .row import Row

__all__ = ["fit_regions", "without_region"]

NO_STATE, NO_COUNTRY = "the org has no such state for the country", "the org does not know this country"


def fit_regions(row: Row, schema: Schema, catalog: Catalog) -> None:
    """Make all addresses of a row fit what the org knows."""
    for target in list(schema.fields.values()):
        if target.name.endswith("CountryCode"):
            _Address(row, schema, catalog, target.name.removesuffix("CountryCode")).fit(target)


class _Address:
    def __init__(self, row: Row, schema: Schema, catalog: Catalog, prefix: str) -> None:
        self._row = row
        self._schema = schema
        self._catalog = catalog
        self._country, self._state = f"{prefix}CountryCode", f"{prefix}StateCode"
        self._names = {self._country: f"{prefix}Country", self._state: f"{prefix}State"}

    def fit(self, target: Field) -> None:
        row = self._row
        for code, name in self._names.items():
            if row.mapped_name(code):
                row.drop(name, f"sent as {code}")
        country = self._mapped(self._country)
        if row.fields.get(self._country) is not None and target.choices:
            known = target.choose(str(row.fields[self._country]))
            if known is None:
                row.refuse(self._country, NO_COUNTRY)
                row.refuse(self._state, NO_COUNTRY)
                row.notes.append(f"{self._country} left out: {NO_COUNTRY}")
                return
            row.fields[self._country] = country = known
        self._fit_state(country)

    def _fit_state(self, country: str | None) -> None:
        row, target = self._row, self._schema.get(self._state)
        value = row.fields.get(self._state)
        if target is None or value is None or not target.choices:
            return
        text = str(value)
        known = target.choose(text, country)
        if known is None and (read := state(text, country)):
            known = target.choose(read.code, country) or target.choose(read.name, country)
        if known is None or self._catalog.is_refused(known, country or ""):
            # Whether the old one is still there or not: it is not the new one's.
            self._leave_state()
            return
        row.fields[self._state] = known
        if country and self._country not in row.fields:
            # A state is refused without its country.
            row.fields[self._country] = country

    def _leave_state(self) -> None:
        row = self._row
        row.refuse(self._state, NO_STATE)
        row.notes.append(f"{self._state} left out: {NO_STATE}")

    def _mapped(self, name: str) -> str | None:
        mapped = self._row.mapped_name(name)
        value = self._row.op.fields.get(mapped) if mapped else None
        return str(value) if value else None


def without_region(row: Row, catalog: Catalog, names: tuple[str, ...]) -> bool:
    """The org refused an address: leave the states out, then the countries. False where both were left out already."""
    states = [n for n in row.fields if n.endswith(("StateCode", "State")) and row.fields[n] is not None]
    countries = [n for n in row.fields if n.endswith(("CountryCode", "Country")) and row.fields[n] is not None]
    guilty = [n for n in states if n in names] or states
    if guilty:
        for name in guilty:
            country = row.fields.get(name.replace("State", "Country")) or ""
            catalog.remember_refused(str(row.fields[name]), str(country))
            row.refuse(name, NO_STATE)
        row.notes.append(f"{', '.join(guilty)} left out: {NO_STATE}")
        return True
    for name in countries:
        row.refuse(name, NO_COUNTRY)
    if countries:
        row.notes.append(f"{', '.join(countries)} left out: {NO_COUNTRY}")
    return bool(countries)
