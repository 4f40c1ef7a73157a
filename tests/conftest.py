"""What every pytest file here can use: a running site, one for each module; and how the files are shared out among processes."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness.site import POSTHOUSE, Site  # noqa: E402


def pytest_report_header(config):
    return f"posthouse: {POSTHOUSE}"


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: begun before the others, so that nobody waits for it at the end")
    config.addinivalue_line("markers", "xdist_group(name): these run in one process, in order (known to pytest-xdist alone)")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """A file's tests share its site, so they stay together in one process; EACH_APART = True in a file whose tests share nothing gives
    each of them to whatever process is free."""
    for item in items:
        if not getattr(item.module, "EACH_APART", False) and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="module")
def site(request):
    """A running suite of the module's own; SITE = {...} in the module are its arguments."""
    with Site(**getattr(request.module, "SITE", {})) as made:
        yield made
