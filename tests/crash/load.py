"""A load of SMTP deliveries and POP3 deletions that keeps books of what was acknowledged, and the audit of those books.

Each message has an id of its own in its header. A copy of it in a mailbox is known by its UIDL. The books say for each
(user, id): acknowledged (250 came), attempts with an unknown end (no answer came), the UIDLs ever seen; and for each UIDL:
deleted (QUIT +OK), in a group whose QUIT had no answer (all or nothing), or there.
"""
import contextlib
import random
import re
import threading
import time
from collections import defaultdict

from harness.site import DOMAIN, PASSWORD
from harness.wire import WireError, plain_token

ID_HEADER = re.compile(rb"(?m)^X-Load-Id: (\S+)\r?$")
TROUBLE = (OSError, AssertionError)  # the server died under us


class Books:
    def __init__(self):
        self.lock = threading.Lock()
        self.acknowledged = {}             # id -> users
        self.unknown = defaultdict(int)    # (user, id) -> attempts without an answer
        self.partly = set()                # (user, id): a temporary refusal of several users' message
        self.seen = defaultdict(set)       # (user, id) -> UIDLs
        self.id_of = {}                    # (user, uidl) -> id
        self.deleted = set()               # (user, uidl): QUIT +OK
        self.groups = []                   # (user, [uidl]): QUIT without an answer
        self.problems = []
        self.deliveries = self.deletions = self.refusals = 0

    def saw(self, user, uidl, mark):
        """A copy was seen; the same UIDL must never name another message."""
        with self.lock:
            known = self.id_of.setdefault((user, uidl), mark)
            if known != mark:
                self.problems.append(f"reused: {user} {uidl} was {known}, now {mark}")
            self.seen[user, mark].add(uidl)

    def settle_groups(self, user, present):
        """After a look at the whole mailbox: a deletion without an answer is wholly done or not at all."""
        mine = [uidls for owner, uidls in self.groups if owner == user]
        self.groups = [group for group in self.groups if group[0] != user]
        for uidls in mine:  # those that were done, first: a later session may have chosen the same messages again
            if not any(uidl in present for uidl in uidls):
                self.deleted.update((user, uidl) for uidl in uidls)
        for uidls in mine:
            open_question = [uidl for uidl in uidls if (user, uidl) not in self.deleted]
            there = [uidl for uidl in open_question if uidl in present]
            if there and len(there) != len(open_question):
                self.problems.append(f"half deleted: {user} {len(there)} of {len(uidls)} are still there")

    def audit(self, user, listing):
        """Compares a mailbox with the books; listing: {uidl: id}. Returns (lost, doubled)."""
        for uidl, mark in listing.items():
            self.saw(user, uidl, mark)
        self.settle_groups(user, listing)
        lost = doubled = 0
        for (owner, uidl), mark in self.id_of.items():
            if owner != user:
                continue
            if uidl in listing and (user, uidl) in self.deleted:
                self.problems.append(f"came back: {user} {uidl} {mark}")
                doubled += 1
            elif uidl not in listing and (user, uidl) not in self.deleted:
                self.problems.append(f"lost: {user} {uidl} {mark}")
                self.deleted.add((user, uidl))  # counted once
                lost += 1
        for mark, users in self.acknowledged.items():
            if user in users and not self.seen.get((user, mark)):
                self.problems.append(f"lost: {user} {mark} was acknowledged and never there")
                self.seen[user, mark].add("counted")
                lost += 1
        for (owner, mark), uidls in self.seen.items():
            if owner != user:
                continue
            promised = user in self.acknowledged.get(mark, ()) or (user, mark) in self.partly
            extra = len(uidls) - promised - self.unknown.get((user, mark), 0)
            if extra > 0:
                self.problems.append(f"doubled: {user} {mark} {len(uidls)} copies")
                self.unknown[user, mark] += extra  # counted once
                doubled += extra
        return lost, doubled


class Worker(threading.Thread):
    """Runs turn() again and again, each in a new connection when the last one broke, until told to stop or pause."""

    def __init__(self, site, books, users, seed):
        super().__init__(daemon=True)
        self.site, self.books, self.users = site, books, users
        self.chance = random.Random(seed)
        self.stopping = threading.Event()
        self.go = threading.Event()
        self.resting = threading.Event()
        self.failure = None

    def run(self):
        while not self.stopping.is_set():
            if not self.go.is_set():
                self.resting.set()
                self.go.wait(0.05)
                continue
            self.resting.clear()
            try:
                self.turn()
            except TROUBLE:
                time.sleep(0.02)
            except Exception as problem:  # a bug of this script must not look like silence
                self.failure = problem
                raise
        self.resting.set()


class Deliverer(Worker):
    number = 0

    def __init__(self, *args, login=None, largest=300_000):
        super().__init__(*args)
        self.login, self.largest, self.wire = login, largest, None
        self.pending = None  # (id, recipients, users, sender, octets): to be tried again after a temporary refusal

    def connect(self):
        wire = self.site.wire("submissions" if self.login else "smtp", timeout=15)
        try:
            wire.smtp("EHLO load.example", 250)
            if self.login:
                wire.smtp("AUTH PLAIN " + plain_token(f"{self.login}@{DOMAIN}", PASSWORD), 235)
        except BaseException:
            wire.close()
            raise
        return wire

    def choose(self):
        """Who gets the next message; and everybody in whose books it stands then."""
        users = self.chance.sample(self.users, self.chance.choice((1, 1, 1, 2, 3)))
        return [f"{user}@{DOMAIN}" for user in users], users

    def new_message(self):
        mark = f"{self.name}-{self.number}"
        self.number += 1
        recipients, users = self.choose()
        size = self.chance.choice((200, 2000, 6000, 6000, self.largest) if self.number % 7 == 0 else (200, 2000, 6000))
        sender = f"{self.login}@{DOMAIN}" if self.login else "load@remote.example"
        text = f"From: {sender}\r\nX-Load-Id: {mark}\r\nSubject: load\r\n\r\n" + ("x" * 70 + "\r\n") * (size // 72)
        return mark, recipients, users, sender, text

    def turn(self):
        if self.wire is None:
            self.wire = self.connect()
        mark, recipients, users, sender, text = self.pending or self.new_message()
        self.pending = None
        sent = False
        try:
            self.wire.smtp(f"MAIL FROM:<{sender}>", 2)
            for recipient in recipients:
                self.wire.smtp(f"RCPT TO:<{recipient}>", 2)
            self.wire.smtp("DATA", 3)
            self.wire.send(text)
            sent = True
            answer = self.wire.smtp(".")
        except BaseException:
            self.wire.close()
            self.wire = None
            if sent:
                with self.books.lock:
                    for user in users:
                        self.books.unknown[user, mark] += 1
                if self.chance.random() < 0.5:
                    self.pending = (mark, recipients, users, sender, text)  # as a sender does that heard no answer
            raise
        with self.books.lock:
            if answer.startswith("2"):
                self.books.acknowledged[mark] = set(users)
                self.books.deliveries += 1
            else:
                self.books.refusals += 1
                if len(users) > 1:
                    self.books.partly.update((user, mark) for user in users)
                self.pending = (mark, recipients, users, sender, text)
        if answer.startswith("4"):
            time.sleep(0.05)


class Deleter(Worker):
    """Logs in as one of its users, looks at all messages, deletes some; at times drops the line instead of QUIT."""

    def turn(self):
        user = self.chance.choice(self.users)
        with contextlib.closing(self.site.pop3_wire(user, timeout=15)) as wire:
            listing = list_mailbox(wire)
            for uidl, mark in listing.values():
                self.books.saw(user, uidl, mark)
            chosen = self.chance.sample(sorted(listing), min(len(listing), self.chance.randrange(1, 25)))
            for number in chosen:
                wire.pop3(f"DELE {number}")
            uidls = [listing[number][0] for number in chosen]
            if self.chance.random() < 0.2:
                return  # a dropped connection deletes nothing: the audit must find them all
            with self.books.lock:
                self.books.groups.append((user, uidls))
            if wire.pop3("QUIT", None).startswith("+OK"):
                with self.books.lock:
                    self.books.groups.remove((user, uidls))
                    self.books.deleted.update((user, uidl) for uidl in uidls)
                    self.books.deletions += len(uidls)
        time.sleep(0.05)


def list_mailbox(wire):
    """{number: (uidl, id)} of a logged-in POP3 session."""
    wire.pop3("UIDL")
    uidls = dict(line.decode().split() for line in wire.pop3_list())
    wire.send(b"".join(f"TOP {number} 0\r\n".encode() for number in uidls))
    listing = {}
    for number, uidl in uidls.items():
        if not wire.line().startswith(b"+OK"):
            raise WireError("TOP refused")
        found = ID_HEADER.search(b"\r\n".join(wire.pop3_list()) + b"\r\n")
        listing[int(number)] = (uidl, found.group(1).decode() if found else f"unmarked-{uidl}")
    return listing


class Load:
    def __init__(self, site, users, seed, deliverers=5, deleters=2, largest=300_000):
        self.site, self.users, self.books = site, users, Books()
        self.workers = [Deliverer(site, self.books, users, seed * 100 + i, login=users[0] if i == 0 else None, largest=largest)
                        for i in range(deliverers)]
        self.workers += [Deleter(site, self.books, users[i::deleters], seed * 100 + 50 + i) for i in range(deleters)]
        for i, worker in enumerate(self.workers):
            worker.name = f"w{i}"
            worker.start()

    def add(self, worker):
        """One more, of another kind."""
        worker.name = f"w{len(self.workers)}"
        self.workers.append(worker)
        worker.start()
        return worker

    def go(self):
        for worker in self.workers:
            worker.go.set()

    def pause(self):
        """Returns when no worker has anything under way."""
        for worker in self.workers:
            worker.go.clear()
        for worker in self.workers:
            if not worker.resting.wait(60):
                raise AssertionError(f"{worker.name} does not come to rest")
            if worker.failure is not None:
                raise worker.failure

    def stop(self):
        for worker in self.workers:
            worker.stopping.set()
            worker.go.set()
        for worker in self.workers:
            worker.join(60)

    def audit(self):
        """Looks at every mailbox; (lost, doubled). The load must be paused and the suite up."""
        lost = doubled = 0
        for user in self.users:
            deadline = time.monotonic() + 15
            while True:  # the maildrop of a session that was cut is free again as soon as the server noticed
                try:
                    with contextlib.closing(self.site.pop3_wire(user, timeout=30)) as wire:
                        listing = list_mailbox(wire)
                    break
                except TROUBLE:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)
            more = self.books.audit(user, dict(listing.values()))
            lost, doubled = lost + more[0], doubled + more[1]
        return lost, doubled
