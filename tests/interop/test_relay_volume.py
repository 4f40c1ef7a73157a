"""A few hundred messages to good, dead, slow, silent and refusing servers: everybody is accounted for (tests/harness/volume.py); 10,000 of them,
and how long the good ones wait, by hand: tests/bench/queue_volume."""
import pytest

from harness.volume import KINDS, Destinations, make_mail, play

pytestmark = pytest.mark.slow


def test_everybody_is_accounted_for():
    with Destinations(40, slow_ms=10) as world:
        figures = play(world, make_mail(world, 400), bad=True)
    assert figures["messages"] == 400 and all(figures[kind] for kind in KINDS), figures
