"""The admin's command line, on a stopped and on a running site: what it does, what it says, what it returns."""
import contextlib
import json
import os
import poplib
import pty
import re
import select
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from harness.site import DOMAIN, HANG_SECONDS, POSTHOUSE, SERVICE_USER, Site, cheap_hash, free_port, wait_for

OK, FAILED, USAGE, NOT_FOUND, EXISTS, CONFIG, TEMPORARY, DENIED = range(8)
SITE = {"users": ("alice",)}


class Stopped:
    """A site with a config file and nothing else; no server runs."""

    def __init__(self, folder):
        self.folder = Path(folder)
        os.chmod(folder, 0o755)
        self.data = self.folder / "data"
        self.config = self.folder / "posthouse.conf"
        self.config.write_text(self.text())

    def text(self, **changes):
        values = {"data": self.data, "user": SERVICE_USER if os.geteuid() == 0 else os.environ.get("USER", "posthouse"),
                  "smtp": free_port(), "pop3": free_port(), "more": "", **changes}
        return ("[server]\nhostname = mail.example.test\ndata_dir = {data}\nuser = {user}\nworkers = 1\n[listen]\n"
                "addresses = 127.0.0.1\nsmtp = {smtp}\nsubmission = 0\nsubmissions = 0\npop3 = {pop3}\npop3s = 0\n"
                "imap = 0\nimaps = 0\n"
                "{more}").format(**values)

    def run(self, *words, stdin="", **options):
        return subprocess.run([str(POSTHOUSE), "--config", str(self.config), *map(str, words)], input=stdin, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False, **options)

    def ok(self, *words, stdin=""):
        done = self.run(*words, stdin=stdin)
        assert done.returncode == OK and done.stderr == "", (words, done)
        return done.stdout

    def json(self, *words):
        return json.loads(self.ok(*words, "--json"))

    def fails(self, code, *words, stdin="", says=""):
        done = self.run(*words, stdin=stdin)
        assert done.returncode == code, (words, done)
        assert says in done.stderr and done.stderr.startswith("posthouse: "), (words, done)
        return done


@pytest.fixture
def stopped():
    with tempfile.TemporaryDirectory(prefix="phc-", dir="/tmp") as folder:
        yield Stopped(folder)


@pytest.fixture
def populated(stopped):
    stopped.ok("domain", "add", DOMAIN)
    line = f'{{}}@{DOMAIN},{{}},"{cheap_hash()}",1G\n'
    stopped.ok("user", "import", "-", stdin=line.format("alice", "Alice") + line.format("bob", "Bob"))
    return stopped


# --- domains


def test_domains(stopped):
    assert stopped.json("domain", "list") == []
    assert stopped.ok("domain", "add", DOMAIN, "example.org") == f"domain {DOMAIN} added\ndomain example.org added\n"
    assert sorted(stopped.json("domain", "list"), key=lambda d: d["domain"]) == [
        {"domain": "example.org", "users": 0, "aliases": 0}, {"domain": DOMAIN, "users": 0, "aliases": 0}]
    stopped.fails(EXISTS, "domain", "add", DOMAIN, says=DOMAIN)
    stopped.fails(NOT_FOUND, "domain", "remove", "example.com", says="example.com")
    stopped.ok("domain", "remove", "example.org")
    stopped.ok("user", "add", f"alice@{DOMAIN}", "--password-stdin", stdin="secret\n")
    stopped.fails(TEMPORARY, "domain", "remove", DOMAIN, says="still has users")
    done = stopped.run("domain", "add", "bad domain", "fine.example")
    assert done.returncode != OK and "bad domain" in done.stderr and "fine.example added" in done.stdout


def test_a_domain_is_found_in_either_form(stopped):
    stopped.ok("domain", "add", "bücher.example")
    stopped.fails(EXISTS, "domain", "add", "xn--bcher-kva.example")
    stopped.fails(EXISTS, "domain", "add", "BÜCHER.example")


# --- users


def test_a_user_from_add_to_remove(stopped):
    address = f"dave@{DOMAIN}"
    stopped.fails(NOT_FOUND, "user", "add", address, "--password-stdin", stdin="x\n", says="posthouse domain add")
    stopped.ok("domain", "add", DOMAIN)
    assert stopped.ok("user", "add", address, "--password-stdin", "--name", "Dave D", "--quota", "2G",
                      stdin="secret\n") == f"user {address} added\n"
    shown = stopped.json("user", "show", address)
    assert shown["address"] == address and shown["name"] == "Dave D" and shown["quota"] == 2 << 30
    assert shown["messages"] == 0 and shown["bytes"] == 0 and shown["quota_messages"] is None
    assert {m["mailbox"] for m in shown["mailboxes"]} == {"INBOX", "Drafts", "Sent", "Archive", "Junk", "Trash"}
    stopped.fails(EXISTS, "user", "add", address, "--password-stdin", stdin="y\n", says="already")
    stopped.fails(EXISTS, "user", "add", address.upper(), "--password-stdin", stdin="y\n")
    stopped.ok("user", "disable", address)
    assert [u["disabled"] for u in stopped.json("user", "list")] == [True]
    stopped.ok("user", "enable", address)
    assert [u["disabled"] for u in stopped.json("user", "list")] == [False]
    stopped.ok("user", "quota", address, "--quota", "500M", "--quota-messages", "1000")
    assert stopped.json("user", "show", address)["quota"] == 500 << 20
    assert stopped.json("user", "show", address)["quota_messages"] == 1000
    stopped.ok("user", "password", address, "--password-stdin", stdin="other\n")
    stopped.ok("user", "remove", address)
    assert stopped.json("user", "list") == []
    assert not any(p.name.isdigit() for p in (stopped.data / "accounts").iterdir())
    for words in (("show",), ("disable",), ("password", "--password-stdin"), ("remove",), ("quota", "--quota", "1G")):
        stopped.fails(NOT_FOUND, "user", words[0], address, *words[1:], stdin="x\n", says=address)
    stopped.ok("check")


@pytest.mark.parametrize("stdin, why", [("", "no password"), ("\n", "no password"), ("x" * 1025 + "\n", "longer than")])
def test_bad_passwords_leave_nothing_behind(stopped, stdin, why):
    stopped.ok("domain", "add", DOMAIN)
    stopped.fails(FAILED if "no" in why else USAGE, "user", "add", f"eve@{DOMAIN}", "--password-stdin", stdin=stdin, says=why)
    assert stopped.json("user", "list") == []


@pytest.mark.parametrize("address", ["eve", "@example.test", "eve@", "eve@exa mple.test", "e ve@example.test", "eve@@example.test"])
def test_bad_addresses(stopped, address):
    stopped.ok("domain", "add", DOMAIN)
    done = stopped.run("user", "add", address, "--password-stdin", stdin="x\n")
    assert done.returncode == USAGE and done.stderr.startswith(f"posthouse: {address}: ")
    assert stopped.json("user", "list") == []


def test_quota_values_are_checked_before_anything_is_done(populated):
    populated.fails(USAGE, "user", "quota", f"bob@{DOMAIN}", "--quota", "lots", says="--quota lots: expected a size like 2G")
    populated.fails(USAGE, "user", "add", f"eve@{DOMAIN}", "--quota", "-1", "--password-stdin", stdin="x\n")
    assert len(populated.json("user", "list")) == 2


def test_an_add_that_was_killed_is_completed_by_the_next(populated):
    """Killed after its first or second write (posthouse/user.h): the address is there and nobody can log in."""
    address = f"fay@{DOMAIN}"
    for delay in [n * 0.004 for n in range(12)]:
        process = subprocess.Popen([str(POSTHOUSE), "--config", str(populated.config), "user", "add", address,
                                    "--password-stdin"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdin.write(b"secret\n")
        process.stdin.flush()
        time.sleep(0.05 + delay)
        process.kill()
        process.communicate()
        done = populated.run("user", "add", address, "--password-stdin", stdin="secret\n")
        assert done.returncode in (OK, EXISTS), done
        assert len(populated.json("user", "show", address)["mailboxes"]) == 6
        populated.ok("check")
        populated.ok("user", "remove", address)


# --- import


def test_import_names_wrong_lines_and_takes_the_others(stopped):
    stopped.ok("domain", "add", DOMAIN)
    text = "\r\n".join([
        "address,name,password,quota",
        f'a@{DOMAIN},"Name, with a comma","pass""word",10M',
        f"b@{DOMAIN},,secret",
        f"c@{DOMAIN},C,secret,lots",
        "nobody@elsewhere.example,N,secret,",
        "just one field",
        f'd@{DOMAIN},D,"{cheap_hash()}",',
        "",
        f"e@{DOMAIN},E,,",
    ]) + "\r\n"
    file = stopped.folder / "users.csv"
    file.write_bytes(text.encode())
    done = stopped.run("user", "import", file)
    assert done.returncode == FAILED and done.stdout == "3 users added, 0 there already, 4 lines wrong\n"
    assert sorted(re.findall(r"users\.csv:(\d+)", done.stderr)) == ["4", "5", "6", "9"], done.stderr
    assert f"c@{DOMAIN}: quota: expected a size like 2G" in done.stderr
    users = {u["address"]: u for u in stopped.json("user", "list")}
    assert sorted(users) == [f"a@{DOMAIN}", f"b@{DOMAIN}", f"d@{DOMAIN}"]
    assert users[f"a@{DOMAIN}"]["name"] == "Name, with a comma" and users[f"a@{DOMAIN}"]["quota"] == 10 << 20
    again = stopped.run("user", "import", file)
    assert again.stdout == "0 users added, 3 there already, 4 lines wrong\n"
    stopped.fails(FAILED, "user", "import", stopped.folder / "nothing.csv", says="nothing.csv")


# --- aliases


def test_aliases(populated):
    populated.ok("alias", "add", f"sales@{DOMAIN}", f"alice@{DOMAIN}", f"bob@{DOMAIN}")
    populated.ok("alias", "add", f"*@{DOMAIN}", f"alice@{DOMAIN}")
    rows = {(r["alias"], r["address"]) for r in populated.json("alias", "list")}
    assert rows == {(f"sales@{DOMAIN}", f"alice@{DOMAIN}"), (f"sales@{DOMAIN}", f"bob@{DOMAIN}"),
                    (f"*@{DOMAIN}", f"alice@{DOMAIN}")}
    populated.ok("alias", "remove", f"sales@{DOMAIN}", f"bob@{DOMAIN}")
    assert len(populated.json("alias", "list")) == 2
    populated.ok("alias", "remove", f"sales@{DOMAIN}")
    assert len(populated.json("alias", "list")) == 1
    assert populated.fails(NOT_FOUND, "alias", "remove", f"sales@{DOMAIN}")
    assert populated.json("domain", "list") == [{"domain": DOMAIN, "users": 2, "aliases": 1}]


# --- what every command does alike


def test_tables_line_up(populated):
    populated.ok("user", "add", f"xenophon@{DOMAIN}", "--name", "Ξενοφῶν", "--password-stdin", stdin="x\n")
    lines = populated.ok("user", "list").splitlines()
    assert len(lines) == 4
    at = lines[0].index("DISABLED")
    assert all(line[at:].startswith("no") for line in lines[1:]), lines


def test_control_characters_do_not_reach_the_terminal(stopped):
    stopped.ok("domain", "add", DOMAIN)
    done = stopped.run("user", "add", f"eve@{DOMAIN}", "--name", "\x1b[2Jgone\x07", "--password-stdin", stdin="x\n")
    shown = stopped.ok("user", "list")
    assert "\x1b" not in shown and "\x07" not in shown
    assert done.returncode in (OK, USAGE, FAILED)


@pytest.mark.parametrize("words, says", [
    (["usr", "add"], "did you mean user?"), (["user", "ad", "x"], "did you mean add?"),
    (["user", "list", "--jsn"], "did you mean --json?"), (["user", "add"], "usage: posthouse user add ADDRESS"),
    (["user", "add", "a@b", "--password", "x"], "unknown option: --password"), (["domain"], "what to do: add, list, remove"),
    (["serve", "--json"], "does not take this option"), (["status", "--config"], "needs a value"),
])
def test_usage_errors_help(stopped, words, says):
    done = stopped.fails(USAGE, *words, says=says)
    assert done.stdout == "" and not stopped.data.exists()


def test_help_and_version(stopped):
    assert re.fullmatch(r"posthouse \d+\.\d+\.\d+\n", stopped.ok("version"))
    overview = stopped.ok("help")
    for verb in ("serve", "status", "domain add", "user import", "alias list", "check", "config example"):
        assert f"posthouse {verb}" in overview
    assert "--quota SIZE" in stopped.ok("help", "user", "add") and "--quota SIZE" in stopped.ok("user", "add", "--help")
    assert stopped.ok("user", "--help") == stopped.ok("help", "user") != stopped.ok("help", "user", "add")
    codes = stopped.ok("help", "exit-codes").splitlines()
    assert [line[0] for line in codes] == list("01234567")
    stopped.fails(USAGE, "help", "nonsense")


def test_manual_pages_and_completion_are_well_formed(stopped):
    completion = stopped.ok("help", "completion")
    script = completion + '\nCOMP_WORDS=(posthouse user ""); COMP_CWORD=2; _posthouse; echo "${COMPREPLY[@]}"\n' \
        'COMP_WORDS=(posthouse user add --q); COMP_CWORD=3; _posthouse; echo "${COMPREPLY[@]}"\n'
    answer = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    assert {"add", "import", "remove"} <= set(answer[0].split())
    assert set(answer[1].split()) == {"--quota", "--quota-messages"}
    for page in (stopped.ok("help", "manual"), stopped.ok("config", "manual")):
        assert page.startswith('.\\"') and ".SH NAME\n" in page
        assert not [line for line in page.splitlines() if line.startswith(("'", ".."))]


def test_a_full_standard_output_is_an_error(populated):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([str(POSTHOUSE), "--config", str(populated.config), "user", "list"], stdout=full,
                              stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == FAILED and "No space left" in done.stderr


def test_data_belongs_to_the_service_user_alone(populated):
    owner = (populated.data).stat().st_uid
    for path in [populated.data, *populated.data.rglob("*")]:
        info = path.lstat()
        assert info.st_uid == owner, path
        assert not stat.S_IMODE(info.st_mode) & 0o077, (path, oct(info.st_mode))
    if os.geteuid() == 0:
        assert owner != 0


def test_another_user_is_told_so(populated):
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    done = populated.run("user", "list", user="daemon", group="daemon", extra_groups=[])
    assert done.returncode == DENIED and "root or as the service user" in done.stderr


def test_a_data_directory_of_somebody_else_is_not_taken_over(stopped):
    if os.geteuid() != 0:
        pytest.skip("only root can make one")
    stopped.data.mkdir(mode=0o755)
    stopped.fails(DENIED, "domain", "add", DOMAIN, says="does not belong")
    assert stopped.data.stat().st_uid == 0


# --- config


def test_config_check_finds_what_would_keep_the_server_from_starting(stopped):
    assert stopped.run("config", "check").returncode == OK
    (stopped.folder / "c.pem").write_text("no certificate")
    stopped.config.write_text(stopped.text(more=f"[tls]\ncertificate = {stopped.folder}/c.pem\nkey = {stopped.folder}/none\n"))
    done = stopped.run("config", "check")
    assert done.returncode == CONFIG and "c.pem: not a PEM certificate" in done.stdout
    findings = json.loads(stopped.run("config", "check", "--json").stdout)
    assert [f["kind"] for f in findings].count("error") == 1
    stopped.config.write_text("[server]\nwrokers = 2\n")
    done = stopped.run("config", "check")
    assert done.returncode == CONFIG and f'{stopped.config}:2: unknown key "wrokers"' in done.stdout
    assert "did you mean \"workers\"?" in done.stdout
    stopped.config.unlink()
    assert stopped.run("config", "check").returncode == CONFIG
    stopped.fails(CONFIG, "user", "list", says="--config")


def test_config_check_looks_at_ports_and_certificates(site):
    done = site.posthouse("config", "check", want=None)
    assert done.returncode == OK, done.stdout  # its own server has the ports: no mistake
    other = Path(site.folder) / "other.conf"
    with tempfile.TemporaryDirectory(prefix="phc-", dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        other.write_text(site.config.read_text().replace(str(site.data), f"{folder}/data"))
        done = subprocess.run([str(POSTHOUSE), "--config", str(other), "config", "check"], stdout=subprocess.PIPE, text=True,
                              check=False)
        assert done.returncode == CONFIG and "is in use by another program" in done.stdout
        wrong, key = site.ca.issue("elsewhere", ["elsewhere.example"])
        text = site.config.read_text().replace(str(site.data), f"{folder}/data")
        other.write_text(text.replace(str(site.key), str(key)))
        done = subprocess.run([str(POSTHOUSE), "--config", str(other), "config", "check"], stdout=subprocess.PIPE, text=True,
                              check=False)
        assert "is not the key of" in done.stdout
        other.write_text(text.replace(str(site.key), str(key)).replace(str(site.certificate), str(wrong)))
        done = subprocess.run([str(POSTHOUSE), "--config", str(other), "config", "check"], stdout=subprocess.PIPE, text=True,
                              check=False)
        assert "warning" in done.stdout and "no certificate is for mail.example.test" in done.stdout


def test_config_show_is_a_config_file(stopped):
    shown = stopped.ok("config", "show")
    copy = stopped.folder / "shown.conf"
    copy.write_text(shown)
    again = subprocess.run([str(POSTHOUSE), "--config", str(copy), "config", "show"], stdout=subprocess.PIPE, text=True, check=True)
    assert again.stdout == shown and "max_message_size = 50M" in shown


def test_the_environment_names_the_config_file(stopped):
    done = subprocess.run([str(POSTHOUSE), "config", "show"], stdout=subprocess.PIPE, text=True, check=True,
                          env={**os.environ, "POSTHOUSE_CONFIG": str(stopped.config)})
    assert f"data_dir = {stopped.data}" in done.stdout


# --- the terminal


def on_terminal(command, answers):
    """Runs a command on a terminal of its own and answers its questions; returns (exit code, what was shown)."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(command[0], command)
    shown, left, until = b"", list(answers), time.monotonic() + 60
    while time.monotonic() < until:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            got = os.read(terminal, 4096)
        except OSError:
            break
        if not got:
            break
        shown += got
        if left and shown.endswith(b": "):
            os.write(terminal, left.pop(0).encode() + b"\n")
    if time.monotonic() >= until:
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def test_passwords_are_asked_for_twice_and_not_shown(stopped):
    stopped.ok("domain", "add", DOMAIN)
    command = [str(POSTHOUSE), "--config", str(stopped.config), "user", "add", f"gil@{DOMAIN}"]
    code, shown = on_terminal(command, ["top-secret", "top-secreT"])
    assert code == FAILED and "not the same" in shown and stopped.json("user", "list") == []
    code, shown = on_terminal(command, ["top-se\x03"])
    assert code == FAILED and "cancelled" in shown and stopped.json("user", "list") == []
    code, shown = on_terminal(command, ["top-secret", "top-secret"])
    assert code == OK and "top-secret" not in shown
    assert len(stopped.json("user", "list")) == 1


def test_without_a_terminal_nobody_is_asked(stopped):
    stopped.ok("domain", "add", DOMAIN)
    done = stopped.run("user", "add", f"gil@{DOMAIN}", start_new_session=True)
    assert done.returncode == FAILED and "--password-stdin" in done.stderr


# --- beside a running server


def can_log_in(site, address, password):
    try:
        site.pop3(address, password=password).quit()
        return True
    except poplib.error_proto:
        return False


def test_users_come_and_go_while_the_server_runs(site):
    address = site.add_user("dave", password="first")
    site.send("someone@remote.example", [address], b"Subject: hello\r\n\r\nhello\r\n")
    assert can_log_in(site, address, "first")
    site.posthouse("user", "password", address, "--password-stdin", stdin="second\n")
    assert can_log_in(site, address, "second") and not can_log_in(site, address, "first")
    site.posthouse("user", "disable", address)
    assert not can_log_in(site, address, "second")
    site.send("someone@remote.example", [address], b"Subject: still\r\n\r\ntaken in\r\n")
    site.posthouse("user", "enable", address)
    assert can_log_in(site, address, "second")
    shown = json.loads(site.posthouse("user", "show", address, "--json"))
    assert shown["messages"] == 2 and shown["mailboxes"][0]["mailbox"]
    site.posthouse("user", "remove", address)
    assert not can_log_in(site, address, "second")
    with pytest.raises(Exception, match="550"):
        site.send("someone@remote.example", [address], b"Subject: gone\r\n\r\ngone\r\n")
    site.posthouse("check")


def test_status_of_a_real_site(site):
    status = json.loads(site.posthouse("status", "--json"))
    names = sorted(p["name"] for p in status["processes"])
    assert names == ["authd", "imapd", "imapd", "pop3d", "pop3d", "posthouse", "relayd", "smtpd", "smtpd"]
    assert all(p["state"] == "ready" for p in status["processes"])
    with contextlib.closing(site.wire("smtp")), contextlib.closing(site.wire("pop3")), contextlib.closing(site.wire("imap")):
        counts = json.loads(site.posthouse("status", "--json"))["connections"]
    assert counts["smtp"] >= 1 and counts["pop3"] >= 1 and counts["imap"] >= 1 and counts["submissions"] == 0
    table = site.posthouse("status")
    assert "smtpd" in table and "CONNECTIONS" in table


def test_every_daemon_is_replaced_when_it_dies(site):
    """The real daemons, killed one after the other: back by themselves, and mail flows."""
    for name in ("authd", "smtpd", "pop3d", "imapd"):
        victim = site.pids(name)[0]
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda n=name, v=victim: v not in site.pids(n) and len(site.pids(n)) == (1 if n == "authd" else 2), HANG_SECONDS, name)
    site.send("someone@remote.example", [f"alice@{DOMAIN}"], b"Subject: alive\r\n\r\nalive\r\n")
    assert can_log_in(site, f"alice@{DOMAIN}", "secret")


def test_a_reload_ends_no_transaction(site):
    """HUP with new settings: workers are replaced; a message that was begun is taken in; then the old worker says goodbye."""
    before = {pid for name in ("smtpd", "pop3d", "imapd") for pid in site.pids(name)}
    client = site.smtp("submission", login="alice")
    client.ehlo()
    assert client.mail(f"alice@{DOMAIN}")[0] == 250 and client.rcpt(f"alice@{DOMAIN}")[0] == 250
    site.settings["smtp.max_recipients"] = 500
    site.write_config()
    site.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "reload.done" in site.log_text(), HANG_SECONDS, site.log_tail)
    wait_for(lambda: len(set(site.pids("smtpd")) - before) == 2, HANG_SECONDS, site.log_tail)
    code, text = client.data(f"From: alice@{DOMAIN}\r\nSubject: over a reload\r\n\r\nx\r\n".encode())
    assert code == 250, text
    client.close()
    wait_for(lambda: not set(site.processes()) & before, HANG_SECONDS, site.log_tail)
    assert any(b"over a reload" in m for m in site.mailbox("alice"))


def test_nothing_is_waited_for_at_the_end_when_nobody_is_connected():
    with Site(users=("alice",)) as quiet:
        quiet.process.send_signal(signal.SIGTERM)
        assert quiet.process.wait(HANG_SECONDS) == 0
        assert "drained too long" not in quiet.log_text()
        left = subprocess.run(["pgrep", "-f", str(quiet.config)], stdout=subprocess.PIPE, check=False).stdout
        assert left == b""
        quiet.start()
