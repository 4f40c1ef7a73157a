"""A DNS of the test's own: a signed root zone in which every other name stands, served by NSD on a loopback port.

    with Zone(folder) as zone:
        zone.add("example.net. MX 10 mx.example.net.", "mx.example.net. A 127.0.1.1")
        zone.child("plain.example", ["@ MX 10 mx", "mx A 127.0.1.2"])                # delegated without DS: insecure
        zone.child("false.example", ["@ MX 10 mx", "mx A 127.0.1.3"], kind="forged")  # signed, then changed: bogus
        zone.publish()

zone.settings() are the keys of a site that asks it: [dns] forward and trust_anchor. A name that was not added does not exist (NXDOMAIN). A test may
add names of its own at any time: that they were not there is not remembered (TTL 0), and each name has a fence behind it, so that the proof that
something below it is not there says nothing about what comes next in the zone (a validator uses such proofs for what they cover, RFC 8198).
For the same reason ask for names that shall not exist below "gone" alone, which is there itself: else the proof for them would begin at the
last name of "example". (TTL 0 is remembered all the same until the second is over.) What is there is remembered for TTL seconds.
"""
import os
import re
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest

from harness.site import HANG_SECONDS, claim_port, wait_for

TTL = 300
TELL_AGAIN = 5  # seconds
KINDS = ("plain", "signed", "forged", "expired", "stripped", "missing")
SIGNED_FROM, SIGNED_TO, EXPIRED = "20010101000000", "20370101000000", "20010201000000"


def run(folder, *command):
    done = subprocess.run([str(c) for c in command], cwd=folder, capture_output=True, text=True, check=False,
                          env={**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def children(pid):
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []


class Zone:
    def __init__(self, folder):
        for program in ("nsd", "ldns-signzone"):
            if not any((Path(p) / program).exists() for p in ("/usr/sbin", "/usr/bin", "/sbin")):
                pytest.skip(f"{program} is not installed")
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.claim = claim_port()
        self.lines, self.children, self.keys = [], {}, {}
        self.serial, self.process = 0, None
        self.anchor = self.folder / "anchors"
        self.anchor.write_text(self.delegation("."))
        os.chmod(self.folder, 0o755)

    # --- what it says

    def add(self, *lines):
        """Records with absolute names: "example.net. MX 10 mx.example.net."."""
        self.lines += lines

    def child(self, name, lines, kind="plain", forge=("A 127.", "A 126.")):
        """A zone below the root, with relative names. kind: plain (no DS: insecure), signed, expired (signatures), stripped (of them),
        missing (SERVFAIL), or forged: signed, and afterwards the text forge[0] becomes forge[1]."""
        assert kind in KINDS
        self.children[name] = (lines, kind, forge)

    def settings(self):
        return {"dns.forward": f"127.0.0.1@{self.port}", "dns.trust_anchor": self.anchor}

    # --- files

    def delegation(self, name):
        """The DS record of the zone's key, which is made at the first need."""
        if name not in self.keys:
            self.keys[name] = run(self.folder, "ldns-keygen", "-a", "ECDSAP256SHA256", "-k", name)
        return (self.folder / f"{self.keys[name]}.ds").read_text()

    def write(self, name, lines, kind, forge):
        file = "root" if name == "." else name
        origin = "." if name == "." else f"{name}."
        text = (f"$ORIGIN {origin}\n$TTL {TTL}\n@ IN SOA ns. admin. {self.serial} 3600 600 86400 0\n@ IN NS ns.\n" + "\n".join(lines) + "\n")
        path = self.folder / f"{file}.zone"
        if kind == "missing":
            return
        if kind in ("plain", "stripped"):
            path.write_text(text)
            return
        source, result = self.folder / f"{file}.unsigned", self.folder / f"{file}.signed"
        source.write_text(text)
        run(self.folder, "ldns-signzone", "-o", name, "-i", SIGNED_FROM, "-e", EXPIRED if kind == "expired" else SIGNED_TO, "-f", result, source,
            self.keys[name])
        if kind == "forged":
            signed = result.read_text()
            pattern = re.compile(re.escape(forge[0]).replace(r"\ ", r"\s+"))
            assert pattern.search(signed), signed
            result.write_text(pattern.sub(forge[1], signed))
        os.rename(result, path)

    def write_all(self):
        self.serial += 1
        root = ["ns. A 127.0.0.1", 'gone. TXT "fence"', *self.lines, *sorted({f'zzz.{line.split()[0]} TXT "fence"' for line in [*self.lines, "gone."]})]
        for name, (lines, kind, forge) in self.children.items():
            root.append(f"{name}. NS ns.")
            label, _, rest = name.partition(".")
            root.append(f'{label}0.{rest}. TXT "fence"')
            if kind not in ("plain", "missing"):
                root.append(self.delegation(name))
            self.write(name, lines, kind, forge)
        self.write(".", root, "signed", None)
        zones = "".join(f'zone:\n name: "{n}"\n zonefile: "{n}.zone"\n' for n in self.children)
        (self.folder / "nsd.conf").write_text(
            f'server:\n ip-address: 127.0.0.1@{self.port}\n username: ""\n chroot: ""\n zonesdir: "{self.folder}"\n database: ""\n'
            f' pidfile: "{self.folder}/pid"\n xfrdfile: "{self.folder}/xfrd"\n zonelistfile: "{self.folder}/zones"\n xfrdir: "{self.folder}"\n'
            " server-count: 1\n minimal-responses: no\n rrl-ratelimit: 0\n xfrd-reload-timeout: 0\nremote-control:\n control-enable: no\n"
            f'zone:\n name: "."\n zonefile: "root.zone"\n{zones}')

    # --- running

    def publish(self):
        """What was added is answered when this returns."""
        known = set(self.children)
        if self.process is not None and known != self.served:
            self.end()
        self.write_all()
        if self.process is None:
            self.served = known
            with open(self.folder / "log", "ab") as log:
                self.process = subprocess.Popen(["/usr/sbin/nsd", "-d", "-c", "nsd.conf"], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log,
                                                stderr=log)
            old = set()
        else:
            old = self.servers()
            self.process.send_signal(signal.SIGHUP)
        self.told = time.monotonic()
        wait_for(lambda: self.is_current_or_told_again() and not old & self.servers(), HANG_SECONDS, lambda: "NSD answers: " + (self.folder / "log").read_text()[-2000:])

    def is_current_or_told_again(self):
        """NSD forgets a SIGHUP that comes while it still cleans up after the one before."""
        if self.is_current():
            return True
        if time.monotonic() - self.told > TELL_AGAIN:
            os.utime(self.folder / "root.zone")
            self.process.send_signal(signal.SIGHUP)
            self.told = time.monotonic()
        return False

    def is_current(self):
        """Whether the SOA record of the root is that of what was written last."""
        assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.2)
            sock.connect(("127.0.0.1", self.port))
            try:
                sock.send(b"\x12\x34\0\0\0\1\0\0\0\0\0\0\0\0\6\0\1")
                return struct.pack("!II", self.serial, 3600) in sock.recv(4096)
            except OSError:  # refused, silent: not there yet
                return False

    def servers(self):
        """The processes that answer: children of NSD's only child. Those of before a reload still answer for a moment."""
        found = {self.process.pid}
        for _ in range(2):
            found = {int(child) for pid in found for child in children(pid)}
        return found

    def end(self):
        process, self.process = self.process, None
        if process is not None:
            process.terminate()
            process.wait(HANG_SECONDS)

    def __enter__(self):
        self.publish()
        return self

    def __exit__(self, *_):
        self.end()
        self.claim.close()
