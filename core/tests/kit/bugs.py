"""What breaks a sound sink: a bug for each case of the contract, by the method it sits in."""

import logging
import sys
from collections.abc import Callable
from typing import Any

import structlog
from attrs import evolve

from synccore.errors import AuthError, BatchRejected, RateLimited, Rejected, Transient
from synccore.testing.strategies import HOSTILE_TEXTS
from synccore.types import Account, Check, Delivered, Failed, FieldInfo, ObjectInfo

__all__ = ["BUGS", "prints_what_it_writes", "tells_the_librarys_log"]

#: case -> (method of the sink, what replaces it; `real` is the sound one)
Bug = tuple[str, Callable[..., Any]]


def refuses_all_for_one(real, sink, operations):
    outcomes = real(sink, operations)
    for outcome in outcomes:
        if isinstance(outcome, Failed) and isinstance(outcome.error, Rejected):
            raise outcome.error
    return outcomes


def blames_all_for_one(real, sink, operations):
    outcomes = real(sink, operations)
    refused = [o for o in outcomes if isinstance(o, Failed) and isinstance(o.error, Rejected)]
    return [refused[0]] * len(outcomes) if refused else outcomes


def dead_letters_outages(real, sink, operations):
    return [
        Failed(Rejected("it did not work")) if isinstance(o, Failed) and isinstance(o.error, Transient) else o
        for o in real(sink, operations)
    ]


def believes_an_error(real, sink, operations):
    outcomes = real(sink, operations)
    return [
        Failed(Transient("502")) if isinstance(o, Failed) and isinstance(o.error, Transient) else o for o in outcomes
    ]


def takes_the_answer_as_it_is(real, sink, operation):
    if operation.link is not None or operation.op != "upsert":
        return real(sink, operation)
    body = {**operation.fields, "external_id": operation.uid}
    return Delivered(remote_id=sink._client.call("POST", "/people", json=body)["id"].strip())


def forgets_its_first_call(real, sink, operation):
    outcome = real(sink, operation)
    if operation.link is not None and operation.op == "upsert":
        sink._client.call("PATCH", f"/people/{operation.link.remote_id}", json={})
    return outcome


def forgets_that_it_made_one(real, sink, operation):
    outcome = real(sink, operation)
    if operation.link is None and operation.op == "upsert":
        sink._client.call("PATCH", f"/people/{outcome.remote_id}", json={})
    return outcome


def looks_and_touches(real, sink, operations):
    for operation in operations:
        sink._client.call("POST", "/people", json={"email": "x@shop.test", "external_id": operation.uid})
    return real(sink, operations)


def fails_on_second_erase(real, sink, link):
    if sink._client.call("GET", f"/people/{link.remote_id}") is None:
        raise KeyError(link.remote_id)
    real(sink, link)


def chokes_on(real, sink, operation):
    if HOSTILE_TEXTS["emoji"] in operation.fields.values():
        raise UnicodeError("surprised by a text")
    return real(sink, operation)


def forgets_whom_it_wrote(real, sink, operation):
    outcome = real(sink, operation)
    return evolve(outcome, remote_id=None) if isinstance(outcome, Delivered) else outcome


def sends_nothing_on_update(real, sink, operation):
    if operation.link:
        return Delivered(remote_id=operation.link.remote_id, fields=operation.link.fields)
    return real(sink, operation)


def creates_again(real, sink, operation):
    return real(sink, operation if operation.op == "delete" else evolve(operation, link=None))


def dodges_a_taken_address(real, sink, operation):
    """Makes the second account's address another one, so that the target takes it as somebody else."""
    if operation.key == "0":
        return real(sink, operation)
    return real(sink, evolve(operation, fields={**operation.fields, "email": f"2.{operation.fields.get('email')}"}))


def deletes_what_is_gone(real, sink, operation):
    outcome = real(sink, operation)
    if operation.op == "delete":
        raise LookupError("nothing there")
    return outcome


def is_gone(sink, operation):
    return operation.link is not None and sink.read([operation.link]) == [None]


def finds_by_address(real, sink, operation):
    link = real(sink, operation)
    held = sink.read([link])[0] if link else None
    return link if held and held["email"] == operation.fields["email"] else None


def empties_nothing_it_found(real, sink, operation):
    """Takes what nobody heard of for the owner's."""
    if operation.link is not None and not operation.link.fields:
        there = {n: v for n, v in operation.fields.items() if v is not None}
        operation = evolve(operation, fields=there, changed=operation.changed & there.keys())
    return real(sink, operation)


def trusts_the_link(real, sink, operation):
    if operation.op == "upsert" and is_gone(sink, operation):
        raise KeyError(operation.link.remote_id)
    return real(sink, operation)


def keeps_and_forgets(real, sink, operation):
    return Delivered() if operation.op == "delete" else real(sink, operation)


def must_find_what_it_deletes(real, sink, operation):
    if operation.op == "delete" and is_gone(sink, operation):
        raise LookupError("nothing there")
    return real(sink, operation)


def deletes_by_address(real, sink, operation):
    if operation.op == "delete" and operation.link:
        for there in sink._client.call("GET", "/people", params={"email": operation.link.fields["email"]}):
            sink._client.call("DELETE", f"/people/{there['id']}")
        return Delivered()
    return real(sink, operation)


def shows_its_token(real, sink):
    return "SampleCrmSink(token=test-token)"


def expects_text(real, sink, operation):
    for value in operation.fields.values():
        value.strip()
    return real(sink, operation)


def drops_blanks(real, sink, operation):
    return real(sink, evolve(operation, fields={n: v for n, v in operation.fields.items() if v is not None}))


def takes_ten_at_most(real, sink, operations):
    if len(operations) > 10:
        raise BatchRejected("at most 10 at once")
    return real(sink, operations)


def looks_at_the_first_page(real, sink, operation):
    return real(sink, operation) if int(operation.key) < 20 else None


def logs_whom_it_writes(real, sink, operation):
    structlog.get_logger().info("saved", **operation.fields)
    return real(sink, operation)


def tells_the_librarys_log(real, sink, operation):
    logging.getLogger("crm").info("saved %s", operation.fields)
    return real(sink, operation)


def prints_what_it_writes(real, sink, operation):
    sys.stdout.write(f"{operation.fields}\n")
    return real(sink, operation)


def remembers_what_it_wrote(real, sink, operation):
    sink.read = lambda links: [operation.fields for _ in links]
    return real(sink, operation)


def takes_a_page_for_gone(real, sink, *args):
    try:
        return real(sink, *args)
    except Transient:
        return None


def takes_its_own_for_found(real, sink, operation):
    """Finds by its own id, and does not say so."""
    link = real(sink, operation)
    return link and evolve(link, marked=False)


def takes_a_telephone_for_a_person(real, sink, operation):
    known, phone = sink.__dict__.setdefault("known", {}), operation.fields.get("phone")
    if operation.link is None and phone in known:
        return evolve(known[phone], fields=operation.fields)
    known[phone] = real(sink, operation)
    return known[phone]


def tries_again_at_once(real, sink, operation):
    try:
        return real(sink, operation)
    except RateLimited:
        return real(sink, operation)


def remembers_by_address(real, sink, operation):
    sink._client._context.state().put({f"seen:{operation.fields.get('email')}": 1})
    return real(sink, operation)


def believes_whoever_answers(real, sink):
    return Check(account=Account(id=sink._client.call("GET", "/account")["id"], label="Ours"))


def loses_a_field_in_bulk(real, sink, operation):
    if not operation.bulk:
        return real(sink, operation)
    sent = {name: value for name, value in operation.fields.items() if name != "first_name"}
    return evolve(real(sink, evolve(operation, fields=sent)), fields=operation.fields)


def claims_deletions_in_bulk(real, sink, operation):
    return Delivered() if operation.op == "delete" and operation.bulk else real(sink, operation)


def makes_all_anew_for_one(real, sink, operations):
    gone = any(is_gone(sink, operation) for operation in operations)
    return real(sink, [evolve(operation, link=None) for operation in operations] if gone else operations)


def takes_what_it_did_not_hear_of_for_found(real, sink, operation):
    known = sink.__dict__.setdefault("unheard", set())
    try:
        outcome = real(sink, operation)
    except Transient:
        known.add(operation.uid)
        raise
    return evolve(outcome, adopted=True) if operation.uid in known else outcome


def makes_another_for_a_new_key(real, sink, operation):
    known, link = sink.__dict__.setdefault("known", {}), operation.link
    mine = link is None or known[link.remote_id] == operation.uid
    outcome = real(sink, operation if mine else evolve(operation, link=None))
    return known.update({outcome.remote_id: operation.uid}) or outcome


def takes_a_refusal_for_gone(real, sink, link):
    try:
        return real(sink, link)
    except AuthError:
        return None


BUGS: dict[str, Bug] = {
    "what_comes_in_bulk_arrives_whole": ("_write", loses_a_field_in_bulk),
    "a_deletion_that_a_comparison_finds_is_one_like_any_other": ("_write", claims_deletions_in_bulk),
    "one_that_was_deleted_by_hand_leaves_its_mates_alone": ("deliver", makes_all_anew_for_one),
    "a_refusal_is_no_answer": ("erase", takes_a_refusal_for_gone),
    "checking_asks_the_target": ("check", lambda real, sink: Check(account=Account(id="a1", label="Ours"))),
    "checking_says_in_words_what_it_cannot_read": ("check", believes_whoever_answers),
    "reading_asks_the_target": ("read", lambda real, sink, links: [dict(link.fields) for link in links]),
    "logs_hold_no_personal_data": ("_write", logs_whom_it_writes),
    "nobody_is_remembered_who_was_erased": ("_write", remembers_by_address),
    "reading_sees_what_others_wrote": ("_write", remembers_what_it_wrote),
    "a_field_the_shop_emptied_is_empty_there": ("_write", drops_blanks),
    "two_who_share_a_telephone_stay_two": ("_write", takes_a_telephone_for_a_person),
    "a_whole_batch_is_one_that_the_target_takes": ("deliver", takes_ten_at_most),
    "looking_up_finds_everybody": ("_find", looks_at_the_first_page),
    "a_page_in_between_makes_nobody_gone": ("erase", takes_a_page_for_gone),
    "a_foreign_200_is_no_proof_of_an_erasure": ("erase", takes_a_page_for_gone),
    "whom_a_lost_answer_made_is_deleted_like_all_others": ("_find", takes_its_own_for_found),
    "a_rate_limit_that_lasts_is_not_asked_again_within_the_call": ("_write", tries_again_at_once),
    "check_names_the_account": ("check", lambda real, sink: Check()),
    "describe_lists_the_object": ("describe", lambda real, sink: []),
    "an_empty_call_is_fine": ("deliver", lambda real, sink, ops: real(sink, ops) if ops else [ops[0]]),
    "what_people_are_shown_asks_nobody": (
        "page_of",
        lambda real, sink, link: f"https://crm.test/{link.remote_id}?{sink.check().account.id}",
    ),
    "closing_twice_is_fine": ("close", lambda real, sink: sink._client.__dict__.pop("_http").close()),
    "a_record_arrives_once": ("_write", lambda real, sink, op: (real(sink, op), real(sink, op))[1]),
    "the_same_state_again_writes_nothing": ("_write", forgets_whom_it_wrote),
    "a_change_updates_the_same_record": ("_write", creates_again),
    "a_changed_address_follows_the_record": ("_write", sends_nothing_on_update),
    "outcomes_keep_the_order_of_operations": ("deliver", lambda real, sink, ops: real(sink, ops)[::-1]),
    "a_lost_answer_makes_no_second_record": ("lookup", lambda real, sink, ops: [None] * len(ops)),
    "who_registers_again_before_the_deletion_was_followed_is_there_once": ("_write", dodges_a_taken_address),
    "a_crash_after_the_call_makes_no_second_record": ("lookup", lambda real, sink, ops: [None] * len(ops)),
    "a_restored_backup_makes_no_second_record": ("lookup", lambda real, sink, ops: [None] * len(ops)),
    "an_outage_parks_nothing_and_uses_no_attempt": ("deliver", dead_letters_outages),
    "one_refused_record_leaves_its_mates_alone": ("deliver", refuses_all_for_one),
    "hostile_text_is_delivered_or_refused": ("_write", chokes_on),
    "a_bare_record_is_delivered_or_refused": ("_write", lambda real, sink, op: op.fields["first_name"]),
    "a_deletion_of_what_is_gone_already_is_fine": ("_write", deletes_what_is_gone),
    "erasing_twice_is_fine": ("erase", fails_on_second_erase),
    "looking_up_finds_what_was_delivered_and_writes_nothing": ("lookup", looks_and_touches),
    "a_new_address_after_a_lost_answer_makes_no_second_record": ("_find", finds_by_address),
    "a_record_deleted_at_the_target_is_made_again_or_refused": ("_write", trusts_the_link),
    "a_customer_who_returns_is_one_record": ("_write", keeps_and_forgets),
    "what_an_unheard_update_wrote_is_undone_with_it": ("deliver", believes_an_error),
    "what_an_unheard_update_wrote_where_nothing_was_is_emptied_with_it": ("deliver", believes_an_error),
    "what_an_unheard_create_wrote_is_emptied_with_it": ("_write", empties_nothing_it_found),
    "what_a_refused_update_wrote_in_part_is_undone_with_it": ("_write", forgets_its_first_call),
    "whom_a_create_made_that_failed_midway_is_deleted_like_all_others": ("_write", forgets_that_it_made_one),
    "a_guest_whose_create_was_lost_and_who_registers_is_as_the_account_is": ("deliver", believes_an_error),
    "a_guest_whose_create_was_lost_and_who_exchanges_is_as_the_account_is": ("deliver", believes_an_error),
    "whom_an_unheard_update_changed_counts_as_made_by_us_still": ("_write", takes_what_it_did_not_hear_of_for_found),
    "a_guest_who_registers_and_moves_on_is_there_once": ("_write", makes_another_for_a_new_key),
    "an_account_that_gets_a_guests_address_is_there_as_it_is": ("_write", deletes_by_address),
    "an_answer_of_another_shape_is_no_bug": ("_write", takes_the_answer_as_it_is),
    "a_lost_answer_to_a_deletion_is_harmless": ("_write", must_find_what_it_deletes),
    "a_call_refused_as_a_whole_parks_one_record_at_most": ("deliver", blames_all_for_one),
    "the_default_mapping_fits_what_is_described": (
        "describe",
        lambda real, sink: [ObjectInfo(name="person", fields=(FieldInfo(name="mail"),))],
    ),
    "an_emptied_field_is_emptied_or_refused": ("_write", expects_text),
    "secrets_are_masked": ("__repr__", shows_its_token),
}
