"""One case for each transcript in dialog/smtp, dialog/pop3 and dialog/imap; the format: harness/README.md."""
from pathlib import Path

import pytest

from harness.dialog import Player, dialog_files, parse, settings_of
from harness.site import Site, free_port

HERE = Path(__file__).resolve().parent
TRUSTING = {  # harness/README.md
    "listen.lmtp": free_port(), "smtp.relay_networks": "127.0.0.5/32", "smtp.xclient_networks": "127.0.0.6/32",
    "smtp.proxy_networks": "127.0.0.7/32", "smtp.etrn_domains": "waiting.example example.org", "dns.forward": "127.0.0.1@9",
}
FILES = [path for folder in ("smtp", "pop3", "imap") for path in dialog_files(HERE / folder)]


@pytest.fixture(scope="module")
def shared_site():
    with Site(settings=TRUSTING) as site:
        site.ports["lmtp"] = TRUSTING["listen.lmtp"]
        site.posthouse("alias", "add", "sales@example.test", "bob@example.test")
        site.posthouse("alias", "add", "postmaster@example.test", "alice@example.test")
        yield site


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_dialog(path, request):
    steps = parse(path.read_text())
    settings = settings_of(steps)
    if settings:
        with Site(settings=settings) as site:
            Player(site, path.parent.name, steps, path.name).play()
    else:
        Player(request.getfixturevalue("shared_site"), path.parent.name, steps, path.name).play()
