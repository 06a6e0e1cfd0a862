"""What people say about marketing, to the shop and to a target, and who is mailed against their last word."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from .moments import CONSENT
from .targets import Klaviyo, Target

if TYPE_CHECKING:
    from .world import World

__all__ = ["Words", "against"]

#: Whose no is known and owed, of somebody whom nothing keeps from being told: no failure, no quota, no outage.
OWED = """
SELECT d.id FROM snapshot s CROSS JOIN delivery d ON d.source = s.source AND d.entity = s.entity AND d.key = s.key
WHERE s.source = 'shop' AND s.entity = 'customer' AND s.email = :email AND s.deleted = 0
    AND s.data ->> 'accepts_marketing' = 0 AND d.sink = :sink AND d.state = 'ready' AND d.event IS NULL
    AND d.error_kind IS NULL AND d.due_at <= :now AND (d.blocked = 0 OR :asked)
    AND NOT EXISTS (SELECT 1 FROM lane l WHERE l.sink = :sink AND l.state <> 'ok')
"""
#: Long enough for a target to carry out what it was told.
SOON = timedelta(seconds=1)
#: The longest that anybody waits for a quota or a target in trouble.
PATIENCE = timedelta(minutes=5)


class Words:
    """The last word that was said to the shop with each address, and when."""

    def __init__(self, world: "World") -> None:
        self._world = world
        #: And the account that said it; 0: a guest.
        self.said: dict[str, tuple[str, int]] = {}
        self.at: dict[str, datetime] = {}
        #: Account, or a guest's address -> when they ordered last and said something, with which order, and what.
        self._ordered: dict[int | str, tuple[str, int, str]] = {}
        #: Order of somebody who said yes long before anybody heard of them: the past, and no word to anybody here.
        self.past: dict[int, str] = {}
        #: Address -> since when it is known that they say no, though they are mailed and nothing stood in the way.
        self._kept_waiting: dict[str, datetime] = {}
        #: Target -> when there was trouble with it last.
        self._troubled: dict[str, datetime] = {}
        #: What must not have been so.
        self.seen: list[str] = []

    def listen(self) -> None:
        """Remember what people say; who registers anew and says nothing takes nothing back. What the shop knows of an
        account itself goes before what was said at a checkout, of which the last counts."""
        shop = self._world.shop
        for number, order in shop.orders.items():
            if (word := _word(order)) and number not in self._world.left:
                whose = order["customer_id"] or order["billing"]["email"]
                known, said = self._ordered.get(whose, ("", 0, "")), (order["date_created_gmt"], number, word)
                if said > known:
                    self._ordered[whose] = said
                    if isinstance(whose, str) and number not in self.past:
                        self._hear(whose, word, 0)
        for number, customer in shop.customers.items():
            if word := _word(customer) or self._ordered.get(number, ("", 0, ""))[2]:
                self._hear(customer["email"], word, number)

    def _hear(self, email: str, word: str, number: int) -> None:
        self._world.excuses.unheard.discard(email)
        if self.said.get(email, ("", 0))[0] != word:
            self.at[email] = self._world.clock.now()
        self.said[email] = word, number

    # -- at any moment

    def before_a_round(self) -> None:
        """Of everything that a daemon does: what was told in the last one is done, and where there was trouble lately
        somebody may wait."""
        self.look_again()
        for target in self._klaviyos():
            if target.server.has_faults:
                self._troubled[target.name] = self._world.clock.now()

    def look(self) -> None:
        """After it: who says no, and is mailed still."""
        now = self._world.clock.now()
        for target in self._klaviyos():
            if target.name in self._troubled and now - self._troubled[target.name] < PATIENCE:
                continue
            for email in target.mailed() - target.asked_for_mail:
                if self.said.get(email, ("", 0))[0] == "no" and self._owed(email, target):
                    self._kept_waiting[email] = now

    def _klaviyos(self) -> list[Klaviyo]:
        return [target for target in self._world.targets.values() if isinstance(target, Klaviyo)]

    def _owed(self, email: str, target: Target) -> bool:
        # Who has an address now is not known as long as the operator has the shop not asked.
        values = {"email": email, "sink": target.name, "asked": "shop" not in self._world.heard.held}
        values["now"] = int(self._world.machine.now().timestamp() * 1000)
        with self._world.store.peek() as view:
            return view.execute(OWED, values).fetchone() is not None

    def look_again(self) -> None:
        """Before anything else happens: what was told is done by now."""
        waiting, self._kept_waiting = self._kept_waiting, {}
        for email, at in waiting.items():
            if self._world.clock.now() - at < SOON:
                self._kept_waiting[email] = at
            elif any(email in target.mailed() for target in self._klaviyos()):
                self.seen.append(f"{email} gets mail, and nothing stood between that and the no that was known")


def against(world: "World", target: Target, email: str) -> str | None:
    """Why somebody who is mailed should not be."""
    words = world.words
    word, number = words.said.get(email, (None, 0))
    if not isinstance(target, Klaviyo):
        # What knows no more than the word takes one of long ago for one.
        return None if word == "yes" or email in words.past.values() else f"the shop's last word is {word}"
    left = target.unsubscribed.get(email)
    if word == "yes" and left is not None and words.at[email] <= left:
        return "they unsubscribed there, and the shop has said nothing new since"
    if word == "yes" and world.accounts().get(number, {"email": email})["email"] != email:
        return f"on the word of {number}, who has another address"
    former = [address for address, n in world.given_up.items() if _is_now(world, n, email)]
    if word is None and any(words.said.get(address, ("", 0))[0] == "yes" for address in former):
        return None  # they said so with an address that they had before, as a guest of whom only that is known
    return None if word == "yes" else f"the shop's last word is {word}"


def _is_now(world: "World", number: int, email: str) -> bool:
    return bool(world.shop.customers.get(number, {}).get("email") == email)


def _word(record: Mapping[str, Any]) -> str:
    return next((row["value"] for row in record["meta_data"] if row["key"] == CONSENT), "")
