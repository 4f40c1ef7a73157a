"""What one session does at once: commands that come while an APPEND is being answered, and work that must not keep other sessions waiting."""
import contextlib
import os
import select
import threading
import time

import pytest

from harness.imap import Imap
from harness.site import DOMAIN, PASSWORD, Site

MESSAGE = b"From: a@example.test\r\nSubject: x\r\n\r\nhello\r\n"
TURNS = 5  # commands of another session that are answered while a long one is being done, which takes many more turns
ANSWER_MAX = 1000  # octets of a tagged response


@pytest.fixture(scope="module")
def site():
    """One worker, so that all sessions share its loop and its threads."""
    with Site(users=("alice", "bob"), workers=1) as made:
        yield made


def connect(site, user):
    return Imap(("127.0.0.1", site.ports["imap"]), timeout=180).login(f"{user}@{DOMAIN}", PASSWORD)


@pytest.fixture
def alice(site):
    with contextlib.closing(connect(site, "alice")) as made:
        yield made


@pytest.fixture
def other_alice(site):
    with contextlib.closing(connect(site, "alice")) as made:
        yield made


@pytest.fixture
def bob(site):
    with contextlib.closing(connect(site, "bob")) as made:
        yield made


def take(client):
    """What has come for it goes to its buffer, unread."""
    client.wire.buffer += client.wire.sock.recv(1 << 20)
    return client.wire.buffer


def answered_before(busy, tags, other):
    """How many of TURNS commands of another session are answered before the last of `tags`, which `busy` has sent, is.
    The other's answers are taken first when both are there, so that a slow reader sees no order that was not."""
    other.wire.send(b"".join(b"o%d STATUS INBOX (MESSAGES)\r\n" % n for n in range(TURNS)))
    answered, end = 0, f"\r\n{tags[-1]} ".encode()
    while end not in busy.wire.buffer[-ANSWER_MAX:]:
        ready = select.select([other.wire.sock, busy.wire.sock], [], [], busy.wire.timeout)[0]
        assert ready, "nothing for too long"
        if other.wire.sock in ready:
            answered = take(other).count(b" OK ")
        else:
            take(busy)
    for tag in tags:
        busy.finish(tag).ok()
    return answered


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


def test_pipelined_commands_take_turns(alice, bob):
    """Each is answered at once, and costs some of the loop's time: a long row of them is no reason for others to wait for its end."""
    alice.command("CREATE many").ok()
    alice.command("APPEND many", *[part for _ in range(2000) for part in (" ", MESSAGE)]).ok()
    alice.command("SELECT many").ok()
    tags = [f"p{i}" for i in range(10000)]
    flood = "".join(f"{tag} FETCH 1:* (FLAGS) (CHANGEDSINCE 999999)\r\n" for tag in tags)
    sender = threading.Thread(target=alice.wire.send, args=(flood,))
    sender.start()
    assert answered_before(alice, tags, bob) == TURNS
    sender.join()


@pytest.mark.parametrize(
    "command",
    [
        "SEARCH " + " ".join(f"NOT HEADER Z{i} q" for i in range(60)),
        "FETCH 1:* (" + " ".join(f"BODY.PEEK[HEADER.FIELDS (Z{i})]" for i in range(150)) + ")",
    ],
    ids=["SEARCH", "FETCH"],
)
def test_much_to_read_for_a_short_answer_is_done_in_turns(alice, other_alice, command):
    """An account is one session's at a time: who reads much of it gives it back between two messages."""
    header = b"".join(b"X-%d: %s\r\n" % (i, b"y" * 80) for i in range(9000))
    if alice.command("CREATE headers").word == "OK":
        for _ in range(30):
            alice.command("APPEND headers ", header + b"\r\nbody\r\n").ok()
        alice.command("SELECT headers").ok()
        for _ in range(2):
            alice.command("COPY 1:* headers").ok()
    alice.command("SELECT headers").ok()
    assert answered_before(alice, [alice.send(command)], other_alice) == TURNS


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
    search = searcher.send(all_of(300))  # more than fifty steps, of which each command below waits for two at most
    searcher.wire.sock.setblocking(False)
    for i in range(1, 5):
        assert len(alice.command(f"FETCH {i} (BODY.PEEK[HEADER])").ok().all("FETCH")) == 1
    with pytest.raises(BlockingIOError):  # no answer yet
        while (got := searcher.wire.sock.recv(65536)) and search.encode() + b" " not in got:
            pass
        pytest.fail(f"the search has ended: {got[:100]}")
    searcher.close()


def test_ten_searches_of_one_user_at_once(site, long_texts):
    sessions = [connect(site, "alice") for _ in range(10)]
    for session in sessions:
        session.command(f"SELECT {long_texts}").ok()
    tags = [session.send(all_of(3)) for session in sessions]
    other = connect(site, "bob")  # the threads of the pool are not all theirs
    other.command("STATUS INBOX (MESSAGES)").ok()
    for session, tag in zip(sessions, tags):
        session.finish(tag).ok()
        session.close()
    other.close()
