"""Each scenario of faults.py as a test."""
import pytest

from crash.faults import SCENARIOS, why_skipped


@pytest.mark.parametrize("name, must, needs, function", SCENARIOS, ids=[s[0].replace(" ", "_") for s in SCENARIOS])
def test_fault(name, must, needs, function):
    reason = why_skipped(needs)
    if reason:
        pytest.skip(reason)
    print(function())
