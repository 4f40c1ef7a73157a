"""20 rounds of kill9.py; more by hand: tests/crash/kill9.py --rounds 200."""
import time

import pytest

from crash.kill9 import run

pytestmark = pytest.mark.slow


def test_nothing_acknowledged_is_lost_or_doubled_by_sigkill():
    result = run(rounds=20, seed=20261121, seconds=1.0)
    print(result.table())
    assert not result.bad, result.table()
    assert result.books.deliveries > 100 and result.books.deletions and result.commands, result.table()
    assert len(result.remote.others.copies) > 50 and sum(result.remote.reports.values()), result.table()


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


def test_the_audit_of_other_servers_finds_what_is_wrong():
    """A second copy is excused by a first one in doubt, once, and by nothing else."""
    from collections import Counter

    from crash.load import Books
    from crash.remote_load import DIED, NOT_READ, Copy, Others

    class Open:
        """A session, with a socket that is open (or closed)."""

        number, started = 0, time.monotonic()

        def __init__(self, descriptor):
            self.sock = type("Sock", (), {"fileno": lambda self: descriptor})()

    others, books, doubles = Others.__new__(Others), Books(), Counter()
    others.allowed, others.kills = Counter(), [time.monotonic() + 1]
    others.copies = [Copy(Open(5), "m1", ["a@far.example"], True)]
    books.acknowledged = {"m1": {"a@far.example", "b@far.example"}, "m2": {"a@far.example"}}
    assert others.audit(books, doubles) == (2, 0)                        # b never got m1, nobody m2
    for answered, reason in ((False, DIED), (True, NOT_READ)):
        copy = Copy(Open(-1), "m1", ["a@far.example"], answered)
        others.copies.append(copy)
        assert others.audit(books, doubles) == (0, 0) and doubles[reason] == 1
    assert others.audit(books, doubles) == (0, 0) and sum(doubles.values()) == 2
    others.kills.append(time.monotonic())
    others.copies.append(Copy(Open(-1), "m1", ["a@far.example"], True))  # taken after the relay was killed
    others.copies[-1].at += 60
    assert others.audit(books, doubles) == (0, 0) and doubles[NOT_READ] == 2
    others.copies.append(Copy(Open(5), "m1", ["a@far.example"], True))
    assert others.audit(books, doubles) == (0, 1)                        # no doubt is left
    others.copies.append(Copy(Open(-1), "m1", ["a@far.example"], True))  # of a connection made after the kill
    others.copies[-1].at += 60
    others.copies[-1].session.started += 30
    assert others.audit(books, doubles) == (0, 1)
    others.copies.append(Copy(Open(-1), "m1", ["a@far.example"], True))
    others.copies[-1].read = True                                       # a command came after the 250
    assert others.audit(books, doubles) == (0, 1)
    others.copies[-1].at -= 60                                          # long before the kill
    others.copies.append(Copy(Open(-1), "m3", ["a@far.example"], True))
    assert others.audit(books, doubles) == (0, 1)                        # what nobody sent
