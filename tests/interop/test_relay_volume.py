"""A small run of relay_volume.py; by hand the whole one: tests/interop/relay_volume.py (10,000 messages, 200 destinations)."""
import pytest

from interop.relay_volume import run

pytestmark = pytest.mark.slow


def test_everybody_is_accounted_for():
    figures = run(messages=400, destinations=40)
    assert all(figures[kind] for kind in ("good", "dead", "slow", "hanging", "refusing", "later")), figures
