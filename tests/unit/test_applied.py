"""Applied up to: the gap-free prefix of a run, and only where the runs before it have arrived as far as it needs."""

from __future__ import annotations

import datetime as dt

from pipeline.applied import FORGOTTEN, ArrivalRow, applied_up_to

NOW = dt.datetime(2026, 11, 1, 12, tzinfo=dt.timezone.utc)


def row(run: str, number: int, through: int | None = None, after: str = "", received: dt.datetime = NOW) -> ArrivalRow:
    after_run, _, after_number = after.partition(":")
    last = through or number
    sequence = f"0001/00000003/{last:016X}/00000000"
    return ArrivalRow(run, number, last, after_run, int(after_number or 0), sequence, NOW, received)


def test_the_prefix_ends_before_the_first_gap() -> None:
    found = applied_up_to([row("a", 1), row("a", 4), row("a", 2)], NOW)["a"]
    assert (found.through, found.gap, found.whole) == (2, True, True)
    assert found.last_sequence.endswith("/0000000000000002/00000000")


def test_merged_and_doubled_rows_count_as_what_they_cover() -> None:
    found = applied_up_to([row("a", 1, 50), row("a", 51), row("a", 40), row("a", 52)], NOW)["a"]
    assert (found.through, found.gap) == (52, False)


def test_a_run_whose_first_message_is_missing_has_no_prefix() -> None:
    assert applied_up_to([row("a", 2)], NOW) == {}


def test_a_run_is_whole_once_the_run_before_has_arrived_as_far_as_it_was_confirmed() -> None:
    after = [row("b", 1, after="a:3")]
    assert not applied_up_to([row("a", 1, 2), *after], NOW)["b"].whole
    assert not applied_up_to([row("a", 1), row("a", 3), *after], NOW)["b"].whole
    assert applied_up_to([row("a", 1, 3), *after], NOW)["b"].whole


def test_the_whole_chain_of_runs_counts() -> None:
    chain = [row("b", 1, 5, after="a:3"), row("c", 1, after="b:5")]
    assert not applied_up_to([row("a", 1, 2), *chain], NOW)["c"].whole
    assert applied_up_to([row("a", 1, 3), *chain], NOW)["c"].whole


def test_a_run_before_that_has_not_arrived_at_all_is_waited_for_until_it_is_forgotten() -> None:
    recent = [row("b", 1, after="a:3")]
    assert not applied_up_to(recent, NOW)["b"].whole
    assert applied_up_to(recent, NOW + FORGOTTEN + dt.timedelta(seconds=1))["b"].whole


def test_runs_that_name_each_other_end_the_search() -> None:
    found = applied_up_to([row("a", 1, after="b:1"), row("b", 1, after="a:1")], NOW)
    assert not found["a"].whole
