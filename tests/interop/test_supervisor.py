"""`posthouse serve` against children that misbehave on demand: replaced, backed off, drained, reloaded, told to systemd.

The children here are small programs of the test's own that follow the service protocol (common/net/service.h); what the real
daemons do with the same messages is seen in the other files.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from harness.site import HANG_SECONDS, POSTHOUSE, SERVICE_USER, free_port, wait_for

# One program for all three names. What it does is read from MODE_DIR/NAME at its start: crash, stubborn, silent.
CHILD = r"""#!/usr/bin/python3 -S
import os, select, signal, socket, sys
name = os.path.basename(sys.argv[0])
where = os.path.dirname(os.path.abspath(sys.argv[0]))
mode = open(f"{where}/{name}.mode").read() if os.path.exists(f"{where}/{name}.mode") else ""
count = int(os.environ["LISTEN_FDS"])
names = os.environ["LISTEN_FDNAMES"].split(":")
assert int(os.environ["LISTEN_PID"]) == os.getpid() and len(names) == count


def say(text):
    os.write(2, (text + "\n").encode())


def link(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


# the interpreter has its script open as well
open_fds = sorted(int(f) for f in os.listdir("/proc/self/fd") if link(f).startswith(("socket:", "/memfd:")))
note = f"{name} pid={os.getpid()} argv={sys.argv[1:]} names={','.join(names)} fds={open_fds} notify={'NOTIFY_SOCKET' in os.environ}"
say("child " + note)
if mode == "crash":
    sys.exit(3)
fds = dict(zip(range(3, 3 + count), names))
control = socket.socket(fileno=[f for f, n in fds.items() if n == "control"][0])
secret = [f for f, n in fds.items() if n == "secret"][0]
say(f"secret {name} {os.pread(secret, 64, 0).hex()}")
listeners = [socket.socket(fileno=f) for f, n in fds.items() if n not in ("control", "secret")]
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if mode != "silent":
    control.send(b"R")
while True:
    ready, _, _ = select.select([control] + listeners, [], [])
    for s in ready:
        if s is not control:
            connection, _ = s.accept()
            connection.send(b"%d\n" % os.getpid())
            connection.close()
            continue
        message = control.recv(16)
        if message == b"p":
            control.send(b"p")
        elif message == b"r":
            say(f"reloaded {name} {os.getpid()}")
        elif message in (b"", b"d"):
            say(f"draining {name} {os.getpid()}")
            if mode != "stubborn":
                sys.exit(0)
            if message == b"":
                os._exit(1)
"""


class Server:
    """A supervisor with our children, in a directory of its own."""

    def __init__(self, workers=2, environment=None, sockets=None):
        self.dir = Path(tempfile.mkdtemp(prefix="ph-"))
        os.chmod(self.dir, 0o755)
        for name in ("authd", "relayd", "smtpd", "pop3d"):
            (self.dir / name).write_text(CHILD)
            os.chmod(self.dir / name, 0o755)
        self.smtp, self.pop3 = free_port(), free_port()
        self.config = self.dir / "posthouse.conf"
        self.write_config(workers)
        self.log = self.dir / "log"
        self.environment = dict(os.environ, **(environment or {}))
        self.sockets = sockets or []
        self.process = None

    def write_config(self, workers=2, more=""):
        user = SERVICE_USER if os.geteuid() == 0 else subprocess.check_output(["id", "-un"], text=True).strip()
        self.config.write_text(
            f"[server]\nhostname = mail.example.test\ndata_dir = {self.dir}/data\nuser = {user}\nworkers = {workers}\n"
            f"[listen]\naddresses = 127.0.0.1\nsmtp = {self.smtp}\nsubmission = 0\nsubmissions = 0\n"
            f"pop3 = {self.pop3}\npop3s = 0\nimap = 0\nimaps = 0\n{more}"
        )

    def mode(self, name, mode):
        (self.dir / f"{name}.mode").write_text(mode)

    def launch(self):
        command = [str(POSTHOUSE), "--config", str(self.config), "serve", "--libexec", str(self.dir)]
        place = None
        if self.sockets:
            command = ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"] + command

            def place():
                for i, s in enumerate(self.sockets):
                    os.dup2(s.fileno(), 3 + i)
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment,
                                            preexec_fn=place, close_fds=not self.sockets, start_new_session=True)
        return self

    def start(self):
        self.launch()
        wait_for(lambda: "serve.ready" in self.text() or self.process.poll() is not None, 10, self.text)
        assert self.process.poll() is None, self.text()
        return self

    def text(self):
        return self.log.read_text(encoding="utf-8")

    def seen(self, text, seconds=HANG_SECONDS):
        wait_for(lambda: text in self.text(), seconds, lambda: f"{text!r} in\n{self.text()}")

    def signal(self, number):
        self.process.send_signal(number)

    def end(self, seconds=HANG_SECONDS):
        return self.process.wait(seconds)

    def run(self, *words):
        return subprocess.run([str(POSTHOUSE), "--config", str(self.config), *words], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60)

    def status(self):
        """By the copy of the settings in force: the admin's own file may be wrong in these tests."""
        command = [str(POSTHOUSE), "--config", f"{self.dir}/data/run/active.conf", "status", "--json"]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60).stdout)

    def pids(self, name=None):
        return {(p["name"], p["worker"]): p["pid"] for p in self.status()["processes"]
                if p["name"] != "posthouse" and p["state"] == "ready" and name in (None, p["name"])}

    def ask(self, port):
        with socket.create_connection(("127.0.0.1", port), timeout=HANG_SECONDS) as s:
            return int(s.recv(100))

    def remove(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


@pytest.fixture
def server():
    made = []

    def make(**arguments):
        made.append(Server(**arguments))
        return made[-1]

    yield make
    for s in made:
        s.remove()


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_children_get_what_the_protocol_promises(server):
    s = server().start()
    s.seen("child pop3d")
    lines = [line for line in s.text().splitlines() if line.startswith("child ")]
    assert len(lines) == 6
    active = f"'--config', '{s.dir}/data/run/active.conf', '--worker', '"
    assert all(active in line and "notify=False" in line for line in lines)
    smtpd = [line for line in lines if "child smtpd" in line]
    assert all("names=smtp,sendmail,secret,control fds=[3, 4, 5, 6]" in line for line in smtpd), lines
    assert sorted(line.split("'--worker', '")[1][0] for line in smtpd) == ["0", "1"]
    assert all("names=authd,secret,control fds=[3, 4, 5]" in line for line in lines if "child authd" in line), lines
    secrets = {line.split()[2] for line in s.text().splitlines() if line.startswith("secret ")}
    assert len(secrets) == 1 and len(secrets.pop()) == 64
    s.signal(signal.SIGTERM)
    assert s.end() == 0


def test_status(server):
    s = server().start()
    status = s.status()
    assert status["state"] == "running" and status["pid"] == s.process.pid
    assert status["ports"]["smtp"] == s.smtp and status["ports"]["imap"] is None
    assert sorted(p["name"] for p in status["processes"]) == ["authd", "pop3d", "pop3d", "posthouse", "relayd", "smtpd", "smtpd"]
    assert all(p["rss"] > 100000 for p in status["processes"])
    assert status["connections"] == {"smtp": 0, "pop3": 0}
    table = s.run("status").stdout
    assert "smtpd" in table and str(s.process.pid) in table
    s.signal(signal.SIGTERM)
    assert s.end() == 0
    stopped = s.run("status")
    assert stopped.returncode == 6 and "not running" in stopped.stderr


def test_a_killed_worker_is_replaced_at_once_and_nobody_else_notices(server):
    s = server().start()
    before = s.pids()
    os.kill(before[("smtpd", 0)], signal.SIGKILL)
    wait_for(lambda: s.pids("smtpd").get(("smtpd", 0)) not in (None, before[("smtpd", 0)]), HANG_SECONDS, s.text)
    after = s.pids()
    assert {k: v for k, v in after.items() if k != ("smtpd", 0)} == {k: v for k, v in before.items() if k != ("smtpd", 0)}
    assert [p["restarts"] for p in s.status()["processes"] if p["pid"] == after[("smtpd", 0)]] == [1]


def test_clients_wait_while_a_worker_is_replaced(server):
    """The listening socket stays open in the supervisor, so a connection made while nobody accepts is answered later."""
    s = server(workers=1).start()
    pid = s.pids()[("smtpd", 0)]
    os.kill(pid, signal.SIGSTOP)
    with socket.create_connection(("127.0.0.1", s.smtp), timeout=10) as client:
        os.kill(pid, signal.SIGKILL)
        assert int(client.recv(100)) != pid


def test_a_worker_that_crashes_again_and_again_is_started_ever_more_slowly(server):
    s = server(workers=1)
    s.mode("smtpd", "crash")
    s.launch()
    started = time.monotonic()
    wait_for(lambda: s.text().count("child smtpd") >= 6, HANG_SECONDS, s.text)
    assert time.monotonic() - started >= 1.0, s.text()  # at 0, 0, 0.1, 0.3, 0.7, 1.5, 3.1 s and the time that a start takes
    assert s.text().count("child pop3d") == 1
    s.mode("smtpd", "")
    s.seen("serve.ready")


def test_a_hung_worker_is_killed_and_replaced(server):
    s = server(workers=1).start()
    pid = s.pids()[("pop3d", 0)]
    time.sleep(1.2)
    os.kill(pid, signal.SIGSTOP)
    started = time.monotonic()
    wait_for(lambda: not alive(pid), HANG_SECONDS, s.text)
    assert time.monotonic() - started >= 2.5  # not at the first ping without an answer
    wait_for(lambda: s.pids("pop3d").get(("pop3d", 0)) not in (None, pid), HANG_SECONDS, s.text)
    assert "serve.killed" in s.text() and "why=hung" in s.text()


def test_a_stopped_supervisor_does_not_kill_the_living(server):
    s = server(workers=1).start()
    before = s.pids()
    s.signal(signal.SIGSTOP)
    time.sleep(6)
    s.signal(signal.SIGCONT)
    time.sleep(2.5)
    assert s.pids() == before, s.text()


def test_term_drains_workers_first_and_authd_last(server):
    s = server().start()
    s.signal(signal.SIGTERM)
    assert s.end() == 0
    drained = [line.split()[1] for line in s.text().splitlines() if line.startswith("draining ")]
    assert sorted(drained[:5]) == ["pop3d", "pop3d", "relayd", "smtpd", "smtpd"] and drained[5:] == ["authd"]
    assert not (s.dir / "data/run/posthouse.sock").exists()


def test_a_second_term_does_not_wait_for_the_stubborn(server):
    s = server(workers=1)
    s.mode("pop3d", "stubborn")
    s.start()
    s.signal(signal.SIGINT)
    time.sleep(1)
    assert s.process.poll() is None
    s.signal(signal.SIGTERM)
    assert s.end(20) == 0  # and not after the half minute that a first one gives
    assert "drained too long" in s.text()


def test_hup_without_changes_only_tells_the_children(server):
    s = server().start()
    before = s.pids()
    s.signal(signal.SIGHUP)
    wait_for(lambda: s.text().count("reloaded ") == 6, HANG_SECONDS, s.text)
    assert s.pids() == before


def test_hup_after_an_upgrade_starts_the_new_program(server):
    s = server().start()
    before = s.pids()
    (s.dir / "new").write_text(CHILD)
    os.chmod(s.dir / "new", 0o755)
    os.rename(s.dir / "new", s.dir / "pop3d")
    s.signal(signal.SIGHUP)
    wait_for(lambda: len(s.pids()) == 6 and not set(s.pids().values()) & set(before.values()), HANG_SECONDS, s.text)


def test_hup_with_new_settings_replaces_workers_and_refuses_nobody(server):
    s = server().start()
    before = s.pids()
    s.write_config(workers=3, more="[smtp]\nmax_recipients = 500\n")
    s.signal(signal.SIGHUP)
    while "reload.done" not in s.text() or set(s.pids().values()) & set(before.values()):
        assert s.ask(s.smtp) > 0  # never refused, never closed without an answer
    wait_for(lambda: len(s.pids()) == 8 and not set(s.pids().values()) & set(before.values()), HANG_SECONDS, s.text)
    wait_for(lambda: not any(alive(p) for p in before.values()), HANG_SECONDS, s.text)
    assert "max_recipients = 500" in (s.dir / "data/run/active.conf").read_text(encoding="utf-8")
    s.write_config(workers=1)
    s.signal(signal.SIGHUP)
    wait_for(lambda: len(s.pids()) == 4, HANG_SECONDS, s.text)


def test_hup_with_a_mistake_changes_nothing(server):
    s = server().start()
    before = s.pids()
    s.write_config(more="[smtp]\nmax_recipient = 500\n")
    s.signal(signal.SIGHUP)
    s.seen("reload.refused")
    assert "did you mean" in s.text() and "max_recipients" in s.text()
    assert s.pids() == before
    os.kill(before[("smtpd", 1)], signal.SIGKILL)  # and the bad file does not hurt who is restarted
    wait_for(lambda: s.pids().get(("smtpd", 1)) not in (None, before[("smtpd", 1)]), HANG_SECONDS, s.text)


def test_hup_with_a_taken_port_changes_nothing(server):
    s = server().start()
    before = s.pids()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        s.smtp = other.getsockname()[1]
        s.write_config()
        s.signal(signal.SIGHUP)
        s.seen("reload.refused")
    assert "is in use" in s.text() and s.pids() == before


def test_only_one_server_per_data_directory_and_port(server):
    s = server().start()
    other = server()
    second = s.run("serve", "--libexec", str(s.dir))
    assert second.returncode == 6 and f"port {s.smtp}" in second.stderr  # the first thing that is found taken
    other.smtp = s.smtp
    other.write_config()
    taken = other.run("serve", "--libexec", str(other.dir))
    assert taken.returncode == 6 and f"port {s.smtp} on 127.0.0.1 is in use" in taken.stderr
    s.smtp, s.pop3 = free_port(), free_port()
    s.write_config()
    same_data = s.run("serve", "--libexec", str(s.dir))
    assert same_data.returncode == 6 and "running already" in same_data.stderr


def test_after_the_supervisor_was_killed_the_next_one_starts_at_once(server):
    s = server().start()
    before = s.pids()
    s.process.kill()
    s.process.wait()
    s.log.write_text("")
    s.start()
    wait_for(lambda: not any(alive(p) for p in before.values()), HANG_SECONDS, s.text)
    assert not set(s.pids().values()) & set(before.values())


def test_systemd_is_told(server):
    with tempfile.TemporaryDirectory(prefix="ph-") as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        os.chmod(folder, 0o755)
        notify.bind(f"{folder}/notify")
        os.chmod(f"{folder}/notify", 0o777)
        notify.settimeout(10)
        s = server(workers=1, environment={"NOTIFY_SOCKET": f"{folder}/notify", "WATCHDOG_USEC": "1000000"})
        s.launch()
        heard = []

        def hear(text):
            while not any(text in h for h in heard):
                heard.append(notify.recv(1000).decode())

        hear("READY=1")
        hear("STATUS=serving")
        heard.clear()
        hear("WATCHDOG=1")
        s.signal(signal.SIGHUP)
        hear("RELOADING=1\nMONOTONIC_USEC=")
        heard.clear()
        hear("READY=1")
        s.signal(signal.SIGTERM)
        hear("STOPPING=1")
        assert s.end() == 0


def test_sockets_of_systemd_are_used(server):
    held = []
    for _ in range(2):
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        held.append(listener)
    s = server(workers=2, sockets=held, environment={"LISTEN_FDS": "2", "LISTEN_FDNAMES": "smtp:pop3"}).start()
    assert s.ask(held[0].getsockname()[1]) in s.pids("smtpd").values()
    assert s.ask(held[1].getsockname()[1]) in s.pids("pop3d").values()
    with pytest.raises(ConnectionRefusedError):
        s.ask(s.smtp)


def test_a_config_file_with_mistakes_is_named_and_refused(server):
    s = server()
    s.write_config(more="[smpt]\nx = 1\n[smtp]\nmax_message_size = big\n")
    refused = s.run("serve")
    assert refused.returncode == 5
    assert f"{s.config}:15: unknown section [smpt]; did you mean \"smtp\"?" in refused.stderr
    assert f"{s.config}:18: max_message_size = big: expected a size like 50M" in refused.stderr
