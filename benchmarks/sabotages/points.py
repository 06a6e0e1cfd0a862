"""Mends of single faults taken back: trouble at any call, and something else before the next try, has to see them."""

from .form import core, plugin

__all__ = ["POINTS"]

POINTS = (
    plugin(
        "klaviyo",
        "let an opt-in make a profile ahead of the one that is written",
        "write.py",
        "return is_there and isinstance(outcome, Failed)",
        "return isinstance(outcome, Failed)",
        "tests/test_call_points.py",
    ),
    plugin(
        "klaviyo",
        "take a profile that a lost create made for one that was there before",
        "match.py",
        "marked=_is_ours(op, twin)",
        "marked=False",
        "tests/test_call_points.py",
    ),
    plugin(
        "klaviyo",
        "look for a lost create under the new address alone",
        "match.py",
        'if not operation.maybe_applied or not email or email == operation.fields.get("email"):',
        "if True:",
        "tests/test_call_points.py",
    ),
    plugin(
        "google_contacts",
        "forget by which fingerprints a contact is known that a lost create made",
        "prints.py",
        "found, missing = dict(own), unknown(own, person)",
        "found, missing = dict(own), set[str]()",
        "tests/test_call_points.py",
    ),
    plugin(
        "klaviyo",
        "forget the profile that an opt-out made whose answer was lost",
        "match.py",
        'return operation.fields.get("accepts_marketing") is False and _is_mere_refusal(profile["attributes"])',
        "return False",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[what they do after trouble again-marketing]",
    ),
    core(
        "let a guest's record take the place of the one that the account's own create may have made",
        "store/_rules/takeover.py",
        "        AND (o.maybe_applied = 1 OR o.state IN ('running', 'submitted')))\n",
        "        AND 0)\n",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[an account and a guest who become one-marketing]",
    ),
    plugin(
        "google_contacts",
        "take from a merged contact what a guest has there before the guest's own account comes",
        "whose.py",
        "        if not former:\n            return set()\n",
        "        if former:\n            return former - {op.uid}\n",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[an owner who joins two-contacts]",
    ),
    core(
        "make a restored account beside the guest that the backup does not know",
        "_delivery/doubtful.py",
        "former = _as_guest(item.work) | former",
        "pass",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[a backup of before-crm]",
    ),
    plugin(
        "salesforce",
        "take back: look again for an object that was missing",
        "match.py",
        "(r.guarded or r.keep or (r.key and not r.before))",
        "(r.guarded or r.keep)",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[where sales were first-known]",
    ),
    plugin(
        "salesforce",
        "take back: follow an order that changes hands to the new owner's account",
        "companies.py",
        "return moved or not row.op.previous",
        "return not row.op.previous",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[whom an order is billed to-selling]",
    ),
    plugin(
        "salesforce",
        "take back: empty at a company what was written for a customer who left it",
        "route.py",
        "        self._remover.leave_behind(rows, outcomes)\n",
        "",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[whom somebody works for-firms]",
    ),
    plugin(
        "salesforce",
        "take back: make a contact's account once without a key too, and leave no name behind a deleted contact",
        "companies.py",
        "        self._made.intend(records)\n",
        "",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[what is told of them where orders need an account-unkeyed]",
    ),
    plugin(
        "salesforce",
        "take back: look for what a lost create made also under the former address where no key tells",
        "match.py",
        "        if self._matching.key is None:\n",
        "        if False:\n",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[where no key tells-keyless]",
    ),
    plugin(
        "salesforce",
        "take back: say of an order whose items failed that it is there",
        "orders.py",
        "evolve(failed, partly=True)",
        "evolve(failed, partly=False)",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[whom an order is billed to-selling]",
    ),
    core(
        "delete before the facts are told",
        "_delivery/namesakes.py",
        "self._behind(route, items) | self._before_facts(items) | self._facts(route, items)",
        "self._behind(route, items) | self._facts(route, items)",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[what is told of who leaves-ledger]",
    ),
    core(
        "let an account and the guest whose address it gets be one at each target",
        "_delivery/lane.py",
        "        items = self._heirs.part(route, items, settlements, self._clock.now())\n",
        "",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[one of an account and a guest-ledger]",
    ),
    plugin(
        "klaviyo",
        "tell an opt-out with a new address by the one that Klaviyo knows after a lost answer",
        "write.py",
        "[op for op in operations if op.link and address_of(op) and _may_have_moved(op, outcomes.get(op.id))]",
        "list[Operation]()",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[what they do themselves twice-marketing]",
    ),
    plugin(
        "klaviyo",
        "opt out by the address that is theirs when it is carried out",
        "write.py",
        """        going = [op for op in operations if op.op in ("delete", "leave")]\n""",
        """        self._consent.opt_out([op for op in leaving if old_email(op)], address=old_email)
        going = [op for op in operations if op.op in ("delete", "leave")]\n""",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[what they do themselves twice-marketing]",
    ),
    plugin(
        "google_contacts",
        "take no contact for a customer's by its address while a lost one may turn up",
        "match/twin.py",
        'return self != Match() and self.by not in ("link", "marker")',
        "return False",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[who was typed in a moment before-contacts]",
    ),
    plugin(
        "google_contacts",
        "believe no listing that still shows a Google contact under its former name",
        "index.py",
        'missing["person"] if missing is not None else self._known_as(name)',
        'missing["person"] if missing is not None else None',
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[what an owner does that is shown late-contacts]",
    ),
    plugin(
        "google_contacts",
        "keep for ours what was renamed after a write of ours whose answer was lost",
        "prints.py",
        "return grown(before, after) and not (len(before) == 1 and _written_unheard(before[0], after))",
        "return grown(before, after)",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[what an owner does that is shown late-contacts]",
    ),
    plugin(
        "klaviyo",
        "take back: what a lost create made under the former address goes before who has the new one",
        "match.py",
        "return [ours.get(op.id, twin) for",
        "return [twin or ours.get(op.id) for",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[what others do-marketing]",
    ),
    core(
        "take back: let a clock that was set back make no change wait longer",
        "_delivery/claims.py",
        "min(since + linger - now, linger)",
        "since + linger - now",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[a clock that goes back-marketing]",
    ),
    core(
        "take back: let nobody wait longer for what a target asked where the clock was set back",
        "_set_back.py",
        "back = set_back(self._last, now)",
        "back = timedelta(0)",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[a clock that goes back-ledger]",
    ),
    core(
        "take back: let nobody wait longer for a quota where the clock was set back",
        "http/_budget.py",
        "if back := set_back(self._counted_at, now):",
        "if back := timedelta(0):",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[a clock that goes back-marketing]",
    ),
    plugin(
        "google_contacts",
        "take back: wait no longer for what a lost create may have made where the clock was set back",
        "known.py",
        "    if age < timedelta(0):\n",
        "    if False:\n",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[a clock that goes back-contacts]",
    ),
    core(
        "take back: send in full what changed since a backup, also where it changed back",
        "store/_rules/ingest.py",
        "if not moved and not self._may_have_been_another(change, known):",
        "if not moved:",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[a backup of between-crm]",
    ),
    core(
        "take back: doubt what a link says of what changed since a backup",
        "store/_rules/ingest.py",
        "doubt=2 if changed and self._facts.doubt else int(doubt),",
        "doubt=int(doubt),",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[a backup of between-crm]",
    ),
    core(
        "take back: write in full what another one may have written until records were exchanged",
        "store/_rules/exchange.py",
        "doubt = int(tx.execute(IN_DOUBT, at).fetchone() is not None)",
        "doubt = 0",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[who exchange it back-marketing]",
    ),
    plugin(
        "klaviyo",
        "take back: say of what failed that a number was taken off for it",
        "write.py",
        "op.link.remote_id in course.begun",
        "False",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[who exchange it back-marketing]",
    ),
    core(
        "take back: show that an order waits for its new owner, also where both have one number",
        "_delivery/prepare.py",
        "work.parent_ref != itself",
        "work.parent_ref.key != itself.key",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[an order and an account of one number-ledger]",
    ),
    core(
        "take back: ask what a lost create made before who exchange addresses exchange records",
        "_delivery/namesakes.py",
        "asked = {id(item) for item in some if item.work.delivery.key in keys}",
        "asked: set[int] = set()",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[addresses that go round-ledger]",
    ),
    core(
        "take back: let a circle wait for who stands outside",
        "store/_rules/namesakes.py",
        "FROM (SELECT start, key FROM behind EXCEPT SELECT start, key FROM before) o",
        "FROM behind o GROUP BY start HAVING max(CASE WHEN key = start THEN 1 ELSE 0 END) = 0",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[addresses that go round-ledger]",
    ),
    core(
        "take back: delete a record whose last two go at once",
        "store/_rules/claim.py",
        "shared=link.shared - self._going_before(delivery)",
        "shared=link.shared",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[two who were joined leave-contacts]",
    ),
    core(
        "take back: tell of who registers anew once the deletion of who had that address is through",
        "_delivery/namesakes.py",
        "            waiting |= {which: WAITS for which, key in owners.items() if key in going}\n",
        "",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[what is told of who left and comes again-marketing]",
    ),
    core(
        "take back: make anew by a repair whom a target with one record for an address has made one with another",
        "_verbs/verify.py",
        "self._repairs[link.key] = gone if mates else _as_it_is(link, names, remote)",
        "self._repairs[link.key] = _as_it_is(link, names, remote)",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[who exchange the address of a change without an answer-marketing]",
    ),
    plugin(
        "google_contacts",
        "take back: take the address of who is forgotten off another customer's contact, however it came there",
        "write/plan.py",
        "            merge.claim_addresses()\n",
        "            pass\n",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[one of two who were joined is forgotten-contacts]",
    ),
    plugin(
        "google_contacts",
        "forget nobody who has no link on a merged contact",
        "erase.py",
        "fields={n: v for n, v in held.items() if v})",
        "fields={})",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[one of two who were joined is forgotten-contacts]",
    ),
    core(
        "tell a state of somebody by an address under which they are not delivered yet",
        "_delivery/namesakes.py",
        'item.operation.op == "event" or (item.operation.op == "upsert" and route in self._told)',
        'item.operation.op == "event"',
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[states that are told of who does something else-telling]",
    ),
    plugin(
        "klaviyo",
        "take the same change of a state for one that was told before",
        "events.py",
        "return str(int((link.delivered_at or operation.at).timestamp()))",
        'return "first"',
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[what becomes of it again and again-telling]",
    ),
    plugin(
        "klaviyo",
        "take back: tell of an order that was placed, though it changed before anything was told",
        "events.py",
        "not operation.previous and _since(",
        "False and _since(",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[states that are told of them-telling]",
    ),
    plugin(
        "google_contacts",
        "put our label on no contact that was there before",
        "write/plan.py",
        "add = label if (label != own.label or back) and not labelled else None",
        "add = None",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[who was typed in a moment before-contacts]",
    ),
    core(
        "try what waits for a parent that is gone again and again",
        "store/_rules/settle.py",
        'wait = settlement.wait if row["waiting_since"] is None else None',
        "wait = settlement.wait",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[whom an owner deletes while theirs is told-crm]",
    ),
    plugin(
        "salesforce",
        "give up what hangs under a contact that is gone",
        "rows/follow.py",
        "waits_for_parent(row) if lost_parent else None",
        "None",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[whom an owner deletes while theirs is told-crm]",
    ),
    core(
        "leave under its former twin what hangs on a record that has another one",
        "store/_rules/settle.py",
        "    owe_hanging(pen, (row for row, s in held if s.link is not None and s.link.moved), now)\n",
        "",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[whom an owner deletes while theirs is told-ledger]",
    ),
    core(
        "exchange the records of people while one of them is being sent",
        "store/_rules/exchange.py",
        "if tx.execute(UNDER_WAY, at).fetchone() is not None:",
        "if tx.execute(UNDER_WAY, at).fetchone() == ():",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[who exchange addresses while a job has one-importing]",
    ),
    plugin(
        "google_contacts",
        "call by the shop's name whom the owner typed in by another",
        "merge.py",
        "if current and (keep or not self._gives_way(spec, current, text)):",
        "if current and keep:",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[whom the owner typed in by a name of their own-personal]",
    ),
    core(
        "keep erased what a forgetting took from somebody whose address it is no more",
        "_verbs/forget.py",
        "    give_back(app, email_digest(email))\n",
        "",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[who is forgotten instead of another one-known]",
    ),
    plugin(
        "klaviyo",
        "take the profile of another record for what a lost create made",
        "match.py",
        "{n: v for n, v in sent.items() if v == operation.key} or {",
        "{",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[whose address somebody has while they are turned away-marketing]",
    ),
    core(
        "take back: owe those again who can have now what another one had",
        "store/_rules/settle.py",
        "        for one in settlement.frees:\n            _owe_freed(pen, row, one, now)\n",
        "",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[numbers that go from one to another-calling]",
    ),
    plugin(
        "klaviyo",
        "take back: ask once more about a number that another one had, where it may be free by now",
        "profile.py",
        "return None if operation.maybe_applied and link.left_out[name] == FOREIGN else link.left_out[name]",
        "return link.left_out[name]",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[numbers that go from one to another-calling]",
    ),
    plugin(
        "klaviyo",
        "take back: tell of whom an order goes to what was told of it before",
        "track.py",
        "        before = frozenset[str](self._state.get(half) or ()) if len(events) > 1 else frozenset[str]()\n",
        "        before = frozenset[str]()\n",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[states that are told of them-telling]",
    ),
    plugin(
        "google_contacts",
        "take back: note whose a contact that was there before is to be",
        "write/send.py",
        "        round_.index.intents.aim(found)\n",
        "        pass\n",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[whom the owner typed in, and who moves-contacts]",
    ),
    plugin(
        "google_contacts",
        "leave what the link does not know on a merged contact of who is forgotten",
        "write/plan.py",
        "shared=shared, theirs=theirs, inherited=gone\n",
        "shared=shared, theirs=theirs\n",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[who was joined, left and is forgotten-contacts]",
    ),
    plugin(
        "google_contacts",
        "call a contact gone of which an answer says nothing",
        "client.py",
        'if len(answer["responses"]) < len(set(names[start : start + READ_BATCH])):',
        "if False:",
        "tests/test_call_points.py::test_with_trouble_at_any_of_its_calls_verify_says_nothing_that_is_not_so[forgetful]",
    ),
    plugin(
        "salesforce",
        "take a column that is missing for one that is empty",
        "shapes.py",
        "_within(record, relations)[name] = _cell(name)",
        '_within(record, relations)[f"{name}?"] = _cell(name)',
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[whose answer lacks a column-holey]",
    ),
    plugin(
        "klaviyo",
        "take back: unsubscribe whom a backup does not know that we subscribed",
        "consent.py",
        "            elif op.maybe_applied and not now and before is not True:\n                unsure.append(op)\n",
        "",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[a backup of between-marketing]",
    ),
    core(
        "take back: doubt a guest who is one again",
        "store/_rules/ingest.py",
        "            self._again.add((change.entity, change.key))\n",
        "            pass\n",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[a guest who registers, and what comes then-ledger]",
    ),
    core(
        "take back: wait for the guest and the account who had an address",
        "store/_rules/namesakes.py",
        "(p.replaced_by IS NULL OR {_ITS_HEIR})",
        "p.replaced_by IS NULL",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[who gets a guest's address, and what comes then-ledger]",
    ),
    core(
        "take back: let whoever took a guest's record over give up the address that stands there",
        "store/_rules/namesakes.py",
        "    AND route NOT IN (SELECT value FROM json_each(:taken))\n",
        "    AND :taken IS NOT NULL\n",
        "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
        "[who gets a guest's address, and what comes then-ledger]",
    ),
)
