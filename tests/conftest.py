"""What every pytest file here can use: a running site, one for each module."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness.site import POSTHOUSE, Site  # noqa: E402


def pytest_report_header(config):
    return f"posthouse: {POSTHOUSE}"


@pytest.fixture(scope="module")
def site(request):
    """A running suite of the module's own; SITE = {...} in the module are its arguments."""
    with Site(**getattr(request.module, "SITE", {})) as made:
        yield made
