"""Many messages to many destinations, some dead, some slow, some refusing: the servers, the mail, and whether everybody is accounted for.

    with Destinations(200, slow_ms=250) as world:
        figures = play(world, make_mail(world, 10000), bad=True, rate=500)

Servers and submission are two small C programs (tests/bench/far_ends.c, paced_source.c), so that what is measured is the suite; figures["times"]
are the microseconds from each 250 at submission to the arrival at a good server. play() asserts that each recipient was delivered, told of or kept
as it should, and that none got anything twice. tests/bench/queue_volume measures with it, tests/interop/test_relay_volume.py only counts.
"""
import collections
import contextlib
import math
import random
import re
import shutil
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

from harness.site import BUILD, HANG_SECONDS, Site, claim_port, wait_for
from harness.zone import Zone

# Per cent of the destinations; the rest is good. dead: nobody listens; lame: its DNS fails; the others are words of far_ends.
SHARES = {"dead": 8, "lame": 2, "silent": 4, "slow": 8, "refuse": 6, "later": 4, "drop": 2}
KINDS = ("good", *SHARES)
DELIVERED, KEPT = ("good", "slow"), ("dead", "lame", "silent", "later", "drop")
PER_DOMAIN = 50  # recipients of a destination
MOST = 4  # recipients of a message; three of four messages have one
REMOTE = 0  # enum queue_kind
GOOD_SESSIONS, BAD_SESSIONS = 8, 4
SETTLE_SECONDS = 600
LEAD_SECONDS = 0.3  # until both sources have opened their connections
Message = collections.namedtuple("Message", "at number recipients")  # at: of 1, when in the run


def domain_of(address):
    return address.partition("@")[2]


class Destinations:
    """`count` domains in a DNS of their own, and their servers. kinds: {domain: kind}; the good ones are the same for the same count."""

    def __init__(self, count, slow_ms):
        names = [kind for kind, share in SHARES.items() for _ in range(max(1, count * share // 100))]
        names += ["good"] * (count - len(names))
        self.kinds = {f"d{number}.example": kind for number, kind in enumerate(names)}
        self.slow_ms, self.at = slow_ms, 0
        self.folder = Path(tempfile.mkdtemp(prefix="phv-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.port, self.claim = claim_port()
        self.stack = contextlib.ExitStack()
        self.stack.callback(self.claim.close)
        self.stack.callback(shutil.rmtree, self.folder, True)

    def __enter__(self):
        try:
            self.zone = Zone(self.folder / "dns")
            servers = []
            for number, (name, kind) in enumerate(self.kinds.items()):
                address = f"127.{20 if kind == 'dead' else 21}.{number // 250}.{1 + number % 250}"
                if kind == "lame":
                    self.zone.child(name, [], kind="missing")
                    continue
                self.zone.add(f"{name}. MX 10 mx.{name}.", f"mx.{name}. A {address}")
                if kind != "dead":
                    servers.append(f"{address} " + {"good": "take", "slow": f"slow {self.slow_ms}"}.get(kind, kind))
            self.stack.enter_context(self.zone)
            self.start(servers)
        except BaseException:
            self.stack.close()
            raise
        return self

    def start(self, servers):
        self.file = self.folder / "taken"
        with open(self.file, "wb") as out:
            self.process = subprocess.Popen([BUILD / "tests" / "bench" / "far_ends", str(self.port)], stdin=subprocess.PIPE, stdout=out,
                                            stderr=subprocess.PIPE, text=True)
        self.stack.callback(self.end)
        self.process.stdin.write("\n".join(servers) + "\n")
        self.process.stdin.close()
        said = self.process.stderr.readline()
        assert said == "ready\n", said

    def end(self):
        self.process.terminate()
        self.process.wait(HANG_SECONDS)
        self.process.stderr.close()

    def __exit__(self, *problem):
        return self.stack.__exit__(*problem)

    def taken(self):
        """[(microseconds, mark, recipients)] of what came since this was asked the last time."""
        assert self.process.poll() is None, "far_ends has ended"
        with open(self.file, "rb") as file:
            file.seek(self.at)
            octets = file.read()
        whole = octets[: octets.rfind(b"\n") + 1]
        self.at += len(whole)
        rows = [line.split(" ") for line in whole.decode().splitlines()]
        return [(int(row[0]), row[2], row[3:]) for row in rows]


def make_mail(world, count, seed=20261121):
    chance, names = random.Random(seed), list(world.kinds)
    return [Message(n / count, n, [f"u{chance.randrange(PER_DOMAIN)}@{name}" for name in chance.sample(names, chance.choice((1, 1, 1, MOST)))])
            for n in range(count)]


def is_good(world, address):
    return world.kinds[domain_of(address)] == "good"


def plans(world, mail, bad, tag, seconds):
    """What the two sources hand in: whatever has a good recipient, and the rest. Without the bad ones, the first has the same messages at the
    same times for their good recipients alone, the second nothing."""
    good, rest = [], []
    for message in mail:
        recipients = [r for r in message.recipients if bad or is_good(world, r)]
        line = f"{message.at * seconds * 1e6:.0f} {tag}-{message.number} " + " ".join(recipients)
        if any(is_good(world, r) for r in recipients):
            good.append(line)
        elif recipients:
            rest.append(line)
    return good, rest


class Source:
    """A paced_source under way."""

    def __init__(self, folder, name, port, sessions, start, lines):
        self.plan, self.out = folder / f"{name}.plan", folder / f"{name}.accepted"
        self.plan.write_text("".join(line + "\n" for line in lines))
        with open(self.plan, "rb") as plan, open(self.out, "wb") as out:
            self.process = subprocess.Popen([BUILD / "tests" / "bench" / "paced_source", str(port), str(sessions), str(start)], stdin=plan, stdout=out,
                                            stderr=subprocess.PIPE, text=True)

    def accepted(self):
        """{mark: microseconds of its 250}, when all are."""
        _, said = self.process.communicate(timeout=SETTLE_SECONDS)
        assert self.process.returncode == 0, said
        return {mark: int(at) for at, mark in (line.split() for line in self.out.read_text().splitlines())}


def hand_in(world, site, mail, bad, tag, seconds):
    """(when it began, {mark: when its 250 came}), in microseconds."""
    start = time.monotonic_ns() // 1000 + int(LEAD_SECONDS * 1e6)
    good, rest = plans(world, mail, bad, tag, seconds)
    jobs = [("good", GOOD_SESSIONS, good), ("rest", BAD_SESSIONS, rest)]
    sources = [Source(world.folder, name, site.ports["smtp"], sessions, start, lines) for name, sessions, lines in jobs if lines]
    times = {}
    for source in sources:
        times.update(source.accepted())
    return start, times


# --- the books


def waiting(site):
    """{(mark, recipient): (attempts, its next one is still to come)} of the queue (queue.db itself: `queue list` does not know the marks);
    None while reports wait in it too."""
    with contextlib.closing(sqlite3.connect(f"file:{site.data / 'queue.db'}?mode=ro", uri=True, timeout=30)) as db:
        if db.execute("SELECT count(*) FROM recipient WHERE kind <> ?", (REMOTE,)).fetchone()[0] > 0:
            return None
        rows = db.execute("SELECT body.bytes, recipient.address, recipient.attempts, recipient.next_attempt FROM recipient "
                          "JOIN message ON message.message_id = recipient_id >> 14 JOIN body USING (message_id)").fetchall()
    now = time.time() * 1000
    return {(re.search(rb"X-Mark: (\S+)", octets).group(1).decode(), address): (attempts, next_ms > now) for octets, address, attempts, next_ms in rows}


def returned(site):
    """{(mark, recipient): reports}."""
    found = collections.Counter()
    for message in site.mailbox("alice"):
        mark = re.search(rb"X-Mark: (\S+)", message).group(1).decode()
        found.update((mark, address.decode()) for address in re.findall(rb"(?m)^Final-Recipient: rfc822; ?(\S+)\r$", message))
    return found


def check_books(site, wanted, counts, stay):
    """Delivered: each once, and nobody else. Told of: each once. Kept: all others, and they have been tried (those that never say anything
    may still be under way)."""
    kept = set().union(*(wanted[kind] for kind in KEPT))
    reports = returned(site)
    assert set(counts) == set().union(*(wanted[kind] for kind in DELIVERED)) and max(counts.values()) == 1
    assert set(reports) == wanted["refuse"] and max(reports.values(), default=1) == 1
    assert set(stay) == kept
    assert all(stay[key][0] >= 1 for key in wanted["later"])


def put_off(wanted, rows):
    """Whether what must wait for another try does."""
    return all(rows[key][1] for kind in KEPT if kind != "silent" for key in wanted[kind])


class Run:
    """One site, and what it did with the mail."""

    def __init__(self, world, site, mail, bad, tag, seconds):
        self.world, self.site, self.arrived = world, site, {}
        self.counts = collections.Counter()
        self.wanted = {kind: {(f"{tag}-{m.number}", r) for m in mail for r in m.recipients if world.kinds[domain_of(r)] == kind and (bad or kind == "good")}
                       for kind in KINDS}
        before = site.cpu_seconds()
        self.start, self.accepted = hand_in(world, site, mail, bad, tag, seconds)
        wait_for(lambda: self.all_at("good"), SETTLE_SECONDS, lambda: "good ones arrive\n" + site.log_tail())
        self.cpu = site.cpu_seconds() - before
        (stay,) = wait_for(self.settled, SETTLE_SECONDS, lambda: "all settled\n" + site.log_tail())
        self.settled_at = time.monotonic_ns() // 1000
        self.all_at("good")  # what may have come twice meanwhile
        check_books(site, self.wanted, self.counts, stay)

    def all_at(self, kind):
        for at, mark, recipients in self.world.taken():
            for recipient in recipients:
                self.counts[mark, recipient] += 1
                self.arrived.setdefault((mark, recipient), at)
        return self.wanted[kind] <= self.counts.keys()

    def settled(self):
        """(what stays in the queue,) when nothing else is there and all of that has been put off; else None."""
        if not self.all_at("slow"):
            return None
        rows = waiting(self.site)
        kept = set().union(*(self.wanted[kind] for kind in KEPT))
        return (rows,) if rows is not None and rows.keys() == kept and put_off(self.wanted, rows) else None

    def figures(self):
        good = self.wanted["good"]
        return {
            "messages": len(self.accepted), "recipients": sum(map(len, self.wanted.values())), **{kind: len(keys) for kind, keys in self.wanted.items()},
            "accepted": (max(self.accepted.values()) - self.start) / 1e6, "arrived": (max(self.arrived[key] for key in good) - self.start) / 1e6,
            "settled": (self.settled_at - self.start) / 1e6, "cpu": self.cpu,
            "times": sorted(self.arrived[key] - self.accepted[key[0]] for key in good),
        }


def play(world, mail, bad, rate=math.inf, tag="v", settings=None):
    """One run on a site of its own: rate messages a second (of all the mail, whether the bad ones are in it or not); inf: all at once."""
    settings = {"relay.port": world.port, **world.zone.settings(), "smtp.relay_networks": "127.0.0.0/8", "queue.retry": "2h", "explain.keep_days": 1,
                **(settings or {})}
    with Site(settings=settings, users=()) as site:
        site.add_users(("alice",))
        return Run(world, site, mail, bad, tag, len(mail) / rate).figures()


def percentile(times, share):
    return times[min(len(times) * share // 100, len(times) - 1)]
