"""The quality scale (docs/authors/quality.md), as far as the cases of a contract tell."""

from collections.abc import Iterable, Mapping
from typing import Literal

from attrs import frozen

from .contract import Case, Result

__all__ = ["RULES", "Rule", "rule_of", "scale"]

Level = Literal["bronze", "silver", "gold"]

#: Rule -> its level and the cases that prove it; any other case, and any that fails, belongs to `contract_tests`.
RULES: Mapping[str, tuple[Level, frozenset[str]]] = {
    "contract_tests": ("bronze", frozenset()),
    "test_before_setup": (
        "bronze",
        frozenset({"check_names_the_account", "checking_asks_the_target", "checking_asks_the_shop"}),
    ),
    "secrets_masked": (
        "bronze",
        frozenset(
            {
                "secrets_are_masked",
                "secrets_are_of_the_type_secret",
                "errors_hold_no_personal_data",
                "logs_hold_no_personal_data",
                "nobody_is_remembered_who_was_erased",
                "what_cannot_be_read_is_told_without_quoting_it",
                "keys_and_cursors_hold_no_personal_data",
            }
        ),
    ),
    "reauthentication": ("silver", frozenset({"lost_credentials_pause_the_lane", "refused_keys_are_an_auth_error"})),
    "rate_limits": (
        "silver",
        frozenset(
            {
                "a_rate_limit_is_respected",
                "a_rate_limit_outlives_a_restart",
                "a_rate_limit_that_lasts_is_not_asked_again_within_the_call",
                "a_rate_limit_is_passed_on_with_its_wait",
                "trouble_between_pages_is_no_end",
            }
        ),
    ),
    "ambiguous_writes": (
        "silver",
        frozenset(
            {
                "a_lost_answer_makes_no_second_record",
                "an_answer_of_another_shape_is_no_bug",
                "a_crash_after_the_call_makes_no_second_record",
                "a_restored_backup_makes_no_second_record",
                "a_new_address_after_a_lost_answer_makes_no_second_record",
                "whom_a_lost_answer_made_is_deleted_like_all_others",
                "writing_back_the_same_ids_twice_writes_once",
                "what_could_not_be_written_back_is_written_later",
            }
        ),
    ),
    "poison_record": (
        "silver",
        frozenset({"one_refused_record_leaves_its_mates_alone", "a_call_refused_as_a_whole_parks_one_record_at_most"}),
    ),
    "erasure": (
        "silver",
        frozenset(
            {
                "erasing_twice_is_fine",
                "what_is_not_ours_alone_is_not_erased",
                "a_person_is_found_by_who_they_are",
                "a_person_is_found_by_an_address_alone",
                "a_person_is_found_by_our_own_id_alone",
                "what_is_let_go_of_keeps_none_of_our_values",
                "what_its_owner_wrote_since_is_let_go_of_as_it_is",
                "what_a_route_lets_go_of_is_let_go_of",
                "a_page_in_between_makes_nobody_gone",
                "a_foreign_200_is_no_proof_of_an_erasure",
                "a_refusal_is_no_answer",
                "all_of_whom_a_person_is_known_by_are_found",
                "every_record_of_an_address_is_found",
                "a_child_is_deleted_and_erased_as_itself",
                "a_deletion_that_a_comparison_finds_is_one_like_any_other",
            }
        ),
    ),
    "unique_account": ("silver", frozenset({"another_account_is_written_nothing"})),
    "bulk": (
        "gold",
        frozenset(
            {
                "a_whole_batch_is_one_that_the_target_takes",
                "a_job_outlives_trouble_and_a_restart",
                "a_job_whose_answer_was_lost_is_not_made_twice",
                "a_whole_job_is_one_that_the_target_takes",
                "a_job_parks_whom_it_refuses_and_delivers_the_others",
                "a_job_that_is_known_in_part_is_submitted_once",
                "the_past_fires_no_automation",
                "what_comes_in_bulk_arrives_whole",
                "odd_texts_and_a_lost_answer_in_bulk_double_nobody",
                "one_that_was_deleted_by_hand_leaves_its_mates_alone",
                "what_changes_before_a_lost_job_ends_is_not_undone_by_it",
                "a_job_that_the_vendor_forgot_is_not_waited_for_for_ever",
            }
        ),
    ),
    "adoption": (
        "gold",
        frozenset(
            {
                "looking_up_finds_what_was_delivered_and_writes_nothing",
                "looking_up_finds_everybody",
                "who_was_there_before_us_is_said_to_be_adopted",
                "a_twin_is_found_by_each_key_it_is_matched_by",
                "a_twin_is_found_however_its_address_is_written",
            }
        ),
    ),
    "verify": (
        "gold",
        frozenset(
            {
                "reading_asks_the_target",
                "reading_sees_what_others_wrote",
                "a_field_the_shop_emptied_is_empty_there",
                "a_text_past_its_limit_is_not_cut_in_silence",
            }
        ),
    ),
}


@frozen(kw_only=True)
class Rule:
    """What the cases tell of one rule.

    Attributes:
        result: failed where one of its cases did; not staged where one could not be; else proven where one was, and
            exempt where all are.
        proven, of: how many of its cases.
    """

    level: Level
    rule: str
    result: Result
    proven: int
    of: int


def rule_of(case: str) -> str:
    """The rule that a case belongs to. `case` may name its parameters: `hostile_text[emoji]`."""
    bare = case.partition("[")[0]
    return next((rule for rule, (_, cases) in RULES.items() if bare in cases), "contract_tests")


def scale(cases: Iterable[Case]) -> list[Rule]:
    """Every rule that has cases here, from bronze to gold. What no case can tell (documents, types) is left out.

    The contract of a kind is all of its cases: one that fails fails `contract_tests` too, whatever its own rule.
    """
    found: dict[str, list[Result]] = {}
    for case in cases:
        rules = {rule_of(case.case), *(["contract_tests"] if case.result == "failed" else [])}
        for rule in rules:
            found.setdefault(rule, []).append(case.result)
    return [_rule(level, name, found[name]) for name, (level, _) in RULES.items() if name in found]


def _rule(level: Level, name: str, results: list[Result]) -> Rule:
    weight: tuple[Result, ...] = ("failed", "not staged", "proven", "exempt")
    result = next(r for r in weight if r in results)
    return Rule(level=level, rule=name, result=result, proven=results.count("proven"), of=len(results))
