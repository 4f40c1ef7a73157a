#!/usr/bin/python3
"""Kills random processes of a suite under load with SIGKILL, again and again, and looks whether anything acknowledged is gone.

    kill9.py [--rounds N] [--seed N] [--seconds LOAD]

A round: load (SMTP deliveries to one and several users, submission to other servers, to users here and to both, POP3 deletions, IMAP
commands that change), a SIGKILL to a worker, to all workers of a daemon or to
the whole suite at a random moment, a start when the supervisor is gone, and more load. Every few rounds, and at the end, the
load rests, the queue is left to empty itself, every mailbox and what other servers took is compared with the books (load.py, imap_load.py, remote_load.py), and `posthouse check` must find nothing wrong.
Ends with a table, and with exit code 1 when anything was lost, doubled, half done or reused.
"""
import argparse
import contextlib
import os
import random
import signal
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from crash.imap_load import ImapWorker  # noqa: E402
from crash.load import Load  # noqa: E402
from crash.remote_load import RemoteLoad  # noqa: E402
from harness.site import DAEMONS, HANG_SECONDS, Site, claim_port, wait_for  # noqa: E402

AUDIT_EVERY = 5
LEAST = 5  # deliveries between two kills, however slow the machine is
USERS = 6
IMAP_WORKERS = 2
SENDERS = ("out0", "out1")  # to other servers
SOON = {"queue.retry": "1s 2s"}  # a far end that dropped the line is tried again within the test


class Result:
    def __init__(self):
        self.rounds = self.lost = self.doubled = 0
        self.kills = {"one process": 0, "all of a daemon": 0, "the whole suite": 0}
        self.bag = []
        self.restarts, self.recoveries, self.problems = [], [], []
        self.books = self.remote = None
        self.commands = 0

    @property
    def bad(self):
        return bool(self.lost or self.doubled or self.problems)

    def table(self):
        def times(values):
            if not values:
                return "-"
            return f"median {statistics.median(values) * 1000:.0f} ms, max {max(values) * 1000:.0f} ms"

        kills = ", ".join(f"{count} {what}" for what, count in self.kills.items())
        rows = [
            ("rounds", f"{self.rounds} ({kills})"),
            ("acknowledged", f"{self.books.deliveries} messages, {self.books.deletions} deletions, {self.commands} IMAP commands"),
            ("not acknowledged", f"{sum(self.books.unknown.values())} copies without an answer, {self.books.refusals} refused"),
            ("lost", self.lost), ("doubled", self.doubled), ("other problems", len(self.problems)),
            ("restart of the suite", times(self.restarts)), ("service after a child's death", times(self.recoveries)),
        ]
        lines = [f"{name:30} {value}" for name, value in rows + self.remote.table()]
        return "\n".join(lines + self.problems[:20])


def kill_something(site, chance, result):
    """One SIGKILL or several; afterwards the suite serves again. The time it took goes into the result."""
    if not result.bag:  # three to one to one, in any order
        result.bag = ["one process"] * 3 + ["all of a daemon", "the whole suite"]
        chance.shuffle(result.bag)
    kind = result.bag.pop()
    result.kills[kind] += 1
    if kind == "the whole suite":
        site.kill()
        result.remote.others.kills.append(time.monotonic())
        started = time.monotonic()
        site.start()
        result.restarts.append(time.monotonic() - started)
        return
    daemon = chance.choice(DAEMONS)
    pids = site.pids(daemon)
    for pid in pids if kind == "all of a daemon" else pids[:1]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it was just being replaced
    if daemon == "relayd":
        result.remote.others.kills.append(time.monotonic())
    started = time.monotonic()
    wait_for(lambda: len(site.pids(daemon)) >= len(pids) and all(map(site.answers, ("smtp", "pop3", "imap"))), HANG_SECONDS,
             f"{daemon} is replaced")
    result.recoveries.append(time.monotonic() - started)


def check(site, result):
    done = site.posthouse("check", want=None)
    if done.returncode != 0:
        result.problems.append(f"posthouse check: exit {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}")


def run(rounds, seed, seconds, report=lambda text: None):
    chance = random.Random(seed)
    result = Result()
    port, claim = claim_port()
    with contextlib.closing(claim), Site(users=(), settings=SOON) as site:
        users = [f"load{i}" for i in range(USERS)]
        site.add_users([*users, *SENDERS])
        load = Load(site, users, seed)
        imap = [load.add(ImapWorker(site, load.books, users[i], seed * 100 + 80 + i)) for i in range(IMAP_WORKERS)]
        result.books = load.books
        result.remote = remote = RemoteLoad(site, load, port, chance, SENDERS, seed)
        try:
            for number in range(1, rounds + 1):
                before = load.books.deliveries
                load.go()
                time.sleep(chance.uniform(0.1, 1.0) * seconds)
                wait_for(lambda b=before: load.books.deliveries >= b + LEAST, HANG_SECONDS, "some load before the next kill")
                kill_something(site, chance, result)
                result.rounds = number
                if number % AUDIT_EVERY == 0 or number == rounds:
                    time.sleep(0.2)
                    load.pause()
                    remote.drain()
                    lost, doubled = map(sum, zip(load.audit(), remote.audit()))
                    for worker in imap:
                        worker.audit()
                    result.commands = sum(worker.commands for worker in imap)
                    result.lost += lost
                    result.doubled += doubled
                    check(site, result)
                    report(f"round {number}: {load.books.deliveries} acknowledged, lost {result.lost}, doubled {result.doubled}")
        finally:
            load.stop()
            remote.close()
        result.problems += load.books.problems
        site.stop()
        check(site, result)
        site.start()
    return result


def main():
    parser = argparse.ArgumentParser(description="SIGKILL at random moments under load; what was acknowledged must be there once")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--seconds", type=float, default=1.5, help="the longest load before a kill")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    result = run(args.rounds, args.seed, args.seconds, lambda text: print(text, flush=True))
    print(result.table())
    return 1 if result.bad else 0


if __name__ == "__main__":
    sys.exit(main())
