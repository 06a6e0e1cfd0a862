"""States as WooCommerce codes them: mostly ISO 3166-2 with the country in front, for a few countries its own.

Facts: WooCommerce's `i18n/states.php`. Most codes (DE-NW, JP13, TR34, KE30, RS00, CA) are ISO's once the country is
taken off; the tables here hold those that are not.
"""

from collections.abc import Mapping

from synccore import values

__all__ = ["state_code"]

#: CN1 to CN32.
_CHINA = "YN BJ TJ HE SX NM LN JL HL SH JS ZJ AH FJ JX SD HA HB HN GD GX HI CQ SC GZ SN GS QH NX MO XZ XJ"
_OWN: Mapping[str, Mapping[str, str]] = {
    "CN": {f"CN{number}": code for number, code in enumerate(_CHINA.split(), 1)},
    "MX": {"DF": "CMX"},
    #: By ISO's names: its numbers were given anew in 2020.
    "IR": {
        "KHZ": "Khūzestān",
        "THR": "Tehrān",
        "ILM": "Īlām",
        "BHR": "Būshehr",
        "ADL": "Ardabīl",
        "ESF": "Eşfahān",
        "YZD": "Yazd",
        "KRH": "Kermānshāh",
        "KRN": "Kermān",
        "HDN": "Hamadān",
        "GZN": "Qazvīn",
        "ZJN": "Zanjān",
        "LRS": "Lorestān",
        "ABZ": "Alborz",
        "EAZ": "Āz̄ārbāyjān-e Shārqī",
        "WAZ": "Āz̄ārbāyjān-e Ghārbī",
        "CHB": "Chahār Maḩāl va Bakhtīārī",
        "SKH": "Khorāsān-e Jonūbī",
        "RKH": "Khorāsān-e Raẕavī",
        "NKH": "Khorāsān-e Shomālī",
        "SMN": "Semnān",
        "FRS": "Fārs",
        "QHM": "Qom",
        "KRD": "Kordestān",
        "KBD": "Kohgīlūyeh va Bowyer Aḩmad",
        "GLS": "Golestān",
        "GIL": "Gīlān",
        "MZN": "Māzandarān",
        "MKZ": "Markazī",
        "HRZ": "Hormozgān",
        "SBN": "Sīstān va Balūchestān",
    },
}


def state_code(typed: str | None, country: str | None) -> str | None:
    """ISO's plain code ("NW", "13") for a code; a name, and what ISO does not know, as typed without the country."""
    if typed is None or country is None:
        return typed
    own = _OWN.get(country, {}).get(typed.upper())
    found = values.state(own or typed, country)
    bare = typed.upper().removeprefix(country).lstrip("-")
    if found is not None and (own or found.code in (typed.upper(), bare, bare.zfill(2))):
        return found.code
    return typed.removeprefix(f"{country}-")
