"""A site in which things go wrong: the fault shim, a disk of its own, and books of what was acknowledged."""
import contextlib
import errno
import functools
import json
import mmap
import os
import re
import shutil
import struct
import subprocess
import tempfile
import time
from pathlib import Path

from crash.disk import Disk
from crash.load import Books, list_mailbox
from harness.site import BUILD, DOMAIN, HANG_SECONDS, Site, give, wait_for

HERE = Path(__file__).resolve().parent
ANSWER_SECONDS = 10     # promises.md: a refusal comes within 10 s and never as silence
RECOVERY_SECONDS = 30   # service by itself again after the fault is gone


class Shim:
    """The control of faultshim.c."""

    OPERATIONS = ("open", "write", "sync", "rename", "link", "unlink", "allocate", "truncate", "malloc", "read")
    ACTIONS = ("nothing", "fail", "wait", "short", "kill_before", "kill_after")
    RULE = struct.Struct("6I")  # action every error wait_ms calls hits
    SIZE = RULE.size * len(OPERATIONS) + 8 + 4096

    def __init__(self, folder, watched):
        self.path = Path(folder) / "faults"
        self.path.write_bytes(b"\0" * self.SIZE)
        give(self.path)
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), self.SIZE)
        name = str(watched).encode()
        at = self.RULE.size * len(self.OPERATIONS) + 8
        self.map[at : at + len(name)] = name

    def set(self, operation, action, every=1, error=errno.EIO, wait_ms=0):
        at = self.OPERATIONS.index(operation) * self.RULE.size
        self.map[at : at + self.RULE.size] = self.RULE.pack(0, 0, 0, 0, 0, 0)
        self.map[at : at + self.RULE.size] = self.RULE.pack(
            self.ACTIONS.index(action), every, error, wait_ms, 0, 0)

    def hits(self, operation):
        return self.RULE.unpack_from(self.map, self.OPERATIONS.index(operation) * self.RULE.size)[5]

    def clear(self):
        for operation in self.OPERATIONS:
            at = self.OPERATIONS.index(operation) * self.RULE.size
            self.map[at : at + 4] = b"\0" * 4

    def set_clock(self, offset_s):
        struct.pack_into("q", self.map, self.RULE.size * len(self.OPERATIONS), offset_s)


@functools.lru_cache(maxsize=1)
def shim_library():
    """The built shim, or None with a reason in shim_reason()."""
    if shim_reason():
        return None
    library = BUILD / "faultshim.so"
    source = HERE / "faultshim.c"
    if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["cc", "-O1", "-fPIC", "-shared", "-D_GNU_SOURCE", "-o", str(library), str(source), "-ldl"], check=True)
    return library


def shim_reason():
    if os.environ.get("POSTHOUSE_SANITIZE"):
        return "the preloaded shim and a sanitizer exclude each other"
    if shutil.which("cc") is None:
        return "no C compiler"
    return None


class Answer:
    def __init__(self, text, seconds):
        self.text, self.seconds = text, seconds

    @property
    def ok(self):
        return self.text.startswith("250")

    @property
    def refused(self):
        return self.text[:1] in "45" or self.text == "closed"

    def __str__(self):
        return f"{self.text[:9].strip()}"


class World:
    """with World(disk_mib=64) as world: … ; leaving checks the books, `posthouse check` and the supervisor."""

    def __init__(self, disk_mib=None, inodes=None, shim=False, users=("alice", "bob", "carol"), **site_options):
        self.folder = Path(tempfile.mkdtemp(prefix="phf-", dir="/tmp"))
        os.chmod(self.folder, 0o755)
        self.disk = Disk(self.folder / "disk", disk_mib, inodes) if disk_mib else None
        data = (self.disk.folder if self.disk else self.folder) / "data"
        self.shim = Shim(self.folder, data) if shim else None
        env = {"LD_PRELOAD": str(shim_library()), "PH_FAULTS": str(self.shim.path)} if shim else {}
        self.site = Site(folder=self.folder, data_dir=data, env=env, users=(), **site_options)
        self.users = list(users)
        self.site.add_users(self.users)
        self.books, self.number, self.lost, self.doubled = Books(), 0, 0, 0

    def __enter__(self):
        try:
            self.site.start()
            self.supervisor = self.site.process.pid
            for user in self.users:
                assert self.deliver(user).ok
        except BaseException:
            self.clean()
            raise
        return self

    def __exit__(self, kind, *_):
        try:
            if self.shim:
                self.shim.clear()
            self.site.stop(check=kind is None)
            if kind is None:
                self.site.posthouse("check")
        finally:
            self.clean()

    def clean(self):
        with contextlib.suppress(Exception):
            if self.disk:
                self.disk.thaw()
            if self.site.process is not None:
                self.site.kill()
        if self.disk:
            self.disk.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- mail

    def deliver(self, *users, size=2000, timeout=ANSWER_SECONDS + 5):
        """One message, to users here and to addresses elsewhere; every end is an Answer: the reply that decided, "closed", or "silence"."""
        self.number += 1
        mark = f"f-{self.number}"
        started = time.monotonic()
        sent = False
        try:
            with self.site.wire("smtp", timeout=timeout) as wire:
                text = self.envelope(wire, users)
                if text is None:
                    sent = True
                    wire.send(f"X-Load-Id: {mark}\r\nSubject: x\r\n\r\n" + ("y" * 76 + "\r\n") * (size // 78))
                    text = wire.smtp(".")
        except (OSError, AssertionError) as problem:
            text = "silence" if "nothing for" in str(problem) or "timed out" in str(problem) else "closed"
        if text.startswith("2"):
            self.books.acknowledged[mark] = set(users)
            self.books.deliveries += 1
        elif sent and text in ("silence", "closed"):
            for user in users:
                self.books.unknown[user, mark] += 1
        elif sent and len(users) > 1:
            self.books.partly.update((user, mark) for user in users)
        return Answer(text, time.monotonic() - started)

    @staticmethod
    def envelope(wire, users):
        """None when DATA was accepted, else the refusal."""
        for command, want in [("EHLO c", "2"), ("MAIL FROM:<a@remote.example>", "2"),
                              *[(f"RCPT TO:<{user if '@' in user else f'{user}@{DOMAIN}'}>", "2") for user in users], ("DATA", "3")]:
            answer = wire.smtp(command)
            if not answer.startswith(want):
                return answer
        return None

    def read_first(self, user, timeout=ANSWER_SECONDS):
        """Seconds to log in and fetch a message; None when it failed."""
        started = time.monotonic()
        try:
            with self.site.pop3_wire(user, timeout=timeout) as wire:
                wire.pop3("RETR 1")
                wire.pop3_list()
                wire.pop3("QUIT", None)  # who just goes away holds the maildrop until the server sees it
            return time.monotonic() - started
        except (OSError, AssertionError):
            return None

    def delete_all(self, user):
        """The answer to QUIT after DELE of everything."""
        with self.site.pop3_wire(user, timeout=ANSWER_SECONDS) as wire:
            listing = list_mailbox(wire)
            for number, (uidl, mark) in listing.items():
                self.books.saw(user, uidl, mark)
                wire.pop3(f"DELE {number}")
            uidls = [uidl for uidl, _ in listing.values()]
            self.books.groups.append((user, uidls))
            answer = wire.pop3("QUIT", None)
            if answer.startswith("+OK"):
                self.books.groups.pop()
                self.books.deleted.update((user, uidl) for uidl in uidls)
            return answer

    # --- looking after it

    def recovers(self, seconds=RECOVERY_SECONDS):
        """Seconds until mail goes in and out again for everybody."""
        started = time.monotonic()

        def again():
            return all(self.deliver(user, timeout=3).ok for user in self.users) and all(
                self.read_first(user, 3) is not None for user in self.users)

        wait_for(again, seconds, lambda: f"service again\n{self.site.log_tail()}")
        return time.monotonic() - started

    def drain(self):
        """What only some mailboxes could take was acknowledged all the same, and is the queue's: until it is empty."""
        def is_empty():
            if not json.loads(self.site.posthouse("queue", "list", "--json"))["recipients"]:
                return True
            self.site.posthouse("queue", "retry", "--all")
            return False
        wait_for(is_empty, HANG_SECONDS, lambda: f"the queue is empty\n{self.site.log_tail()}")

    def audit(self):
        """Every mailbox against the books: nothing lost, nothing twice, nothing refused delivered."""
        self.drain()
        for user in self.users:
            def look(user=user):
                try:
                    with contextlib.closing(self.site.pop3_wire(user)) as wire:
                        listing = [dict(list_mailbox(wire).values())]
                        wire.pop3("QUIT", None)
                        return listing
                except (OSError, AssertionError):
                    return None
            (listing,) = wait_for(look, HANG_SECONDS, f"the mailbox of {user}")
            self.books.audit(user, listing)
        assert not self.books.problems, self.books.problems
        return f"{self.books.deliveries} acknowledged, lost 0, doubled 0"

    def supervisor_lives(self):
        assert self.site.process.poll() is None and self.site.process.pid == self.supervisor, self.site.log_tail()

    def cpu(self, seconds=1.0):
        """Cores used by the whole suite over so many seconds."""
        before = self.site.cpu_seconds()
        time.sleep(seconds)
        used = (self.site.cpu_seconds() - before) / seconds
        assert used < 0.5, f"{used:.2f} cores while nothing is asked for"
        return used

    def log_lines(self, pattern, since=0):
        return [line for line in self.site.log_text()[since:].splitlines() if re.search(pattern, line)]

    def workers(self):
        return [pid for pid, name in self.site.processes().items() if name in ("smtpd", "pop3d")]
