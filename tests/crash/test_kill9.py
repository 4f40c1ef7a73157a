"""25 rounds of kill9.py; more by hand: tests/crash/kill9.py --rounds 200."""
import pytest

from crash.kill9 import run

pytestmark = pytest.mark.slow


def test_nothing_acknowledged_is_lost_or_doubled_by_sigkill():
    result = run(rounds=25, seed=20261121, seconds=1.0)
    print(result.table())
    assert not result.bad, result.table()
    assert result.books.deliveries > 100 and result.books.deletions and result.commands, result.table()


def test_the_audit_finds_what_is_wrong():
    """The books themselves: a test that cannot fail would prove nothing."""
    from crash.load import Books

    books = Books()
    books.acknowledged = {"m1": {"u"}, "m2": {"u"}, "m3": {"u"}}
    assert books.audit("u", {"1": "m1", "2": "m2", "3": "m3"}) == (0, 0)
    books.deleted.add(("u", "1"))
    assert books.audit("u", {"2": "m2", "3": "m3"}) == (0, 0)
    assert books.audit("u", {"1": "m1", "2": "m2", "3": "m3"}) == (0, 1)          # a deleted one came back
    assert books.audit("u", {"2": "m2", "3": "m3", "4": "m3"}) == (0, 1)          # two copies
    assert books.audit("u", {"2": "m2", "4": "m3"}) == (1, 0)                     # one is gone
    books.acknowledged["m5"] = {"u"}
    assert books.audit("u", {"2": "m2", "4": "m3"}) == (1, 0)                     # one never came
    books.unknown["u", "m6"] = 1
    assert books.audit("u", {"2": "m2", "4": "m3", "6": "m6"}) == (0, 0)          # no answer: may be there
    assert books.audit("u", {"2": "m2", "4": "m3", "6": "m6", "7": "m6"}) == (0, 1)
    books.groups = [("u", ["2", "4"])]
    before = len(books.problems)
    books.audit("u", {"2": "m2", "6": "m6", "7": "m6"})
    assert any(p.startswith("half deleted") for p in books.problems[before:])
    books.saw("u", "2", "other")
    assert books.problems[-1].startswith("reused")
