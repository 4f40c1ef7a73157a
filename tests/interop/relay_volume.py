#!/usr/bin/python3
"""Many messages to many destinations, some dead, some slow, some refusing: each recipient is accounted for, none gets anything twice, and
the bad destinations do not slow the good ones.

    relay_volume.py [--messages 10000] [--destinations 200] [--senders 8] [--without-bad]

By hand with the defaults; the p99 of the good destinations (from our 250 to theirs) is printed for a run with the bad ones and one without.
test_relay_volume.py runs a small one.
"""
import argparse
import collections
import contextlib
import random
import re
import sqlite3
import statistics
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.far_end import HANG, Slow  # noqa: E402
from harness.outside import Outside  # noqa: E402
from harness.site import wait_for  # noqa: E402

KINDS = ("good", "dead", "slow", "hanging", "refusing", "later")
SHARES = {"dead": 8, "slow": 8, "hanging": 4, "refusing": 6, "later": 6}  # per cent of the destinations; the rest is good
REMOTE = 0  # enum queue_kind
MOST = 4  # recipients of a message
SETTLE_SECONDS = 600


def make_destinations(world, count):
    """{domain: (kind, server or None)}."""
    kinds = [kind for kind, share in SHARES.items() for _ in range(max(1, count * share // 100))]
    kinds += ["good"] * (count - len(kinds))
    answers = {
        "good": {}, "dead": None, "slow": {"banner": Slow("220 s"), "rcpt": Slow("250 ok"), "end": Slow("250 taken")}, "hanging": {"banner": HANG},
        "refusing": {"rcpt": "550 5.1.1 nobody"}, "later": {"rcpt": "451 4.3.0 later"},
    }
    made = {}
    for number, kind in enumerate(kinds):
        name = f"d{number}.example"
        server = None if kind == "dead" else world.far.server(**answers[kind])
        world.zone.add(f"{name}. MX 10 mx.{name}.", f"mx.{name}. A {server.address if server else '127.0.99.1'}")
        made[name] = (kind, server)
    world.zone.publish()
    return made


class Sender(threading.Thread):
    """Hands in its share over one connection. sent: {mark: (recipients, when the 250 came)}."""

    def __init__(self, world, number, messages, domains, seed):
        super().__init__(daemon=True)
        self.world, self.messages, self.sent, self.failure = world, messages, {}, None
        self.number, self.domains, self.chance = number, domains, random.Random(seed)

    def run(self):
        try:
            with contextlib.closing(self.world.site.wire("smtp")) as wire:
                wire.smtp("EHLO client.example", 250)
                for index in range(self.messages):
                    self.one(wire, f"v{self.number}-{index}")
        except BaseException as problem:
            self.failure = problem

    def one(self, wire, mark):
        names = self.chance.sample(self.domains, self.chance.choice((1, 1, 1, MOST)))
        recipients = [f"u{self.chance.randrange(50)}@{name}" for name in names]
        wire.send("".join(["MAIL FROM:<alice@example.test>\r\n", *(f"RCPT TO:<{r}>\r\n" for r in recipients), "DATA\r\n"]))
        for _ in range(len(recipients) + 1):
            wire.expect(250)
        wire.expect(354)
        wire.send(f"From: alice@example.test\r\nX-Mark: {mark}\r\nSubject: volume\r\n\r\n" + "a line of text\r\n" * 20 + ".\r\n")
        wire.expect(250)
        self.sent[mark] = (recipients, time.monotonic())


def waiting(world):
    """{(mark, recipient)} of the queue (of queue.db itself: `queue list` does not know the marks); None while reports wait in it too."""
    with contextlib.closing(sqlite3.connect(f"file:{world.site.data / 'queue.db'}?mode=ro", uri=True, timeout=30)) as db:
        rows = db.execute("SELECT body.bytes, recipient.address, recipient.kind FROM recipient "
                          "JOIN message ON message.message_id = recipient_id >> 14 JOIN body USING (message_id)").fetchall()
    if any(kind != REMOTE for _, _, kind in rows):
        return None
    return {(re.search(rb"X-Mark: (\S+)", octets).group(1).decode(), address) for octets, address, _ in rows}


def returned(world):
    """{(mark, recipient): reports}."""
    found = collections.Counter()
    for message in world.site.mailbox("alice"):
        mark = re.search(rb"X-Mark: (\S+)", message).group(1).decode()
        found.update((mark, address.decode()) for address in re.findall(rb"(?m)^Final-Recipient: rfc822; ?(\S+)\r$", message))
    return found


def run(messages, destinations, senders=4, bad=True, seed=20261121):
    """Plays it all and asserts that everybody is accounted for; a dict of figures."""
    settings = {"smtp.relay_networks": "127.0.0.0/8", "queue.retry": "2h", "explain.keep_days": 1}
    with Outside(settings=settings, users=("alice",)) as world:
        domains = make_destinations(world, destinations)
        names = [name for name in domains if bad or domains[name][0] == "good"]
        threads = [Sender(world, i, messages // senders, names, seed + i) for i in range(senders)]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SETTLE_SECONDS)
            assert thread.failure is None and not thread.is_alive(), thread.failure
        accepted = time.monotonic() - started
        sent = {mark: entry for thread in threads for mark, entry in thread.sent.items()}
        wanted = {kind: {(mark, r) for mark, (recipients, _) in sent.items() for r in recipients if domains[r.partition("@")[2]][0] == kind}
                  for kind in KINDS}

        kept = wanted["dead"] | wanted["later"] | wanted["hanging"]

        def settled():
            counts, rows = world.far.counts(), waiting(world)
            return rows is not None and rows == kept and all(counts[key] for kind in ("good", "slow") for key in wanted[kind]) and (counts, rows)

        counts, stay = wait_for(settled, SETTLE_SECONDS, lambda: world.story())
        relayed = time.monotonic() - started
        reports = returned(world)
        assert set(counts) == wanted["good"] | wanted["slow"] and max(counts.values()) == 1  # delivered: each once, and nobody else
        assert set(reports) == wanted["refusing"] and max(reports.values(), default=1) == 1  # told: each once
        assert stay == kept                                                                   # kept: all others
        times = [taken.at - sent[taken.mark][1] for kind, server in domains.values() if kind == "good" for taken in server.taken]
        for _, server in domains.values():
            if server is not None:
                server.release()
        return {"messages": len(sent), "recipients": sum(len(r) for r, _ in sent.values()), "destinations": len(names),
                **{kind: len(keys) for kind, keys in wanted.items()}, "accepted in": accepted, "settled in": relayed,
                "p50 of the good": statistics.median(times), "p99 of the good": sorted(times)[len(times) * 99 // 100]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=10000)
    parser.add_argument("--destinations", type=int, default=200)
    parser.add_argument("--senders", type=int, default=8)
    parser.add_argument("--without-bad", action="store_true", help="only the run without bad destinations")
    args = parser.parse_args()
    for bad in ([False] if args.without_bad else [False, True]):
        print("with bad destinations" if bad else "only good destinations", flush=True)
        for name, value in run(args.messages, args.destinations, args.senders, bad).items():
            print(f"    {name:20} {value:.3f} s" if isinstance(value, float) else f"    {name:20} {value}", flush=True)


if __name__ == "__main__":
    main()
