"""Old records of what is over may be removed, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from aks_entra.core.retention import Entry, removable

DATE = datetime(2026, 1, 1, tzinfo=UTC)


def entry(digest: str, group: str, days: int, *before: str) -> Entry:
    return Entry(digest=digest, group=group, at=DATE + timedelta(days=days), before=before)


def chosen(*entries: Entry, needed: str = "", knowledge: str = "") -> str:
    found = removable(entries, older_than=DATE, needed=needed.split(), knowledge=knowledge.split())
    return " ".join(sorted(found))


def test_a_group_goes_if_each_of_its_records_is_old() -> None:
    assert chosen(entry("1", "a", -1), entry("2", "b", -1), entry("3", "b", 0), entry("4", "c", 1)) == "a"


def test_what_is_needed_or_known_stays() -> None:
    old = [entry(one, one, -9) for one in "abc"]
    assert chosen(*old, needed="a", knowledge="b") == "c"
    assert chosen() == ""


def test_what_a_record_rests_on_stays_if_that_record_is_not_old_or_what_it_is_about_is_open() -> None:
    verdict, older = entry("1", "a", -9), entry("2", "b", -9)
    assert chosen(verdict, older, entry("3", "c", 0, "1")) == "b"
    assert chosen(verdict, older, entry("3", "c", -1, "1"), needed="c") == "b"
    assert chosen(verdict, older, entry("3", "c", -1, "1"), entry("4", "c", 5)) == "b"


def test_an_old_report_keeps_itself_and_not_the_verdicts_that_it_names() -> None:
    verdict, report = entry("1", "a", -9), entry("2", "report", -9, "1")
    assert chosen(verdict, report, knowledge="report") == "a"
    assert chosen(verdict, report, entry("3", "report", 1, "2"), knowledge="report") == "a"
    assert chosen(verdict, entry("2", "report", 0, "1"), knowledge="report") == ""


def test_a_chain_of_old_records_keeps_only_the_one_that_is_named() -> None:
    assert chosen(entry("1", "a", -9), entry("2", "b", -8, "1"), entry("3", "c", 1, "2")) == "a"


@given(
    st.lists(
        st.builds(
            entry,
            st.sampled_from("123456"),
            st.sampled_from("abcd"),
            st.integers(-2, 2),
            st.sampled_from("123456"),
        ),
        max_size=12,
    ),
    st.sets(st.sampled_from("abcd")),
    st.sets(st.sampled_from("abcd")),
)
def test_nothing_young_needed_known_or_named_by_something_young_is_ever_chosen(
    entries: list[Entry], needed: set[str], knowledge: set[str]
) -> None:
    found = removable(entries, older_than=DATE, needed=needed, knowledge=knowledge)
    young = [one for one in entries if one.at >= DATE]
    named = {digest for one in young for digest in one.before}
    gone = [one for one in entries if one.group in found]
    assert not found & {*needed, *knowledge, *(one.group for one in young)}
    assert not [one for one in gone if one.digest in named]
