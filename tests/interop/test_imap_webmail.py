"""Roundcube in headless Chromium: a webmail's IMAP, a connection for each click. All that Debian 12 packages; without them a skip."""
import os
import re
import shutil
import socket
import sqlite3
import subprocess
from pathlib import Path

import pytest

from harness.clients import need, new_mark
from harness.imap import Imap
from harness.site import HOSTNAME, PASSWORD, free_port, wait_for

SITE = {"plaintext": False}
pytestmark = pytest.mark.skipif(not os.environ.get("POSTHOUSE_BROWSERS"), reason="by hand: script/setup browsers, POSTHOUSE_BROWSERS=1")
ROUNDCUBE = Path("/usr/share/roundcube")
PUBLIC = Path("/var/lib/roundcube/public_html")
DEFAULTS = Path("/etc/roundcube")
SECONDS = 45


def message(mark):
    return (f"From: Alice <alice@example.test>\r\nTo: bob@example.test\r\nSubject: {mark}\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
            f"Message-ID: <{mark}@example.test>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nthe text of {mark}, Gr\u00fc\u00dfe\r\n").encode()


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def roundcube(site, tmp_path_factory):
    """(URL, its log of IMAP)"""
    need("php", "chromium", "chromedriver")
    if not PUBLIC.is_dir():
        pytest.skip("roundcube-core is not installed")
    folder = tmp_path_factory.mktemp("roundcube")
    for name in ("defaults.inc.php", "mimetypes.php"):
        shutil.copy(DEFAULTS / name, folder)
    database = sqlite3.connect(folder / "db")
    database.executescript((ROUNDCUBE / "SQL" / "sqlite.initial.sql").read_text())
    database.close()
    ssl = f"['ssl' => ['cafile' => '{site.ca.cert}', 'verify_peer' => true, 'peer_name' => 'localhost']]"
    (folder / "config.inc.php").write_text(f"""<?php
$config = [
    'db_dsnw' => 'sqlite:///{folder}/db?mode=0600', 'imap_host' => 'ssl://localhost:{site.ports["imaps"]}', 'imap_conn_options' => {ssl},
    'smtp_host' => 'ssl://localhost:{site.ports["submissions"]}', 'smtp_conn_options' => {ssl}, 'smtp_user' => '%u', 'smtp_pass' => '%p',
    'des_key' => 'abcdefghijklmnopqrstuvwx', 'plugins' => [], 'language' => 'en_US', 'log_driver' => 'file', 'log_dir' => '{folder}', 'temp_dir' => '{folder}',
    'imap_debug' => true, 'enable_installer' => false, 'skin' => 'elastic', 'refresh_interval' => 60, 'mail_domain' => 'example.test',
];
""")
    port = free_port()
    with open(folder / "php.log", "wb") as log:
        server = subprocess.Popen(["php", "-S", f"127.0.0.1:{port}", "-t", str(PUBLIC)], stdout=log, stderr=log,
                                  env={**os.environ, "ROUNDCUBE_CONFIG_DIR": str(folder), "PHP_CLI_SERVER_WORKERS": "4"}, start_new_session=True)
    wait_for(lambda: answers(port), 20, "php answers")
    yield f"http://127.0.0.1:{port}/", folder / "imap.log"
    os.killpg(server.pid, 15)
    server.wait(20)


@pytest.fixture
def browser(roundcube, tmp_path):
    webdriver = pytest.importorskip("selenium.webdriver", reason="python3-selenium is not installed")
    from selenium.webdriver.chrome.service import Service
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1400,1000", f"user-data-dir={tmp_path}/profile"):
        options.add_argument("--" + flag)
    made = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
    made.set_page_load_timeout(SECONDS)
    made.set_script_timeout(SECONDS)
    yield made
    made.quit()


@pytest.fixture
def user(site):
    return site.add_user("u" + new_mark()[5:15])


@pytest.fixture
def peer(site, user):
    made = Imap(("127.0.0.1", site.ports["imaps"]), context=site.ca.context(), hostname=HOSTNAME).login(user, PASSWORD)
    yield made
    made.close()


def contents(peer, mailbox):
    """{text of the message: flags}"""
    peer.command(f'EXAMINE "{mailbox}"').ok()
    rows = [dict(zip(line[2][::2], line[2][1::2])) for line in peer.command("FETCH 1:* (FLAGS BODY.PEEK[])").ok().all("FETCH")]
    peer.command("UNSELECT").ok()
    return {row["BODY[]"]: set(row["FLAGS"]) for row in rows if "BODY[]" in row}


def one(peer, mailbox, mark):
    """The flags of the only message with that word; None when there is none."""
    found = [flags for text, flags in contents(peer, mailbox).items() if mark in text]
    assert len(found) < 2
    return found[0] if found else None


def test_roundcube(site, user, peer, roundcube, browser):
    """Logs in, reads, flags, moves, deletes, searches, sends with a copy in Sent; and nothing was answered NO or BAD."""
    url, log = roundcube
    marks = [new_mark() for _ in range(4)]
    for mark in marks:
        peer.command("APPEND INBOX () ", message(mark)).ok()

    def script(text, *arguments):
        return browser.execute_script(text, *arguments)

    def sees(text, where="document.body.innerText"):
        wait_for(lambda: text in (script(f"return {where}") or ""), SECONDS, lambda: f"{text} in\n{script('return document.body.innerText')}")

    def ready():
        wait_for(lambda: script("return document.readyState == 'complete' && !!window.rcmail && !rcmail.busy"), SECONDS, "the page is there")

    def uid_of(mark):
        return script("return Object.values(rcmail.env.messages).length && Object.keys(rcmail.env.messages).find(uid => rcmail.env.messages[uid].subject?.includes(arguments[0])"
                      " || document.getElementById('rcmrow' + rcmail.html_identifier(uid, true))?.innerText.includes(arguments[0]))", mark)

    browser.get(url)
    ready()
    script("document.getElementById('rcmloginuser').value = arguments[0]; document.getElementById('rcmloginpwd').value = arguments[1];"
           "document.getElementById('rcmloginsubmit').click()", user, PASSWORD)
    for mark in marks:
        sees(mark)
    sees("Trash")
    ready()

    uids = {mark: uid_of(mark) for mark in marks}
    browser.get(f"{url}?_task=mail&_mbox=INBOX&_uid={uids[marks[0]]}&_action=show")
    sees(f"the text of {marks[0]}, Gr\u00fc\u00dfe")
    wait_for(lambda: "\\Seen" in one(peer, "INBOX", marks[0]), SECONDS, "read, so seen")

    browser.get(f"{url}?_task=mail&_mbox=INBOX")
    sees(marks[1])
    ready()
    script("rcmail.mark_message('flagged', arguments[0])", uids[marks[1]])
    wait_for(lambda: "\\Flagged" in one(peer, "INBOX", marks[1]), SECONDS, "flagged")
    script("rcmail.message_list.select(arguments[0]); rcmail.move_messages('Archive')", uids[marks[2]])
    wait_for(lambda: one(peer, "Archive", marks[2]) is not None, SECONDS, "moved")
    script("rcmail.message_list.select(arguments[0]); rcmail.delete_messages()", uids[marks[3]])
    wait_for(lambda: one(peer, "Trash", marks[3]) is not None, SECONDS, "deleted, so in the trash")
    assert one(peer, "INBOX", marks[2]) is None and one(peer, "INBOX", marks[3]) is None

    ready()
    script("document.getElementById('mailsearchform').value = arguments[0]; rcmail.command('search')", marks[1])
    wait_for(lambda: marks[0] not in script("return document.getElementById('messagelist').innerText"), SECONDS, "found the one")
    sees(marks[1])

    browser.get(f"{url}?_task=mail&_action=compose&_to={user}&_subject=sent-{marks[0]}&_body=written+here")
    wait_for(lambda: "_id=" in browser.current_url, SECONDS, "the form")
    ready()
    sees(f"sent-{marks[0]}", "document.getElementById('compose-subject')?.value")
    script("rcmail.command('send', '', null)")
    wait_for(lambda: one(peer, "INBOX", f"sent-{marks[0]}") is not None, SECONDS, "sent and delivered")
    wait_for(lambda: one(peer, "Sent", f"sent-{marks[0]}") == {"\\Seen"}, SECONDS, "a copy in Sent")
    said = log.read_text(errors="replace")
    assert " OK " in said and "] S: " in said
    assert [line for line in said.splitlines() if re.search(r"S: A\d+ (NO|BAD) ", line)] == []
