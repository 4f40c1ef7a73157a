"""Several IMAP sessions, deliveries and POP3 deletions on the same mailboxes, against a simple model (interop/imap_model.py)."""
import pytest
from interop.imap_model import random_steps

STEPS = 400
SEEDS = (1, 7, 42, 1984)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_operations(site, seed):
    site.fresh_user(f"model{seed}")
    random_steps(site, f"model{seed}", seed, STEPS)
