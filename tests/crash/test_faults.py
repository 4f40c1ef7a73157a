"""Each scenario of faults.py as a test."""
import pytest

from crash.faults import SCENARIOS, why_skipped


EACH_APART = True  # each makes its own world
pytestmark = pytest.mark.slow
LONGEST = ("SIGKILL at a chosen call", "child hangs", "disk hangs", "power cut", "queue: power cut")  # begun first
IN_ORDER = sorted(SCENARIOS, key=lambda s: LONGEST.index(s[0]) if s[0] in LONGEST else len(LONGEST))


@pytest.mark.parametrize("name, must, needs, function", IN_ORDER, ids=[s[0].replace(" ", "_") for s in IN_ORDER])
def test_fault(name, must, needs, function):
    reason = why_skipped(needs)
    if reason:
        pytest.skip(reason)
    print(function())
