"""posthouse-sendmail, the sendmail command: what programs of forty years expect of it, by hand and by real mail programs.

Against a running site; where the server has to misbehave, against a scripted one on a socket of the test's own. Exit codes: sysexits(3).
"""
import contextlib
import json
import os
import re
import socket
import subprocess
import threading

import pytest

from harness.clients import need
from harness.site import BUILD, DOMAIN, HOSTNAME, Site, give, wait_for

SENDMAIL = BUILD / "posthouse" / "posthouse-sendmail"
USAGE, DATAERR, NOUSER, NOHOST, UNAVAILABLE, TEMPFAIL, NOPERM, CONFIG = 64, 65, 67, 68, 69, 75, 77, 78


@pytest.fixture(scope="module")
def site():
    with Site(settings={"dns.forward": "127.0.0.1@9", "smtp.max_message_size": "200K"}, workers=1) as made:
        yield made


@pytest.fixture
def home(tmp_path):
    return tmp_path


def sendmail(site, *args, stdin=b"", want=0, home="/nonexistent", name=None, config=None, env=None, **options):
    done = subprocess.run(
        [name or str(SENDMAIL), *args], executable=str(SENDMAIL), input=stdin, capture_output=True, timeout=120, check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "POSTHOUSE_CONFIG": str(config or site.config), **(env or {})}, **options,
    )
    assert done.returncode == want, done
    return done


def arrived(site, user, mark):
    """The one message to a user that has the mark in it."""
    def find():
        found = [m for m in site.mailbox(user) if mark in m]
        return found[0] if found else None

    return wait_for(find, 30, f"{mark} arrives")


def header(message, name):
    found = re.search(rb"(?mi)^" + name + rb": *(.*)\r$", message.split(b"\r\n\r\n")[0] + b"\r\n")
    return found and found.group(1)


# --- the command line and the message


def test_a_plain_text(site):
    """As `echo hello | sendmail bob@example.test`: no header at all."""
    sendmail(site, f"bob@{DOMAIN}", "-f", stdin=b"", want=USAGE)  # options stand first
    sendmail(site, "-f", f"alice@{DOMAIN}", "-F", "Al Ice", f"bob@{DOMAIN}", stdin=b"hello plain\n.\nafter the dot\n")
    message = arrived(site, "bob", b"hello plain")
    assert message.startswith(b"Return-Path: <alice@example.test>\r\n") and message.endswith(b"\r\n\r\nhello plain\r\n")
    assert header(message, b"From") == b"Al Ice <alice@example.test>"
    assert header(message, b"Date") and header(message, b"Message-ID") and b"(uid " in message


def test_recipients_of_the_message(site):
    """-t: To, Cc and Bcc, and Bcc is not shown to anybody."""
    sendmail(site, "-t", "-i", stdin=f"From: a@b.example\nTo: Bob <bob@{DOMAIN}>\nBcc: carol@{DOMAIN},\n alice@{DOMAIN}\n"
                                     "Subject: t-mark\n\na\n.\nb\n".encode())
    for user in ("bob", "carol", "alice"):
        message = arrived(site, user, b"t-mark")
        assert b"\r\na\r\n.\r\nb\r\n" in message and b"Bcc" not in message and b"carol@" not in message.split(b"t-mark")[0]
    assert header(message, b"From") == b"a@b.example"


def test_line_ends(site):
    """What progress bars and Windows scripts write: no bare CR or LF goes on."""
    sendmail(site, f"bob@{DOMAIN}", stdin=b"Subject: ends-mark\r\n\r\n10%\r20%\r\n..dots\n.one\nlast")
    assert arrived(site, "bob", b"ends-mark").endswith(b"\r\n\r\n10%\r\n20%\r\n..dots\r\n.one\r\nlast\r\n")


def test_the_null_sender(site):
    sendmail(site, "-f", "", f"bob@{DOMAIN}", stdin=b"Subject: null-mark\n\n")
    message = arrived(site, "bob", b"null-mark")
    assert message.startswith(b"Return-Path: <>\r\n") and header(message, b"From").startswith(b"MAILER-DAEMON@")


def test_cron(site):
    """The call of Debian's cron, with a user who has no domain."""
    site.posthouse("alias", "add", f"root@{DOMAIN}", f"carol@{DOMAIN}")
    sendmail(site, "-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f", f"root@{DOMAIN}",
             stdin=f"From: root (Cron Daemon)\nTo: root@{DOMAIN}\nSubject: cron-mark\nAuto-Submitted: auto-generated\n\nout\n".encode())
    assert arrived(site, "carol", b"cron-mark").endswith(b"\r\n\r\nout\r\n")


def test_for_elsewhere_it_is_queued(site):
    sendmail(site, "-f", f"alice@{DOMAIN}", "-N", "success,delay", "-R", "hdrs", "-V", "an id+1", "x@elsewhere.example",
             stdin=b"Subject: away\n\nbody\n")
    row, = json.loads(site.posthouse("queue", "list", "--recipient", "x@elsewhere.example", "--json"))["recipients"]
    shown = json.loads(site.posthouse("queue", "show", row["trace"], "--json"))
    assert shown["envelope_id"] == "an+20id+2B1" and shown["recipients"][0]["notify"] == "success, delay"  # RFC 3461
    listing = subprocess.run(["mailq"], executable=SENDMAIL, capture_output=True, text=True, timeout=60, check=True,
                             env={**os.environ, "POSTHOUSE_CONFIG": str(site.config)}).stdout
    assert row["trace"] in listing and "x@elsewhere.example" in listing
    assert b"due now" in sendmail(site, "-q").stdout


def test_many_recipients(site):
    """More than one transaction takes."""
    names = [f"many{n}@{DOMAIN}" for n in range(150)]
    site.posthouse("alias", "add", f"*@{DOMAIN}", f"alice@{DOMAIN}")
    try:
        done = sendmail(site, "-v", *names, stdin=b"Subject: many-mark\n\n")
        assert done.stdout.count(b">>> MAIL FROM") == 2 and done.stdout.count(b">>> RCPT TO") == 150
    finally:
        site.posthouse("alias", "remove", f"*@{DOMAIN}")


# --- what is wrong


def test_a_recipient_that_is_not_there(site, home):
    done = sendmail(site, f"nobody-such@{DOMAIN}", f"bob@{DOMAIN}", stdin=b"Subject: half-mark\n\n", want=NOUSER, home=home)
    assert f"nobody-such@{DOMAIN}: 550 5.1.1".encode() in done.stderr
    arrived(site, "bob", b"half-mark")  # the others have it
    kept = (home / "dead.letter").read_bytes()
    assert kept.startswith(b"From ") and b"Subject: half-mark\r\n" in kept
    assert (home / "dead.letter").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("args, stdin, code, says", [
    ([], b"", USAGE, b"to whom?"),
    (["-t"], b"Subject: x\n\n", USAGE, b"no recipients"),
    (["-bd"], b"", USAGE, b"posthouse serve"),
    (["-Z"], b"", USAGE, b"no such option"),
    (["-N", "sometimes", "a@b.example"], b"", USAGE, b"-N"),
    (["-f", "two words@", "a@b.example"], b"x\n", USAGE, b"-f"),
    (["a b c"], b"x\n", DATAERR, b""),
    (["bob@example.test>\r\nRCPT TO:<alice@example.test"], b"x\n", DATAERR, b""),
    (["bob@example.test"], b"x" * 300000, DATAERR, b"larger than"),
])
def test_what_is_refused(site, args, stdin, code, says):
    assert says in sendmail(site, *args, stdin=stdin, want=code).stderr


def test_newaliases(site):
    sendmail(site, "-bi")
    sendmail(site, name="/usr/bin/newaliases")


def test_smtp_is_passed_through(site):
    talk = f"EHLO x\r\nMAIL FROM:<alice@{DOMAIN}>\r\nRCPT TO:<bob@{DOMAIN}>\r\nDATA\r\nSubject: bs-mark\r\n\r\n.\r\nQUIT\r\n"
    out = sendmail(site, "-bs", stdin=talk.encode()).stdout
    assert out.startswith(b"220 ") and b"\r\n354 " in out and b"\r\n221 " in out
    arrived(site, "bob", b"bs-mark")


@pytest.fixture
def config(tmp_path):
    """A config file of its own that names a socket where nobody listens yet."""
    path = tmp_path / "posthouse.conf"
    path.write_text(f"[server]\nhostname = {HOSTNAME}\n[listen]\nsendmail_socket = {tmp_path}/s\n"
                    "submissions = 0\npop3s = 0\nimaps = 0\n")
    return path


def test_no_server(config, home):
    done = sendmail(None, "a@b.example", stdin=b"Subject: kept\n\n", want=TEMPFAIL, config=config, home=home)
    assert b"cannot be reached" in done.stderr and b"is kept in" in done.stderr
    assert b"Subject: kept\r\n" in (home / "dead.letter").read_bytes()
    (home / "dead.letter").unlink()
    (home / "dead.letter").symlink_to(home / "elsewhere")  # nobody else's file is written through a link
    done = sendmail(None, "a@b.example", stdin=b"Subject: lost\n\n", want=TEMPFAIL, config=config, home=home)
    assert b"could not be kept" in done.stderr and not (home / "elsewhere").exists()


def test_a_config_with_a_mistake(config):
    config.write_text("[server]\nhostnam = x\n")
    assert b"hostname" in sendmail(None, "a@b.example", stdin=b"x\n", want=CONFIG, config=config).stderr


@contextlib.contextmanager
def scripted(path, replies):
    """A server on a socket: a reply for each line (b"" : hangs up); the lines that came."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    heard = []

    def serve():
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection, connection.makefile("rwb", buffering=0) as stream:
                for reply in replies:
                    if reply == b"":
                        return
                    stream.write(reply)
                    line = stream.readline()
                    while reply.startswith(b"354") and line not in (b".\r\n", b""):
                        line = stream.readline()
                    heard.append(line)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield heard
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        listener.close()
        thread.join(60)


HELLO = [b"220 x\r\n", b"250 x\r\n"]


@pytest.mark.parametrize("replies, code, says", [
    ([b""], TEMPFAIL, b"gone"),
    ([b"554 5.3.2 no\r\n"], UNAVAILABLE, b"no"),
    ([b"garbage\r\n"], TEMPFAIL, b"gone"),
    ([b"x" * 5000], TEMPFAIL, b"gone"),
    ([b"220-x\r\n" * 500], TEMPFAIL, b"gone"),
    (HELLO + [b"451 4.3.0 later\r\n"], TEMPFAIL, b"later"),
    (HELLO + [b"550 5.7.1 not you\r\n"], NOPERM, b"not you"),
    (HELLO + [b"250 x\r\n", b"550 5.1.2 no such place\r\n", b"250 x\r\n"], NOHOST, b"a@b.example: 550"),
    (HELLO + [b"250 x\r\n", b"250 x\r\n", b"354 x\r\n", b"552 5.3.4 too large\r\n"], DATAERR, b"too large"),
    (HELLO + [b"250 x\r\n", b"250 x\r\n", b"354 x\r\n", b""], TEMPFAIL, b"gone"),
])
def test_a_server_that_does_not_take_it(config, tmp_path, replies, code, says):
    """Whatever it says, and wherever it goes away, the message is kept and the exit code says why."""
    with scripted(tmp_path / "s", replies):
        done = sendmail(None, "a@b.example", stdin=b"Subject: kept\n\n", want=code, config=config, home=tmp_path)
    assert says in done.stderr and b"Subject: kept\r\n" in (tmp_path / "dead.letter").read_bytes()


def test_only_what_the_server_offers(config, tmp_path):
    """Without DSN, SIZE and 8BITMIME there are no such parameters."""
    with scripted(tmp_path / "s", HELLO + [b"250 x\r\n", b"250 x\r\n", b"354 x\r\n", b"250 x\r\n", b"221 x\r\n"]) as heard:
        sendmail(None, "-N", "never", "-V", "id", "-R", "full", "-B", "8BITMIME", "-f", "c@d.example", "a@b.example",
                 stdin=b"Subject: x\n\n\xff\n", config=config)
    assert heard[1:3] == [b"MAIL FROM:<c@d.example>\r\n", b"RCPT TO:<a@b.example>\r\n"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_an_ordinary_user():
    """The socket where everybody reaches it; the kernel says who it is, and whoever cannot reach it keeps the message."""
    with contextlib.ExitStack() as stack:
        made = Site(settings={"dns.forward": "127.0.0.1@9"}, workers=1)
        public = made.folder / "public"
        public.mkdir(mode=0o755)
        give(public)
        made.settings["listen.sendmail_socket"] = public / "sendmail"
        made.write_config()
        stack.enter_context(made)
        mine = made.folder / "posthouse-sendmail"  # the build tree may be closed to others
        mine.write_bytes(SENDMAIL.read_bytes())
        mine.chmod(0o755)

        def run(*args):
            return subprocess.run([mine, *args, f"bob@{DOMAIN}"], input=b"Subject: user-mark\n\n", capture_output=True, timeout=60,
                                  check=False, user="games", group="games", extra_groups=[], cwd="/",
                                  env={"POSTHOUSE_CONFIG": str(made.config), "PATH": "/usr/bin"})

        assert run().returncode == 0
        message = arrived(made, "bob", b"user-mark")
        assert message.startswith(b"Return-Path: <games@example.test>\r\n") and b"(uid 5)" in message
        assert run("-f", f"alice@{DOMAIN}").returncode == NOPERM  # From is written of it
        assert len(made.mailbox("bob")) == 1


# --- programs that call it


def wrapper(tmp_path, site):
    """What a program runs as /usr/sbin/sendmail."""
    path = tmp_path / "sendmail"
    path.write_text(f"#!/bin/sh\nPOSTHOUSE_CONFIG={site.config} exec {SENDMAIL} \"$@\"\n")
    path.chmod(0o755)
    return path


def test_python_style(site, tmp_path):
    """As PHP's mail() and Python's scripts do it: through a shell, `sendmail -t -i`."""
    subprocess.run(f"{wrapper(tmp_path, site)} -t -i", shell=True, check=True, timeout=60,
                   input=f"To: bob@{DOMAIN}\nSubject: php-mark\nX-PHP-Originating-Script: 0:x.php\n\nbody\n".encode())
    arrived(site, "bob", b"php-mark")


def test_mutt(site, tmp_path):
    need("mutt")
    rc = tmp_path / "muttrc"
    rc.write_text(f'set sendmail="{wrapper(tmp_path, site)} -oem -oi" from="alice@{DOMAIN}" use_envelope_from=yes record=""\n')
    subprocess.run(["mutt", "-F", rc, "-s", "mutt-mark", f"bob@{DOMAIN}"], input=b"text\n", check=True, timeout=60,
                   env={**os.environ, "HOME": str(tmp_path)})
    assert arrived(site, "bob", b"mutt-mark").startswith(b"Return-Path: <alice@example.test>")


def test_s_nail(site, tmp_path):
    need("s-nail")
    subprocess.run(["s-nail", "-:/", "-S", f"mta={wrapper(tmp_path, site)}", "-r", f"alice@{DOMAIN}", "-s", "nail-mark", f"bob@{DOMAIN}"],
                   input=b"text\n", check=True, timeout=60, env={**os.environ, "HOME": str(tmp_path)})
    assert arrived(site, "bob", b"nail-mark").startswith(b"Return-Path: <alice@example.test>")


def test_git_send_email(site, tmp_path):
    need("git", "perl")
    parts = ["git", "send-email", "-h"], ["perl", "-MMail::Address", "-e", "1"]
    if any(subprocess.run(part, capture_output=True, check=False).returncode not in (0, 1, 129) for part in parts):
        pytest.skip("git-email or libmailtools-perl is not installed")
    patch = tmp_path / "0001.patch"
    patch.write_text(f"From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: Alice <alice@{DOMAIN}>\n"
                     "Date: Mon, 1 Jan 2024 00:00:00 +0000\nSubject: [PATCH] git-mark\n\nwhy\n---\n a | 1 +\n")
    (tmp_path / ".gitconfig").write_text(f"[user]\nname = Alice\nemail = alice@{DOMAIN}\n")
    subprocess.run(["git", "send-email", "--quiet", "--confirm=never", "--suppress-cc=all", f"--from=Alice <alice@{DOMAIN}>",
                    f"--to=bob@{DOMAIN}", f"--smtp-server={wrapper(tmp_path, site)}", patch], check=True, timeout=60,
                   stdin=subprocess.DEVNULL, cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)})
    assert b"[PATCH] git-mark" in arrived(site, "bob", b"git-mark")
