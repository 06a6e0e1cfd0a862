"""Every case of the sink contract finds the sink that it is there to find."""

import inspect
import itertools
import re
from pathlib import Path

import pytest
from attrs import evolve

from synccore.errors import AuthError, RateLimited, Transient
from synccore.testing import Fault, SinkContract
from synccore.types import Account, Check, Delivered

from .bugs import BUGS, prints_what_it_writes, tells_the_librarys_log

README = Path(__file__).parents[3] / "README.md"

#: Of targets that do more than the generated one: broken in `_special`, `_whose` and `_size` beside this.
SPECIAL = {
    "a_child_is_as_sound_as_its_parent",
    "odd_texts_and_a_lost_answer_in_bulk_double_nobody",
    "what_changes_before_a_lost_job_ends_is_not_undone_by_it",
    "a_child_is_deleted_and_erased_as_itself",
    "an_event_holds_what_was_mapped",
    "what_others_of_a_shared_record_want_there_stays",
    "all_of_whom_a_person_is_known_by_are_found",
    "every_record_of_an_address_is_found",
    "a_job_that_the_vendor_forgot_is_not_waited_for_for_ever",
    "a_job_outlives_trouble_and_a_restart",
    "a_job_whose_answer_was_lost_is_not_made_twice",
    "a_job_that_is_known_in_part_is_submitted_once",
    "a_child_waits_for_its_parent_and_hangs_on_it",
    "a_child_that_changes_hands_hangs_on_its_new_owner",
    "a_child_that_was_hung_elsewhere_is_named_and_hung_back",
    "a_child_whose_parent_is_gone_waits_for_another_one",
    "an_event_is_told_once",
    "the_past_fires_no_automation",
    "another_account_is_written_nothing",
    "what_is_not_ours_alone_is_not_erased",
    "a_person_is_found_by_who_they_are",
    "a_person_is_found_by_an_address_alone",
    "a_person_is_found_by_our_own_id_alone",
    "a_whole_job_is_one_that_the_target_takes",
    "a_job_parks_whom_it_refuses_and_delivers_the_others",
    "what_a_route_lets_go_of_is_let_go_of",
    "a_text_past_its_limit_is_not_cut_in_silence",
    "who_was_there_before_us_is_said_to_be_adopted",
    "a_twin_is_found_by_each_key_it_is_matched_by",
    "a_twin_is_found_however_its_address_is_written",
    "one_way_of_looking_up_does_not_hide_another",
    "what_is_let_go_of_keeps_none_of_our_values",
    "what_the_target_takes_now_is_said",
    "a_telephone_that_is_left_out_leaves_no_former_one",
    "who_exchange_their_addresses_are_both_there",
    "who_is_found_by_address_is_named_by_the_id_there",
    "who_was_deleted_at_the_target_is_there_once_after_a_change",
    "who_was_merged_at_the_target_is_there_once_after_a_change",
    "whose_lost_create_was_merged_at_the_target_is_there_once",
    "what_its_owner_wrote_since_is_let_go_of_as_it_is",
    "who_is_forgotten_leaves_no_address_that_their_link_does_not_know",
}
#: Of those what the generated contract stages all the same.
STAGED = {
    "odd_texts_and_a_lost_answer_in_bulk_double_nobody",
    "another_account_is_written_nothing",
    "who_was_there_before_us_is_said_to_be_adopted",
    "who_exchange_their_addresses_are_both_there",
    "one_way_of_looking_up_does_not_hide_another",
}
#: Cases whose bug sits in the client or the opener, staged below, or that core itself makes hard to fail.
ELSEWHERE = {
    "opening_talks_to_nobody",
    "lost_credentials_pause_the_lane",
    "a_rate_limit_is_respected",
    "a_rate_limit_outlives_a_restart",
    "errors_hold_no_personal_data",
    *SPECIAL,
}

CASES = [n.removeprefix("test_") for n, _ in inspect.getmembers(SinkContract) if n.startswith("test_")]


def contract_for(sample, sink_type=None):
    class Contract(sample["contract"]):
        def refuse(self, stand_in, email):
            stand_in.refused.add(email)
            return True

    Contract.sink_type = sink_type or sample["sink"].SINK
    return Contract()


def broken(sample, method, bug):
    sound = sample["sink"].SampleCrmSink
    real = getattr(sound, method, None)
    kind = type("Broken", (sound,), {method: lambda self, *args: bug(real, self, *args)})
    return evolve(sample["sink"].SINK, open=kind)


def run(contract, case, folder):
    """The case against the contract, as pytest would run it, with the first value of each parameter."""
    method = getattr(contract, f"test_{case}")
    values = {}
    for mark in getattr(method, "pytestmark", ()):
        if mark.name == "parametrize":
            first = mark.args[1][0]
            values[mark.args[0]] = getattr(first, "values", (first,))[0]
    if "on" not in inspect.signature(method).parameters:
        method(folder)
        return
    with contract.stage(folder) as on:
        method(on=on, **values)


def test_every_case_has_a_sink_that_fails_it():
    assert set(CASES) == set(BUGS) | ELSEWHERE


@pytest.mark.parametrize("case", sorted(BUGS))
def test_the_case_finds_its_bug(sample, tmp_path, case):
    with pytest.raises(Exception):  # noqa: B017, PT011  a bug fails a case in its own way; a skip is no Exception
        run(contract_for(sample, broken(sample, *BUGS[case])), case, tmp_path)


def test_a_check_that_makes_an_account_up_is_found(sample, tmp_path):
    def forgives(real, sink):
        try:
            return real(sink)
        except Transient:
            return Check(account=Account(id="?", label="unknown"))

    with pytest.raises(AssertionError, match="somebody else answers"):
        run(
            contract_for(sample, broken(sample, "check", forgives)),
            "checking_says_in_words_what_it_cannot_read",
            tmp_path,
        )


@pytest.mark.parametrize("bug", [tells_the_librarys_log, prints_what_it_writes])
def test_what_is_said_elsewhere_than_in_the_log_is_heard(sample, tmp_path, bug):
    with pytest.raises(AssertionError, match="logged: Person 0"):
        run(contract_for(sample, broken(sample, "_write", bug)), "logs_hold_no_personal_data", tmp_path)


def test_a_sink_that_connects_when_opened_is_found(sample, tmp_path):
    def open_and_check(config, context):
        sink = sample["sink"].SampleCrmSink(config, context)
        sink.check()
        return sink

    with pytest.raises(AssertionError, match="open"):
        run(contract_for(sample, evolve(sample["sink"].SINK, open=open_and_check)), "opening_talks_to_nobody", tmp_path)


@pytest.mark.parametrize(
    "case", ["lost_credentials_pause_the_lane", "a_rate_limit_is_respected", "a_rate_limit_outlives_a_restart"]
)
def test_a_client_that_does_not_understand_refusals_is_found(sample, tmp_path, case, monkeypatch):
    client = sample["client"].Client
    sound = client.call

    def call(self, *args, **options):
        try:
            return sound(self, *args, **options)
        except (AuthError, RateLimited):
            raise Transient("hm") from None

    monkeypatch.setattr(client, "call", call)
    with pytest.raises(AssertionError):
        run(contract_for(sample), case, tmp_path)


def test_what_leaks_through_an_unusual_error_is_found(sample, tmp_path):
    def leak(real, sink, operations):
        return [Delivered(remote_id=o.key, note=f"{o.fields['email']}".replace("@", " at ")) for o in operations]

    contract = contract_for(sample, broken(sample, "deliver", leak))
    # Core takes addresses out by itself; only what no longer looks like one gets past it.
    with contract.stage(tmp_path) as on:
        on.emit()
        on.app.drain()
        assert "person0@" not in on.errors()


def test_the_generated_sink_passes_every_case(sample, tmp_path):
    for number, case in enumerate(c for c in CASES if c not in SPECIAL - STAGED):
        folder = tmp_path / str(number)
        folder.mkdir()
        run(contract_for(sample), case, folder)


def test_the_readme_says_how_many_cases_the_generated_sink_passes():
    counts = {case: len(list(_parameters(getattr(SinkContract, f"test_{case}")))) for case in CASES}
    said = re.search(r"pass (\d+) of the contract's (\d+) cases at\s+once; the other (\d+)", README.read_text())
    staged, every = sum(n for case, n in counts.items() if case not in SPECIAL - STAGED), sum(counts.values())
    assert said
    assert [int(number) for number in said.groups()] == [staged, every, every - staged]


def _parameters(method):
    marks = [mark for mark in getattr(method, "pytestmark", ()) if mark.name == "parametrize"]
    return itertools.product(*(mark.args[1] for mark in marks))


def test_faults_can_stand_until_they_are_cleared(sample):
    with sample["testing"].FakeSampleCrm() as crm:
        crm.fail_always(Fault.status(503))
        assert [crm.answer(_request()).__getitem__(0).status for _ in range(3)] == [503, 503, 503]
        crm.clear_faults()
        assert crm.answer(_request())[0].status == 401


def _request():
    from synccore.testing import Request

    return Request(method="GET", path="/account", query=(), headers={}, body=b"")
