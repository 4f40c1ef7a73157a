"""What one session does at once: commands that come while an APPEND is being answered, and work that must not keep other sessions waiting."""
import os
import threading
import time

import pytest

from harness.imap import Imap
from harness.site import DOMAIN, PASSWORD, SANITIZED, Site

MESSAGE = b"From: a@example.test\r\nSubject: x\r\n\r\nhello\r\n"
PATIENCE = 5 if SANITIZED else 0.5  # seconds that another session may have to wait on a busy machine


@pytest.fixture(scope="module")
def site():
    """One worker, so that all sessions share its loop and its threads."""
    with Site(users=("alice", "bob"), workers=1) as made:
        yield made


def connect(site, user):
    return Imap(("127.0.0.1", site.ports["imap"]), timeout=180).login(f"{user}@{DOMAIN}", PASSWORD)


@pytest.fixture
def alice(site):
    made = connect(site, "alice")
    yield made
    made.close()


def longest_wait(site, user, work):
    """Seconds that another session, of that user, waited longest for an answer while work() was being done."""
    other, stop, waits = connect(site, user), threading.Event(), []

    def ask():
        while not stop.is_set():
            begun = time.monotonic()
            other.command("STATUS INBOX (MESSAGES)").ok()
            waits.append(time.monotonic() - begun)
            time.sleep(0.01)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        work()
    finally:
        stop.set()
        thread.join()
        other.close()
    return max(waits)


@pytest.mark.parametrize("command", ["UID FETCH 1:* (FLAGS)", "SEARCH ALL", "UNSELECT", "CLOSE", "SELECT INBOX", "STATUS INBOX (UNSEEN)"])
def test_a_command_that_comes_while_an_append_is_being_answered(alice, command):
    """The answer waits for the view to be refreshed; meanwhile nobody else may use the view, or take it away. 4 ms: some of them hit."""
    alice.command("SELECT INBOX").ok()
    for i in range(200):
        append = alice.send(("APPEND INBOX ", MESSAGE))
        time.sleep(i % 40 / 10000)
        other = alice.send(command)
        alice.finish(append).ok()
        alice.finish(other).ok()
        if command in ("UNSELECT", "CLOSE"):
            alice.command("SELECT INBOX").ok()


def test_pipelined_commands_take_turns(site, alice):
    """Each is answered at once, and costs some of the loop's time: a long row of them is no reason for others to wait for its end."""
    alice.command("CREATE many").ok()
    alice.command("APPEND many", *[part for _ in range(2000) for part in (" ", MESSAGE)]).ok()
    alice.command("SELECT many").ok()

    def flood():
        count = 10000
        sender = threading.Thread(
            target=alice.wire.send, args=(b"".join(b"p%d FETCH 1:* (FLAGS) (CHANGEDSINCE 999999)\r\n" % i for i in range(count)),)
        )
        sender.start()
        for i in range(count):
            alice.finish(f"p{i}").ok()
        sender.join()

    assert longest_wait(site, "bob", flood) < PATIENCE


@pytest.mark.parametrize(
    "command",
    [
        "SEARCH " + " ".join(f"NOT HEADER Z{i} q" for i in range(300)),
        "FETCH 1:* (" + " ".join(f"BODY.PEEK[HEADER.FIELDS (Z{i})]" for i in range(300)) + ")",
    ],
    ids=["SEARCH", "FETCH"],
)
def test_much_to_read_for_a_short_answer_is_done_in_turns(site, alice, command):
    """An account is one session's at a time: who reads much of it gives it back between two messages."""
    header = b"".join(b"X-%d: %s\r\n" % (i, b"y" * 80) for i in range(9000))
    if alice.command("CREATE headers").word == "OK":
        for _ in range(30):
            alice.command("APPEND headers ", header + b"\r\nbody\r\n").ok()
    alice.command("SELECT headers").ok()
    begun = time.monotonic()
    waited = longest_wait(site, "alice", lambda: alice.command(command).ok())
    taken = time.monotonic() - begun
    assert taken > 0.5, "too little to do to tell anything"
    assert waited < taken / 3


def test_the_descriptors_of_one_append_are_limited(site, alice):
    """Each message over 64 KiB is a file until the commit, however its octets are cut."""
    pid = next(pid for pid, name in site.processes().items() if name == "imapd")
    body = MESSAGE + b"z" * 70000 + b"\r\n"
    before = len(os.listdir(f"/proc/{pid}/fd"))
    alice.wire.send(b"m APPEND INBOX")
    for _ in range(500):
        alice.wire.send(b" {%d+}\r\n" % len(body) + body[:1])
        time.sleep(0.001)
        alice.wire.send(body[1:])
    assert len(os.listdir(f"/proc/{pid}/fd")) < before + 400
    alice.wire.send(b"\r\n")
    answer = alice.finish("m")
    assert (answer.word, answer.code) == ("NO", ["LIMIT"])


@pytest.fixture
def long_texts(alice):
    """A mailbox that is 12 MB of text, in messages that fit into rows."""
    if alice.command("CREATE texts").word == "OK":
        text = MESSAGE + ((b"zq" * 35 + b"\r\n") * 830)
        alice.command("APPEND texts", *[part for _ in range(200) for part in (" ", text)]).ok()
    return "texts"


def all_of(count):
    """A search that looks at every octet for each of so many words, which are nearly there at every second octet."""
    words = (f"{i:09b}zz".replace("0", "z").replace("1", "q") for i in range(count))
    return "SEARCH " + " ".join(f"NOT BODY {word}" for word in words)


def test_others_of_the_user_are_answered_while_one_searches(site, alice, long_texts):
    """The searcher gives the account back between its steps and stands in line again, behind who came meanwhile."""
    searcher = connect(site, "alice")
    searcher.command(f"SELECT {long_texts}").ok()
    alice.command(f"SELECT {long_texts}").ok()
    search = searcher.send(all_of(490))  # some hundred steps
    searcher.wire.sock.setblocking(False)
    for i in range(1, 11):
        assert len(alice.command(f"FETCH {i} (BODY.PEEK[HEADER])").ok().all("FETCH")) == 1
    alice.command("APPEND INBOX ", MESSAGE).ok()
    with pytest.raises(BlockingIOError):  # no answer yet
        while (got := searcher.wire.sock.recv(65536)) and search.encode() + b" " not in got:
            pass
        pytest.fail(f"the search has ended: {got[:100]}")
    searcher.close()


def test_ten_searches_of_one_user_at_once(site, long_texts):
    sessions = [connect(site, "alice") for _ in range(10)]
    for session in sessions:
        session.command(f"SELECT {long_texts}").ok()
    tags = [session.send(all_of(10)) for session in sessions]
    other = connect(site, "bob")  # the threads of the pool are not all theirs
    other.command("STATUS INBOX (MESSAGES)").ok()
    for session, tag in zip(sessions, tags):
        session.finish(tag).ok()
        session.close()
    other.close()
