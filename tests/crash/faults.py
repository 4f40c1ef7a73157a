#!/usr/bin/python3
"""The fault table: each fault is made for real, what happened is written down, what must happen is asserted.

    faults.py [NAME...]           runs the scenarios (all), prints what was seen
    faults.py --write FILE        and writes the table (docs/faults.md)

As root on small ext4 file systems of its own (loop devices in a private mount namespace); what needs root is skipped
otherwise. Errors of single calls come from a preloaded shim (faultshim.c). test_faults.py runs the same for pytest.
"""
import argparse
import contextlib
import errno
import json
import os
import pwd
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from crash import disk as disks  # noqa: E402
from crash.load import Load  # noqa: E402
from crash.remote_load import Others, RemoteLoad  # noqa: E402
from crash.world import ANSWER_SECONDS, World, shim_reason  # noqa: E402
from harness.far_end import FarEnd  # noqa: E402
from harness.imap import Imap  # noqa: E402
from harness.site import DAEMONS, DOMAIN, HANG_SECONDS, PASSWORD, SERVICE_USER, Site, claim_port, give, wait_for  # noqa: E402

MIB = 1024 * 1024
SCENARIOS = []  # (name, must, needs, function)


def scenario(name, must, needs=""):
    def add(function):
        SCENARIOS.append((name, must, needs, function))
        return function
    return add


def why_skipped(needs):
    """None, or the reason why a scenario with these needs cannot run here."""
    if "disk" in needs and disks.why_not():
        return disks.why_not()
    if "shim" in needs and shim_reason():
        return shim_reason()
    if "root" in needs and os.geteuid() != 0:
        return "needs root"
    return None


def refused_in_time(answer):
    assert answer.refused and answer.text != "closed", f"wanted a 4xx, got {answer.text} after {answer.seconds:.1f} s"
    assert answer.seconds <= ANSWER_SECONDS, f"{answer.text} after {answer.seconds:.1f} s"
    return str(answer)


# --- space

def full(world, what):
    """The checks of a disk that takes nothing more; `what` makes room again."""
    since = len(world.site.log_text())
    world.deliver("bob", "carol", size=20000)  # takes what the last free blocks could still hold
    small, large = [world.deliver("bob") for _ in range(3)], [world.deliver("bob", size=200_000) for _ in range(3)]
    for answer in large:
        assert refused_in_time(answer).startswith("452 4.3.1"), answer
    for answer in small:
        assert answer.ok or answer.text.startswith("452 4.3.1"), answer.text
    read = world.read_first("alice")
    assert read is not None, "reading goes on"
    quit_answer = world.delete_all("alice")
    assert quit_answer.startswith("+OK"), f"deleting goes on: {quit_answer}"
    world.cpu()
    lines = world.log_lines(r"^\S+ (error|warning) ", since)
    assert 1 <= len(lines) <= 12, "\n".join(lines)
    world.supervisor_lives()
    what()
    seconds = world.recovers()
    return (f"small {', '.join(map(str, small))}; large {', '.join(map(str, large))}; RETR {read * 1000:.0f} ms; DELE, QUIT {quit_answer[:3]}; "
            f"{len(lines)} log lines; again after {seconds:.1f} s; {world.audit()}")


@scenario("disk full", "452 4.3.1, never 250; reading and deleting go on; few log lines", "disk")
def disk_full():
    with World(disk_mib=48) as world:
        world.disk.fill()
        return full(world, world.disk.give_back)


@scenario("disk full inside a message", "452 or 552; all space given back within 2 s", "disk")
def disk_full_inside():
    with World(disk_mib=48) as world:
        world.disk.fill(leave=12 * MIB)
        before = world.disk.free()
        said = refused_in_time(world.deliver("bob", "carol", size=30 * MIB))
        assert said.startswith(("452", "552")), said
        started = time.monotonic()
        wait_for(lambda: world.disk.free() >= before - MIB, HANG_SECONDS, lambda: f"space: {before} before, {world.disk.free()} now")
        back = time.monotonic() - started
        world.disk.give_back()
        world.recovers()
        return f"{said}; space back after {back:.1f} s; {world.audit()}"


@scenario("inodes out", "like disk full; an answer within 30 s", "disk")
def inodes_out():
    with World(disk_mib=48, inodes=256) as world:
        world.disk.take_inodes()
        small, large = world.deliver("bob"), world.deliver("bob", size=200_000)
        assert small.ok or refused_in_time(small).startswith("452 4.3.1"), small.text
        assert refused_in_time(large).startswith("452 4.3.1"), large.text
        read = world.read_first("alice")
        assert read is not None
        quit_answer = world.delete_all("alice")
        assert quit_answer.startswith("+OK"), quit_answer
        world.disk.give_back()
        seconds = world.recovers()
        return f"4 KiB {small}; 200 KiB {large}; reading and deleting go on; again after {seconds:.1f} s; {world.audit()}"


@scenario("quota of the file system", "like disk full (EDQUOT from every write)", "shim")
def quota():
    with World(shim=True) as world:
        world.shim.set("write", "fail", error=errno.EDQUOT)
        world.shim.set("allocate", "fail", error=errno.EDQUOT)
        answers = [world.deliver("bob"), world.deliver("bob", size=200_000)]
        for answer in answers:
            assert refused_in_time(answer).startswith("452 4.3.1"), answer.text
        assert world.read_first("alice") is not None
        world.supervisor_lives()
        world.shim.clear()
        seconds = world.recovers()
        return f"{', '.join(map(str, answers))}; reading goes on; again after {seconds:.1f} s; {world.audit()}"


# --- a disk that fails, hangs, is slow

@scenario("file system turns read-only", "4xx, no 250; nothing lost; after repair and restart all is there", "disk")
def read_only():
    with World(disk_mib=48) as world:
        world.disk.break_it()
        answers = [world.deliver("bob"), world.deliver("bob", "carol", size=200_000)]
        for answer in answers:
            refused_in_time(answer)
        read = world.read_first("alice")
        world.cpu()
        world.supervisor_lives()
        world.site.stop(check=False)
        world.disk.repair()
        world.site.start()
        world.supervisor = world.site.process.pid
        world.recovers()
        return (f"{', '.join(map(str, answers))}; reading {'goes on' if read is not None else 'refused'}; "
                f"after repair and restart {world.audit()}")


@scenario("disk hangs", "no 250 meanwhile; greetings and reads are served; all goes on after the thaw", "disk")
def hangs():
    with World(disk_mib=48) as world:
        for user in world.users:
            assert world.read_first(user) is not None
        world.disk.freeze()
        try:
            answer = world.deliver("bob", timeout=6)
            assert not answer.ok, answer.text
            started = time.monotonic()
            with world.site.wire("smtp") as wire:
                wire.smtp("EHLO c", 250)
            greeting = time.monotonic() - started
            reads = [world.read_first(user, HANG_SECONDS) for user in ("alice", "carol")]
            world.cpu()
            world.supervisor_lives()
        finally:
            world.disk.thaw()
        seconds = world.recovers()
        read = "reads are served" if all(r is not None for r in reads) else f"reads: {reads}"
        return f"delivery: {answer} after {answer.seconds:.0f} s; greeting {greeting * 1000:.0f} ms; {read}; again after {seconds:.1f} s; {world.audit()}"


@scenario("slow disk", "correct and slow; a slow writer does not block other sessions (each sync takes a second)", "shim")
def slow():
    with World(shim=True, workers=1) as world:
        world.shim.set("sync", "wait", wait_ms=1000)
        answers = []
        writers = [threading.Thread(target=lambda: answers.append(world.deliver("bob", timeout=HANG_SECONDS))) for _ in range(8)]
        for thread in writers:
            thread.start()
        reads = [world.read_first("alice") for _ in range(5)]
        started = time.monotonic()
        with world.site.wire("smtp") as wire:
            wire.smtp("EHLO c", 250)
            wire.smtp("MAIL FROM:<a@remote.example>", 250)
            wire.smtp(f"RCPT TO:<carol@{DOMAIN}>", 250)
        commands = time.monotonic() - started
        answered = len(answers)
        for thread in writers:
            thread.join()
        assert all(answer.ok for answer in answers), [a.text for a in answers]
        assert all(read is not None for read in reads), reads
        assert answered < len(writers), "reads and commands waited until all writers had their answers"
        world.shim.clear()
        slowest = max(answer.seconds for answer in answers)
        return f"8 writers: 250 after at most {slowest:.1f} s; reads meanwhile at most {max(reads) * 1000:.0f} ms, commands {commands * 1000:.0f} ms; {world.audit()}"


def call_fails(operation, how, sizes=(2000, 200_000), may_pass=False, users=("bob",)):
    """A call of the store fails in a given way; every answer must be true, and service comes back by itself."""
    with World(shim=True) as world:
        descriptors = {}
        world.shim.set(operation, **how)
        answers = [world.deliver(*users, size=size) for _ in range(3) for size in sizes]
        hits = world.shim.hits(operation)
        for answer in answers:
            assert may_pass and answer.ok or refused_in_time(answer), answer.text
        for pid in world.workers():
            descriptors[pid] = len(os.listdir(f"/proc/{pid}/fd")) if os.geteuid() == 0 else 0
        for _ in range(30):  # each worker opens what it has not yet: four descriptors an account, not one a try
            world.deliver(*users, size=sizes[-1])
        for pid, count in descriptors.items():
            now = len(os.listdir(f"/proc/{pid}/fd")) if count and os.path.exists(f"/proc/{pid}") else 0
            assert now <= count + 16, f"descriptors leak: {count}, then {now}"
        world.supervisor_lives()
        world.cpu()
        world.shim.clear()
        seconds = world.recovers()
        counts = {str(a): [str(b) for b in answers].count(str(a)) for a in answers}
        said = ", ".join(f"{count} × {text}" for text, count in counts.items())
        return f"{said} ({hits} calls failed); again after {seconds:.1f} s; {world.audit()}"


@scenario("fsync fails", "no 250 for the message; service again when the disk is well", "shim")
def sync_fails():
    return call_fails("sync", {"action": "fail"})


@scenario("fsync fails now and then", "refused or kept, exactly once", "shim")
def sync_fails_sometimes():
    return call_fails("sync", {"action": "fail", "every": 3}, may_pass=True, users=("bob", "carol"))


@scenario("write fails now and then", "refused or retried, exactly once (every 5th write: EIO)", "shim")
def write_fails():
    return call_fails("write", {"action": "fail", "every": 5}, may_pass=True, users=("bob", "carol"))


@scenario("short writes", "continued", "shim")
def write_short():
    return call_fails("write", {"action": "short", "every": 3}, may_pass=True)


@scenario("link fails", "4xx for bodies that are files; small ones go on", "shim")
def link_fails():
    return call_fails("link", {"action": "fail"}, may_pass=True)


@scenario("rename fails", "works without, or 4xx", "shim")
def rename_fails():
    return call_fails("rename", {"action": "fail"}, may_pass=True)


@scenario("open fails", "4xx, no leak (every open in the data directory: EMFILE)", "shim")
def open_fails():
    return call_fails("open", {"action": "fail", "error": errno.EMFILE}, may_pass=True)


@scenario("truncate fails", "refused or kept, exactly once", "shim")
def truncate_fails():
    return call_fails("truncate", {"action": "fail"}, may_pass=True)


STALE_REFUSES = (
    "EXPUNGE", "UID EXPUNGE 1:*", "CLOSE", "STORE 1 -FLAGS (\\Deleted)", "UID STORE 1:* +FLAGS.SILENT (\\Seen)", "COPY 1:* Trash",
    "UID COPY 1:* Trash", "MOVE 1:* Trash", "UID MOVE 1:* Trash", "SEARCH ALL", "SORT (ARRIVAL) UTF-8 ALL", "THREAD REFERENCES UTF-8 ALL",
)


@scenario("reads fail below IMAP", "a command that would go by what may be old is refused and changes nothing; FETCH shows what was there", "shim")
def reads_fail():
    with World(shim=True, workers=1) as world:
        alice = Imap(("127.0.0.1", world.site.ports["imap"])).login(f"alice@{DOMAIN}", PASSWORD)
        alice.command("SELECT INBOX").ok()
        alice.command("STORE 1 +FLAGS.SILENT (\\Deleted)").ok()
        assert world.deliver("alice").ok  # another process changes the mailbox
        world.shim.set("read", "fail")
        answers = {command: alice.command(command) for command in STALE_REFUSES}
        assert world.shim.hits("read") > 0
        for command, answer in answers.items():  # CORRUPTION: SQLite says so of a file whose beginning cannot be read
            assert answer.word == "NO" and answer.code in (["UNAVAILABLE"], ["CORRUPTION"]), f"{command}: {answer}"
        said = sorted({answer.code[0] for answer in answers.values()})
        old = alice.command("FETCH 1:* (FLAGS)").ok().all("FETCH")
        assert old == [["1", "FETCH", ["FLAGS", ["\\Deleted"]]]], old
        world.cpu()
        world.shim.clear()
        assert ["2", "EXISTS"] in alice.command("NOOP").ok().untagged
        now = alice.command("FETCH 1:* (FLAGS)").ok().all("FETCH")
        assert now == [["1", "FETCH", ["FLAGS", ["\\Deleted"]]], ["2", "FETCH", ["FLAGS", []]]], now
        assert alice.command("STATUS Trash (MESSAGES)").ok().all("STATUS") == [["STATUS", "Trash", ["MESSAGES", "0"]]]
        alice.command("STORE 1 -FLAGS.SILENT (\\Deleted)").ok()
        alice.close()
        return f"{len(answers)} × NO [{' or '.join(said)}]; FETCH shows the message that was there; afterwards nothing has changed; {world.audit()}"


@scenario("preallocation fails", "works without", "shim")
def allocation_fails():
    with World(shim=True) as world:
        world.shim.set("allocate", "fail", error=errno.EOPNOTSUPP)
        answers = [world.deliver("bob"), world.deliver("bob", size=2 * MIB)]
        assert all(answer.ok for answer in answers), [a.text for a in answers]
        return f"{', '.join(map(str, answers))}; {world.audit()}"


# --- what a process is given

def limit(pid, what, value):
    """Sets the soft limit of a running process, as the user that it runs as."""
    identity = {}
    if os.geteuid() == 0:  # user and group must both be the process's own; root's capability is not always there
        owner = pwd.getpwnam(SERVICE_USER)
        identity = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    subprocess.run(["prlimit", f"--pid={pid}", f"--{what}={value}:"], check=True, **identity)


@scenario("descriptors out", "accepting pauses without spinning, sessions live, recovers by itself", "root")
def descriptors_out():
    with World(workers=1) as world, contextlib.ExitStack() as stack:
        (pid,) = world.site.pids("smtpd")
        living = stack.enter_context(world.site.wire("smtp"))
        living.smtp("EHLO c", 250)
        used = max(int(fd) for fd in os.listdir(f"/proc/{pid}/fd")) + 1
        hard = int(re.search(r"Max open files +\d+ +(\d+)", Path(f"/proc/{pid}/limits").read_text()).group(1))
        limit(pid, "nofile", used + 4)
        for _ in range(40):
            sock = socket.create_connection(("127.0.0.1", world.site.ports["smtp"]), timeout=5)
            stack.callback(sock.close)
        used_cpu = world.cpu(2)
        living.smtp("NOOP", 250)
        assert world.read_first("alice") is not None
        world.supervisor_lives()
        limit(pid, "nofile", hard)
        stack.close()
        seconds = world.recovers()
        assert pid in world.site.pids("smtpd"), "the worker was replaced"
        return f"{used_cpu:.2f} cores meanwhile; the living session goes on; again after {seconds:.1f} s; {world.audit()}"


@scenario("address space out", "421, 451 or the session ends; the supervisor lives", "root")
def address_space_out():
    with World(workers=1) as world:
        answers = []
        for daemon in ("smtpd", "pop3d"):
            (pid,) = world.site.pids(daemon)
            size = [int(line.split()[1]) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmSize")][0]
            limit(pid, "as", size * 1024 + MIB // 2)
            with contextlib.ExitStack() as stack:
                for _ in range(200):
                    with contextlib.suppress(OSError, AssertionError):
                        stack.enter_context(world.site.wire({"smtpd": "submissions", "pop3d": "pop3s"}[daemon], timeout=3))
                answers += [world.deliver("bob", "carol", size=300_000) for _ in range(3)]
                world.read_first("alice")
            world.supervisor_lives()
            if pid in world.site.processes():
                limit(pid, "as", "unlimited")
        seconds = world.recovers()
        return f"{', '.join(map(str, answers))}; again after {seconds:.1f} s; {world.audit()}"


@scenario("malloc fails", "the session ends with 4xx, or the worker exits and is replaced; store intact (every 300th, 60th, 20th call)", "shim")
def malloc_fails():
    with World(shim=True) as world:
        seen = []
        for every in (300, 60, 20):
            world.shim.set("malloc", "fail", every=every)
            answers = [world.deliver("bob", "carol", size=size, timeout=8) for size in (2000, 200_000) * 4]
            for user in ("alice", "bob"):
                world.read_first(user, 5)
            world.supervisor_lives()
            hits = world.shim.hits("malloc")
            world.shim.clear()
            counts = {str(a): [str(b) for b in answers].count(str(a)) for a in answers}
            seen.append(f"1 in {every} ({hits} failed): " + ", ".join(f"{n} × {t}" for t, n in counts.items()))
            seconds = world.recovers()
        return f"{'; '.join(seen)}; again after {seconds:.1f} s; {world.audit()}"


@scenario("clock jumps", "mail flows; nobody is logged out; UIDs go on", "shim")
def clock_jumps():
    with World(shim=True) as world:
        with world.site.pop3_wire("alice") as reader, world.site.wire("smtp") as writer:
            writer.smtp("EHLO c", 250)
            for jump in (400 * 86400, -400 * 86400, 3600, -3600, 0):
                world.shim.set_clock(jump)
                answer = world.deliver("bob", "carol")
                assert answer.ok, answer.text
                assert world.read_first("bob") is not None
                reader.pop3("NOOP")
                writer.smtp("NOOP", 250)
                time.sleep(0.3)
        assert set(world.site.pids("smtpd"))
        world.supervisor_lives()
        return f"400 days forth and back, an hour forth and back: every delivery 250, sessions live; {world.audit()}"


@scenario("log not writable", "service goes on (standard error is /dev/full, then a pipe that nobody reads)", "")
def log_gone():
    with World() as world:
        world.site.stop()
        world.site.log_target = "/dev/full"
        world.site.start()
        answer = world.deliver("bob", "carol")
        assert answer.ok and world.read_first("bob") is not None
        world.site.stop()
        read_end, write_end = os.pipe()
        world.site.log_target = f"/proc/self/fd/{write_end}"
        world.site.start()
        os.close(write_end)
        answers = [world.deliver("bob") for _ in range(3)]
        os.close(read_end)  # nobody reads it any more: SIGPIPE, EPIPE
        answers += [world.deliver("bob") for _ in range(3)]
        assert all(a.ok for a in answers), [a.text for a in answers]
        world.site.stop()
        world.site.log_target = world.site.log_path
        world.site.start()
        world.supervisor = world.site.process.pid
        return f"250 in all; {world.audit()}"


@scenario("log is a full pipe", "service goes on (a reader that hangs)", "")
def log_pipe_full():
    with World() as world:
        world.site.stop()
        read_end, write_end = os.pipe()
        world.site.log_target = f"/proc/self/fd/{write_end}"
        world.site.start()
        os.set_blocking(write_end, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(write_end, b"x" * 4096)
        answers = [world.deliver("bob") for _ in range(4)]
        os.close(write_end)
        assert all(a.ok for a in answers), [a.text for a in answers]
        os.close(read_end)
        world.site.stop()
        world.site.log_target = world.site.log_path
        world.site.start()
        world.supervisor = world.site.process.pid
        return f"250 in all; {world.audit()}"


# --- mail to other servers

RELAYING = {"queue.retry": "1s 2s", "smtp.relay_networks": "127.0.0.0/8 ::1"}


@contextlib.contextmanager
def outbound(settings=None, **options):
    """A world whose mail may go out to far ends that count."""
    port, claim = claim_port()
    with contextlib.closing(claim), FarEnd(port) as far, World(settings={**RELAYING, **(settings or {})}, **options) as world:
        others = Others(far, random.Random(port))
        others.always = None
        others.add_routes(world.site)
        yield world, others


def waiting(world):
    """What is in the queue."""
    return json.loads(world.site.posthouse("queue", "list", "--limit", "1000", "--json"))["recipients"]


def arrived(world, others):
    """The queue empties itself; then everything that was acknowledged is at the far ends and in the mailboxes, once."""
    started = time.monotonic()
    wait_for(lambda: not waiting(world), HANG_SECONDS, lambda: f"the queue is empty: {waiting(world)}\n{world.site.log_tail()}")
    seconds = time.monotonic() - started
    doubles = Counter()
    assert others.audit(world.books, doubles) == (0, 0), world.books.problems
    left = [path for path in (world.site.data / "queue").rglob("*") if path.is_file()]
    assert not left, f"bodies that nobody owns: {left}"
    return f"queue empty after {seconds:.1f} s; allowed twice {sum(doubles.values())}; {world.audit()}"


def tell(answers):
    return ", ".join(f"{count} × {text}" for text, count in Counter(map(str, answers)).items())


@scenario("queue: disk full", "452 4.3.1 or, from the reserve, 250; nothing half; what was taken goes out", "disk")
def queue_disk_full():
    with outbound(disk_mib=48) as (world, others):
        world.disk.fill()
        world.deliver("bob", "a@far.example", size=20000)  # takes what the last free blocks could still hold
        small = [world.deliver("a@far.example", "carol") for _ in range(4)]
        large = [world.deliver("b@other.example", "bob", size=200_000) for _ in range(3)]
        for answer in large:
            assert refused_in_time(answer).startswith("452 4.3.1"), answer.text
        for answer in small:
            assert answer.ok or answer.text.startswith("452 4.3.1"), answer.text
        world.cpu()
        world.disk.give_back()
        seconds = world.recovers()
        assert world.deliver("c@third.example").ok
        return f"small {tell(small)}; large {tell(large)}; again after {seconds:.1f} s; {arrived(world, others)}"


@scenario("queue: fsync fails", "no 250; nothing leaves that was refused", "shim")
def queue_sync_fails():
    with outbound(shim=True) as (world, others):
        world.shim.set("sync", "fail")
        answers = [world.deliver("a@far.example", *here, size=size) for size in (2000, 200_000) for here in ((), ("bob",))]
        hits = world.shim.hits("sync")
        for answer in answers:
            refused_in_time(answer)
        assert hits > 0
        world.shim.clear()
        seconds = world.recovers()
        assert world.deliver("b@other.example").ok
        return f"{tell(answers)} ({hits} calls failed); again after {seconds:.1f} s; {arrived(world, others)}"


@scenario("queue: writes and fsync fail now and then", "refused or kept; an outcome that the disk does not take is kept in memory until it does: nothing twice", "shim")
def queue_fails_sometimes():
    with outbound(shim=True) as (world, others):
        answers, hits = [], 0
        for operation in ("sync", "write"):
            world.shim.set(operation, "fail", every=4)
            answers += [world.deliver("a@far.example", "b@other.example", "bob", size=size) for size in (2000, 2000, 200_000) * 3]
            time.sleep(1)
            hits += world.shim.hits(operation)
            world.shim.clear()
        for answer in answers:
            assert answer.ok or refused_in_time(answer), answer.text
        seconds = world.recovers()
        return f"{tell(answers)} ({hits} calls failed); again after {seconds:.1f} s; {arrived(world, others)}"


@scenario("relay dies, relay hangs", "mail is taken meanwhile, the relay is replaced, all goes out", "")
def relay_gone():
    with outbound() as (world, others):
        seen = []
        for sign, name in ((signal.SIGKILL, "killed"), (signal.SIGSTOP, "hangs")):
            (pid,) = world.site.pids("relayd")
            os.kill(pid, sign)
            started = time.monotonic()
            answers = [world.deliver("a@far.example", "bob"), world.deliver("b@other.example", size=200_000)]
            assert all(answer.ok for answer in answers), tell(answers)
            wait_for(lambda p=pid: world.site.pids("relayd") not in ([], [p]), HANG_SECONDS, "replaced")
            wait_for(lambda: not waiting(world), HANG_SECONDS, lambda: f"the queue is empty\n{world.site.log_tail()}")
            seen.append(f"{name}: all out after {time.monotonic() - started:.1f} s")
        return f"{'; '.join(seen)}; {arrived(world, others)}"


@scenario("DNS is dead", "mail waits, nothing is bounced; it goes out when there is a way", "")
def dns_dead():
    nobody, claim = claim_port()
    with contextlib.closing(claim), outbound({"dns.forward": f"127.0.0.1@{nobody}"}) as (world, others):
        answer = world.deliver("a@unknown.example", "bob")
        assert answer.ok, answer.text

        def tried():
            rows = waiting(world)
            return [row for row in rows if row["attempts"] > 1] and rows

        (row,) = wait_for(tried, HANG_SECONDS, lambda: f"tried: {waiting(world)}")  # a report would be a second one
        assert row["recipient"] == "a@unknown.example", row
        others.servers["unknown.example"] = others.servers["far.example"]
        others.add_routes(world.site)
        world.site.posthouse("queue", "retry", "--all")
        return f"{answer}; after {row['attempts']} tries it waits: {row['last_reply'][:60]}; {arrived(world, others)}"


@scenario("queue: the clock jumps by six days", "nothing is bounced for its age without another try, whether the relay saw the jump or was begun anew after it", "shim")
def queue_clock_jumps():
    with outbound(shim=True) as (world, others):
        for restart in (False, True):
            others.always = "451 4.3.0 not now"
            answers = [world.deliver("a@far.example", "b@other.example") for _ in range(10)]
            assert all(answer.ok for answer in answers), tell(answers)
            wait_for(lambda: all(row["attempts"] > 0 for row in waiting(world)), HANG_SECONDS, lambda: f"tried: {waiting(world)}")
            if restart:
                others.always = None
            world.shim.set_clock((1 + restart) * 6 * 86400)
            if restart:
                os.kill(world.site.pids("relayd")[0], signal.SIGKILL)
            else:  # another try, with the clock as it is now, and it waits on
                before = {row["recipient"] + row["trace"]: row["attempts"] for row in waiting(world)}
                wait_for(lambda: all(row["attempts"] > before[row["recipient"] + row["trace"]] for row in waiting(world)), HANG_SECONDS, "tried again")
                assert len(waiting(world)) == 20, waiting(world)
            others.always = None
            wait_for(lambda: not waiting(world), HANG_SECONDS, lambda: f"the queue is empty: {waiting(world)}")
        reports = world.log_lines(r"bounce|report")
        assert not reports, reports
        return f"40 recipients waited over the jumps, 0 bounced; {arrived(world, others)}"


# --- processes

@scenario("child dies", "replaced within 5 s; others do not notice", "")
def child_dies():
    with World() as world:
        seen = []
        for daemon in DAEMONS:
            pids = world.site.pids(daemon)
            with world.site.wire("pop3") as other:
                if daemon == "pop3d":
                    other.close()
                os.kill(pids[0], signal.SIGKILL)
                started = time.monotonic()
                wait_for(lambda d=daemon, p=pids: len(world.site.pids(d)) == len(p) and p[0] not in world.site.pids(d), HANG_SECONDS, "replaced")
                seen.append(f"{daemon} {(time.monotonic() - started) * 1000:.0f} ms")
                if daemon != "pop3d":
                    other.pop3("CAPA")
        world.recovers()
        return f"replaced: {', '.join(seen)}; {world.audit()}"


@scenario("child hangs", "replaced within 5 s after 4 s without an answer; others do not notice", "")
def child_hangs():
    with World() as world:
        seen = []
        for daemon in DAEMONS:
            pids = world.site.pids(daemon)
            os.kill(pids[0], signal.SIGSTOP)
            started = time.monotonic()
            wait_for(lambda d=daemon, p=pids: len(world.site.pids(d)) == len(p) and p[0] not in world.site.pids(d), HANG_SECONDS, "replaced")
            seen.append(f"{daemon} {time.monotonic() - started:.1f} s")
        world.recovers()
        return f"replaced: {', '.join(seen)}; {world.audit()}"


@scenario("SIGKILL at a chosen call", "nothing lost, nothing twice, whichever call was the last", "shim")
def kill_at_call():
    with World(shim=True, workers=1) as world:
        kills = 0
        for operation in ("write", "sync", "link", "unlink", "open", "truncate"):
            for action in ("kill_before", "kill_after"):
                for number in range(1, kill_at_call.depth + 1):
                    world.shim.set(operation, action, every=number)
                    world.deliver("bob", "carol", size=(2000, 200_000)[number % 2], timeout=5)
                    with contextlib.suppress(OSError, AssertionError):
                        world.delete_all("carol")
                    reached = world.shim.hits(operation)
                    world.shim.clear()
                    if not reached:
                        break
                    kills += 1
                    wait_for(lambda: world.read_first("bob", 5) is not None, HANG_SECONDS, "service again")
        world.recovers()
        return f"{kills} kills before or after the n-th open, write, sync, link, unlink, truncate; {world.audit()}"


kill_at_call.depth = 6


def cut_power(world, load, kills):
    """Under load: what was not flushed to the disk is gone (ext4's shutdown without its log). Then the suite is started again: seconds.
    Into `kills` goes the moment when the last process was gone."""
    load.go()
    time.sleep(1.5)
    witness = world.disk.folder / "witness"
    witness.write_bytes(b"x" * 5000)
    world.disk.cut_power()
    for worker in load.workers:
        worker.go.clear()
    world.site.kill()
    kills.append(time.monotonic())
    load.pause()
    world.disk.unmount()
    world.disk.mount()
    assert not witness.exists() or witness.stat().st_size == 0, "the cut did not cut"
    started = time.monotonic()
    world.site.start()
    world.supervisor = world.site.process.pid
    return time.monotonic() - started


def load_of(world, **options):
    """A load that writes into the world's books."""
    load = Load(world.site, world.users, **options)
    load.books = world.books
    for worker in load.workers:
        worker.books = world.books
    return load


@scenario("power cut", "nothing acknowledged lost, nothing twice; service at once", "disk")
def power_cut():
    cuts, seen = power_cut.rounds, []
    with World(disk_mib=256, users=[f"cut{i}" for i in range(4)]) as world:
        load = load_of(world, seed=7, deliverers=4, deleters=2, largest=200_000)
        try:
            for _ in range(cuts):
                seen.append(cut_power(world, load, []))
                world.audit()
                world.site.posthouse("check")
        finally:
            load.stop()
        return f"{cuts} cuts under load; start {max(seen) * 1000:.0f} ms at most; {world.audit()}"


@scenario("queue: power cut", "what was acknowledged goes out or comes back, its Sent copy and report once; twice only what was just being sent", "disk")
def queue_power_cut():
    cuts, (port, claim), senders = power_cut.rounds, claim_port(), ("out0", "out1")
    with contextlib.closing(claim), World(disk_mib=256, users=("alice", "bob", "carol"), settings=RELAYING) as world:
        world.site.add_users(senders)
        load = load_of(world, seed=8, deliverers=1, deleters=1, largest=100_000)
        remote = RemoteLoad(world.site, load, port, random.Random(8), senders, 8)
        try:
            for _ in range(cuts):
                cut_power(world, load, remote.others.kills)
                remote.drain()
                assert remote.audit() == (0, 0), world.books.problems
                world.audit()
                world.site.posthouse("check")
        finally:
            load.stop()
            remote.close()
        return (f"{cuts} cuts under load; {len(remote.others.copies)} taken by other servers, allowed twice {sum(remote.doubles.values())}, "
                f"{sum(remote.reports.values())} reports; {world.audit()}")


power_cut.rounds = 3


# --- damage and backup

@scenario("store file damaged", "that account is refused with a plain message and named in the log; all others work; check names it", "")
def damaged():
    with World(users=("alice", "bob")) as world:
        before = set((world.site.data / "accounts").iterdir())
        world.site.add_users(["victim"])
        (folder,) = set((world.site.data / "accounts").iterdir()) - before
        for _ in range(5):
            assert world.deliver("victim").ok
        world.site.stop()
        file = folder / "mail.db"
        octets = file.read_bytes()
        file.write_bytes(octets[:1024] + b"\xa5" * (len(octets) - 1024))
        for name in ("mail.db-wal", "mail.db-shm"):
            (folder / name).unlink(missing_ok=True)
        give(file)
        world.site.start()
        world.supervisor = world.site.process.pid
        answer = world.deliver("victim")
        assert refused_in_time(answer).startswith("4"), answer.text
        with world.site.wire("pop3") as wire:
            wire.pop3(f"USER victim@{DOMAIN}", None)
            login = wire.pop3("PASS secret", "-ERR")
        assert world.deliver("bob").ok and world.read_first("alice") is not None
        check = world.site.posthouse("check", want=None)
        assert check.returncode != 0 and "victim" in check.stdout + check.stderr, check.stdout + check.stderr
        assert world.log_lines(r"(?i)damage|malformed|corrupt"), world.site.log_tail()
        seen = f"SMTP {answer}; POP3 {login[:40]}; others work; check: exit {check.returncode}; {world.audit()}"
        file.write_bytes(octets)  # what the admin would restore
        give(file)
        return seen


@scenario("backup during load", "a restored copy is some consistent instant with all that was acknowledged before it began", "")
def backup():
    """Each database by SQLite's online backup, then the bodies: what docs say an admin may do while all runs."""
    users = [f"save{i}" for i in range(3)]
    with World(users=users) as world:
        load = Load(world.site, users, seed=9, deliverers=4, deleters=0, largest=200_000)
        try:
            load.go()
            time.sleep(1.5)
            with load.books.lock:
                promised = {mark: set(owners) for mark, owners in load.books.acknowledged.items()}
            copy = world.folder / "copy"
            copy_site(world.site.data, copy)
            load.pause()
        finally:
            load.stop()
        load.audit()
        world.books.acknowledged.update(load.books.acknowledged)
        world.books.unknown.update(load.books.unknown)
        world.books.partly.update(load.books.partly)
        seen = world.audit()
        with Site(users=(), data_dir=copy, existing=True, settings={"server.data_dir": copy}) as restored:
            restored.posthouse("check")
            missing = 0
            for user in users:
                there = {mark.decode() for text in restored.mailbox(user)
                         for mark in re.findall(rb"X-Load-Id: (\S+)", text)}
                missing += sum(1 for mark, owners in promised.items() if user in owners and mark not in there)
        assert missing == 0, f"{missing} of {len(promised)} acknowledged before the backup are not in it"
        return f"{len(promised)} acknowledged before it began, all in the copy; check of the copy clean; {seen}"


def copy_site(source, target):
    """The databases first, then the bodies that their rows name (a body is durable before its row)."""
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        elif path.suffix == ".db":
            place.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(path, timeout=20)) as old, contextlib.closing(sqlite3.connect(place)) as new:
                old.backup(new)
    for path in sorted(source.rglob("*")):
        if "blobs" in path.parts and path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    for path in (target, *target.rglob("*")):
        give(path)


HEAD = """# Faults: what must happen, and what was seen

Made by `tests/crash/faults.py --write docs/faults.md` on {date}, as root, Linux {kernel}. Each fault is made for real: on small ext4
file systems of their own (loop devices), by limits and signals on the running processes, or by a preloaded shim that lets
single calls fail, wait, come short or be the last (`tests/crash/faultshim.c`). In every scenario besides: the supervisor
lives, the suite uses less than half a core while nothing is asked of it, nothing answered 4xx or 5xx is delivered, nothing twice,
a refusal comes within 10 s, service comes back by itself within 30 s after the fault is gone, and `posthouse check` is clean at the end.

| scenario | must happen | seen |
|---|---|---|
"""
TAIL = """
Not tried: a memory limit by cgroup (the kernel's own out-of-memory killer is a SIGKILL, which `kill9.py` tries by the hundred); a
real file-system quota (the shim answers EDQUOT instead); loss inside a disk's own write cache.
"""

KEPT = "\n## SIGKILL at any moment"  # written by hand from kill9.py's table


def main():
    parser = argparse.ArgumentParser(description="makes faults and writes down what happens")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--write", metavar="FILE")
    parser.add_argument("--deep", action="store_true", help="more kills at chosen calls and more power cuts")
    args = parser.parse_args()
    if args.deep:
        kill_at_call.depth, power_cut.rounds = 40, 20
    rows, failed = [], 0
    for name, must, needs, function in SCENARIOS:
        if args.names and name not in args.names:
            continue
        reason = why_skipped(needs)
        try:
            seen = f"skipped: {reason}" if reason else function()
        except Exception as problem:  # each scenario stands for itself
            seen, failed = f"FAILED: {str(problem).splitlines()[0] if str(problem) else type(problem).__name__}", failed + 1
            print(problem, file=sys.stderr)
        print(f"{name}: {seen}", flush=True)
        rows.append(f"| {name} | {must} | {seen.replace('|', '/')} |")
    if args.write:
        kernel = subprocess.run(["uname", "-r"], capture_output=True, text=True, check=True).stdout.strip()
        place = Path(args.write)
        kept = place.read_text().partition(KEPT)[2] if place.exists() else ""  # what kill9.py said
        table = HEAD.format(date=time.strftime("%Y-%m-%d"), kernel=kernel) + "\n".join(rows) + "\n" + TAIL
        place.write_text(table + (KEPT + kept if kept else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
