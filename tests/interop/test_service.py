"""The suite as a whole: starts, is watched over, drains, and ends (promises: child dies or hangs; issue 7)."""
import json
import os
import signal
import subprocess
import time

import pytest

from harness.site import DAEMONS, PASSWORD, POSTHOUSE, SANITIZED, wait_for
from harness.wire import plain_token

REPLACED_SECONDS = 5


def replaced(site, name, old, count):
    now = site.pids(name)
    return len(now) == count and not set(old) & set(now)


@pytest.mark.parametrize("name", DAEMONS)
def test_a_child_that_dies_is_replaced_within_five_seconds(site, name):
    old = site.pids(name)
    assert old
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: replaced(site, name, old, len(old)), REPLACED_SECONDS, f"{name} is replaced")
    wait_for(lambda: site.answers("smtp") and site.answers("pop3"), REPLACED_SECONDS, "service again")
    wait_for(lambda: logs_in(site), REPLACED_SECONDS, "logins again")


def logs_in(site):
    try:
        with site.pop3_wire("alice", timeout=5):
            return True
    except (AssertionError, OSError):
        return False


@pytest.mark.parametrize("name", DAEMONS)
def test_a_child_that_hangs_is_replaced(site, name):
    """No answer to the supervisor's pings for 4 s: killed and replaced; the other worker serves meanwhile."""
    old = site.pids(name)
    os.kill(old[0], signal.SIGSTOP)
    wait_for(lambda: old[0] not in site.processes() and len(site.pids(name)) == len(old), 4 + REPLACED_SECONDS,
             f"{name} is replaced")
    wait_for(lambda: logs_in(site), REPLACED_SECONDS, "logins again")


def test_no_waiting_client_is_lost_while_a_worker_is_replaced(site):
    """Sockets belong to the supervisor: a client that connects while no worker runs is served by the next."""
    for pid in site.pids("smtpd"):
        os.kill(pid, signal.SIGKILL)
    for _ in range(10):
        with site.wire("smtp", timeout=REPLACED_SECONDS * 2) as wire:
            assert wire.greeting.startswith(b"220")


def test_term_lets_a_message_under_way_finish(site):
    """Drain: the session in DATA gets its 250 and the suite ends with 0; what was taken in is there afterwards."""
    site.empty("bob")
    with site.wire("smtp") as wire:
        wire.smtp("EHLO c", 250)
        wire.smtp("MAIL FROM:<a@remote.example>", 250)
        wire.smtp("RCPT TO:<bob@example.test>", 250)
        wire.smtp("DATA", 354)
        wire.send("Subject: last one\r\n\r\n")
        site.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        wire.send("x\r\n.\r\n")
        wire.expect(250)
        wire.until_close()
    site.stop()
    site.start()
    (message,) = site.mailbox("bob")
    assert b"last one" in message
    site.empty("bob")


def test_idle_sessions_are_told_goodbye_and_the_end_is_quick(site):
    with site.wire("smtp") as smtp, site.pop3_wire("alice") as pop3:
        smtp.smtp("EHLO c", 250)
        pop3.pop3("STAT")
        site.stop()
        assert "drained too long" not in site.log_text()
        assert smtp.until_close().startswith(b"421")
        pop3.until_close()
    site.start()


def test_hup_drops_nobody(site):
    with site.wire("smtp") as smtp, site.pop3_wire("alice") as pop3:
        smtp.smtp("EHLO c", 250)
        site.process.send_signal(signal.SIGHUP)
        time.sleep(1)
        pop3.pop3("NOOP")
        pop3.pop3("QUIT")
        smtp.smtp("MAIL FROM:<a@remote.example>", 250)
        smtp.smtp("RSET", 250)
    assert logs_in(site)


def test_status_says_what_runs(site):
    text = site.posthouse("status", "--json")
    status = json.loads(text)
    for pid, name in site.processes().items():
        if name in DAEMONS:
            assert str(pid) in text, (name, status)


def test_a_second_suite_on_the_same_data_is_refused(site):
    done = subprocess.run([str(POSTHOUSE), "--config", str(site.config), "serve"], capture_output=True, timeout=30, check=False)
    assert done.returncode != 0 and done.stderr
    assert logs_in(site)


def test_workers_hold_no_privileges_and_cannot_read_the_passwords(site):
    """no_new_privs and a seccomp filter in each child; as root none of them stays root."""
    for pid, name in site.processes().items():
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        if name in DAEMONS:
            assert status["NoNewPrivs"] == "1" and (SANITIZED or status["Seccomp"] == "2"), name
        if os.geteuid() == 0:
            assert "0" not in status["Uid"].split(), name
        if name in ("smtpd", "pop3d"):
            held = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
            assert not [path for path in held if "auth.db" in path]


def test_at_rest_the_suite_is_small_and_quiet(site):
    """At most 25 MiB PSS in all with 5 accounts, and no busy loop."""
    site.add_users(["rest1", "rest2"])
    site.restart()
    time.sleep(1)
    if not SANITIZED:
        assert sum(site.pss_kib().values()) <= 25 * 1024, {site.processes()[p]: k for p, k in site.pss_kib().items()}

    before = site.cpu_seconds()
    time.sleep(3)
    assert (site.cpu_seconds() - before) / 3 < 0.05  # of a core


def test_check_finds_nothing_wrong(site):
    site.send("a@remote.example", ["alice@example.test", "bob@example.test"], "Subject: x\r\n\r\nx\r\n")
    site.posthouse("check")
    with site.wire("pop3") as wire:
        wire.pop3("AUTH PLAIN " + plain_token("alice@example.test", PASSWORD))
