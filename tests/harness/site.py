"""A private site: a whole suite in a temporary directory, made and run by public commands only.

    with Site(settings={"pop3.delete": "trash"}) as site:
        site.send("a@remote.example", ["bob@example.test"], b"Subject: x\\r\\n\\r\\nbody\\r\\n")
        assert len(site.mailbox("bob")) == 1

stop() (and leaving the block) asserts that the suite ended cleanly: exit code 0, no report of a sanitizer, no failed CHECK().
POSTHOUSE_BUILD names the build directory. As root the suite runs as the user `nobody`, as anybody else as oneself.
"""
import contextlib
import ctypes
import functools
import os
import poplib
import pwd
import random
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

from harness.wire import TIMEOUT, Wire, plain_token

TESTS = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("POSTHOUSE_BUILD", TESTS.parent / "build")).resolve()
POSTHOUSE = BUILD / "posthouse" / "posthouse"
HOSTNAME = "mail.example.test"
DOMAIN = "example.test"
PASSWORD = "secret"
PORTS = ("smtp", "submission", "submissions", "pop3", "pop3s", "imap", "imaps")
START_SECONDS = 60  # these are against hanging, on a machine however busy
STOP_SECONDS = 60
HANG_SECONDS = 60
SERVICE_USER = "nobody"  # when root
SANITIZED = bool(os.environ.get("POSTHOUSE_SANITIZE"))  # memory is the sanitizer's then, and seccomp is left out
DAEMONS = ("authd", "relayd", "smtpd", "pop3d", "imapd")
LASTING_CLAIMS = []

BAD_LOG = re.compile(
    r"check\.failed|AddressSanitizer|UndefinedBehaviorSanitizer|ThreadSanitizer|LeakSanitizer|runtime error:"
    r"|Assertion .* failed"
)


class SiteError(AssertionError):
    pass


def wait_for(condition, seconds, what):
    """Polls until condition() is true and returns its value; bounded."""
    deadline = time.monotonic() + seconds
    pause = 0.005
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise SiteError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


@functools.lru_cache(maxsize=1)
def cheap_hash():
    """An Argon2id hash of PASSWORD with the smallest parameters: users imported with it log in without cost."""
    sodium = ctypes.CDLL("libsodium.so.23")
    sodium.sodium_init()
    out = ctypes.create_string_buffer(128)
    secret = PASSWORD.encode()
    if sodium.crypto_pwhash_str(
        out, secret, ctypes.c_ulonglong(len(secret)), ctypes.c_ulonglong(1), ctypes.c_size_t(8192)
    ):
        raise SiteError("crypto_pwhash_str failed")
    return out.value.decode()


def claim_port():
    """A free port below the range the kernel gives to clients, so that no client of ours can take it; and what keeps every other
    test of the machine from choosing it too until that is closed (a name in the kernel's abstract space, which no crash leaves behind)."""
    for _ in range(1000):
        port = random.randrange(15000, 32000)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0posthouse-test-port-{port}")
            for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
                with socket.socket(family) as sock:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    sock.bind((address, port))
            return port, claim
        except OSError:
            claim.close()
    raise SiteError("no free port")


def free_port():
    """One that stays claimed until this process ends."""
    port, claim = claim_port()
    LASTING_CLAIMS.append(claim)
    return port


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


class CA:
    """A certificate authority of our own in `folder`."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cert = self.folder / "ca.pem"
        self.key = self.folder / "ca.key"
        openssl(
            *"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj".split(),
            "/CN=Test CA", "-keyout", self.key, "-out", self.cert,
        )

    def issue(self, name, names, addresses=True):
        """NAME.pem and NAME.key for the given DNS names; over existing files by rename, as an admin's tool does."""
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        new_cert, new_key = self.folder / f"{name}.pem.new", self.folder / f"{name}.key.new"
        alt = ",".join([f"DNS:{n}" for n in names] + ["IP:127.0.0.1", "IP:::1"] * addresses)
        extensions.write_text(f"subjectAltName={alt}\n")
        openssl(
            *"req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj".split(),
            f"/CN={names[0]}", "-keyout", new_key, "-out", request,
        )
        openssl(
            *"x509 -req -days 20 -in".split(), request, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial",
            "-extfile", extensions, "-out", new_cert,
        )
        os.chmod(new_key, 0o640)
        give(new_cert)
        give(new_key)
        os.rename(new_key, key)
        os.rename(new_cert, cert)
        return cert, key

    def context(self, **limits):
        context = ssl.create_default_context(cafile=str(self.cert))
        for name, value in limits.items():
            setattr(context, name, value)
        return context


def give(path):
    """Hands a file or folder to the service user."""
    if os.geteuid() == 0:
        user = pwd.getpwnam(SERVICE_USER)
        os.chown(path, user.pw_uid, user.pw_gid)


class Site:
    def __init__(self, settings=None, users=("alice", "bob", "carol"), env=None, folder=None, data_dir=None,
                 plaintext=True, workers=2, second_name=None, existing=False):
        self.folder = Path(folder or tempfile.mkdtemp(prefix="phs-", dir="/tmp"))
        self.own_folder = folder is None
        os.chmod(self.folder, 0o755)
        self.data = Path(data_dir) if data_dir else self.folder / "data"
        self.config = self.folder / "posthouse.conf"
        self.log_path = self.folder / "log"
        self.serve_env = {**os.environ, **(env or {})}
        self.log_target = self.log_path
        self.process = None
        self.log_file = None
        claimed = {name: claim_port() for name in PORTS}
        self.ports = {name: port for name, (port, _) in claimed.items()}
        self.claims = [claim for _, claim in claimed.values()]  # closed with the site
        self.ca = CA(self.folder / "ca")
        give(self.ca.folder)
        self.certificate, self.key = self.ca.issue("server", [HOSTNAME, "localhost"])
        self.data.mkdir(mode=0o700, exist_ok=True)
        give(self.data)
        self.settings = {
            "server.hostname": HOSTNAME,
            "server.data_dir": self.data,
            "server.workers": workers,
            "listen.addresses": "127.0.0.1 ::1",
            "tls.certificate": self.certificate,
            "tls.key": self.key,
            "auth.plaintext_on_loopback": "yes" if plaintext else "no",
        }
        if second_name:
            certificate, key = self.ca.issue("second", [second_name], addresses=False)
            self.settings["tls.certificate"] = f"{self.certificate} {certificate}"
            self.settings["tls.key"] = f"{self.key} {key}"
        if os.geteuid() == 0:
            self.settings["server.user"] = SERVICE_USER
        self.settings.update(settings or {})
        self.settings.update({f"listen.{name}": port for name, port in self.ports.items()})
        self.write_config()
        if not existing:
            self.posthouse("domain", "add", DOMAIN)
        for name in users:
            self.add_user(name)

    # --- its files and its command line

    def write_config(self):
        sections = {}
        for key, value in self.settings.items():
            section, name = key.split(".")
            sections.setdefault(section, []).append(f"{name} = {value}")
        text = "\n".join(f"[{s}]\n" + "\n".join(lines) + "\n" for s, lines in sections.items())
        self.config.write_text(text)

    def posthouse(self, *args, stdin="", want=0):
        """Runs a command of the admin's; returns its standard output. want=None: any exit code, returns the process."""
        done = subprocess.run(
            [str(POSTHOUSE), "--config", str(self.config), *map(str, args)],
            input=stdin, capture_output=True, text=True, timeout=120, check=False,
        )
        if want is None:
            return done
        if done.returncode != want:
            raise SiteError(f"posthouse {' '.join(map(str, args))}: exit {done.returncode}, not {want}\n"
                            f"{done.stdout}{done.stderr}")
        return done.stdout

    def add_user(self, name, *options, password=PASSWORD):
        """One user by `user add`, as an admin does; pays Argon2."""
        address = name if "@" in name else f"{name}@{DOMAIN}"
        self.posthouse("user", "add", address, "--password-stdin", *options, stdin=password + "\n")
        return address

    def add_users(self, names, quota=""):
        """Many users at once by `user import`, with a ready hash of PASSWORD (so without SCRAM keys)."""
        if not names:
            return
        addresses = [name if "@" in name else f"{name}@{DOMAIN}" for name in names]
        table = "address,name,password,quota\n" + "".join(f'{a},,"{cheap_hash()}",{quota}\n' for a in addresses)
        path = self.folder / "users.csv"
        path.write_text(table)
        self.posthouse("user", "import", path)

    def fresh_user(self, name, quota=""):
        """The account NAME@DOMAIN with an empty INBOX."""
        address = f"{name}@{DOMAIN}"
        if self.posthouse("user", "show", address, want=None).returncode == 0:
            self.empty(address)
        else:
            self.add_users([address], quota)

    # --- running

    def start(self):
        self.log_file = open(self.log_target, "ab")
        self.process = subprocess.Popen(
            [str(POSTHOUSE), "--config", str(self.config), "serve"],
            stdin=subprocess.DEVNULL, stdout=self.log_file, stderr=self.log_file, start_new_session=True,
            env=self.serve_env,
        )
        self.wait_ready()
        return self

    def wait_ready(self, seconds=START_SECONDS):
        for name in PORTS:
            if self.ports[name]:
                wait_for(lambda n=name: self.answers(n), seconds, lambda: f"port {name} answers\n{self.log_tail()}")

    def answers(self, name):
        """True when the port greets (implicit TLS: completes a handshake)."""
        if self.process is not None and self.process.poll() is not None:
            raise SiteError(f"the suite ended with {self.process.returncode}\n{self.log_tail()}")
        try:
            with Wire(("127.0.0.1", self.ports[name]), timeout=5) as wire:
                if name.endswith("s"):
                    wire.start_tls(self.ca.context(), HOSTNAME)
                return wire.line()[:4].rstrip(b" -") in (b"220", b"+OK", b"* OK")
        except (OSError, AssertionError):
            return False

    def stop(self, check=True):
        process, self.process = self.process, None
        if process is not None:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process = process
                self.kill()
                raise SiteError(f"not ended {STOP_SECONDS} s after SIGTERM\n{self.log_tail()}") from None
            self.log_file.close()
            if check and code != 0:
                raise SiteError(f"the suite ended with {code}\n{self.log_tail()}")
        if check:
            self.check_log()

    def check_log(self):
        found = BAD_LOG.search(self.log_text())
        if found:
            at = max(0, found.start() - 200)
            raise SiteError("in the log: " + self.log_text()[at : found.start() + 3000])

    def restart(self):
        self.stop()
        return self.start()

    def kill(self):
        """SIGKILL to the supervisor and all it started."""
        for pid in self.processes():  # the supervisor first: it must not see its children die
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process, self.process = self.process, None
        process.wait(STOP_SECONDS)
        self.log_file.close()

    def log_text(self):
        return self.log_path.read_text(errors="backslashreplace") if self.log_path.exists() else ""

    def log_tail(self, lines=25):
        return "\n".join(self.log_text().splitlines()[-lines:])

    def remove(self):
        for claim in self.claims:
            claim.close()
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop(check=False)
            self.remove()
            raise

    def __exit__(self, kind, *_):
        try:
            self.stop(check=kind is None)
        finally:
            self.remove()

    # --- its processes

    def processes(self):
        """{pid: name} of the supervisor ("posthouse") and its living children."""
        found = {}
        if self.process is None:
            return found
        pending = [self.process.pid]
        while pending:
            pid = pending.pop()
            try:
                stat = Path(f"/proc/{pid}/stat").read_text()
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
            except OSError:
                continue
            name, state = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2]
            if state not in "ZX":
                found[pid] = name
            pending += map(int, children.split())
        return found

    def pids(self, name):
        return [pid for pid, daemon in self.processes().items() if daemon == name]

    def cpu_seconds(self, *names):
        """CPU time that the living processes (of these names; all) have used so far: what work costs, however busy the machine is."""
        total = 0
        for pid, name in self.processes().items():
            if not names or name in names:
                with contextlib.suppress(OSError):
                    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                    total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")

    @contextlib.contextmanager
    def cpu_at_most(self, seconds, *names):
        """What is done inside may cost the suite so much CPU time; ten times as much under a sanitizer."""
        before = self.cpu_seconds(*names)
        yield
        used = self.cpu_seconds(*names) - before
        assert used <= seconds * (10 if SANITIZED else 1), f"{used:.2f} s of CPU time, not {seconds}"

    def pss_kib(self):
        """Proportional set size of every process, in KiB: {pid: kib}."""
        return {pid: memory(pid, "Pss") for pid in self.processes()}

    # --- clients

    def wire(self, port="smtp", address="127.0.0.1", tls=None, timeout=TIMEOUT, greeting=True, source=None):
        wire = Wire((address, self.ports[port]), timeout=timeout, source=source)
        if tls if tls is not None else port.endswith("s"):
            wire.start_tls(self.ca.context(), HOSTNAME)
        if greeting:
            if port.startswith(("pop3", "imap")):
                wire.greeting = wire.line()
            else:
                wire.greeting = b"\n".join(wire.reply())
        return wire

    def smtp(self, port="smtp", login=None, password=PASSWORD, starttls=False, timeout=60):
        """A logged-in (or not) smtplib client."""
        context = self.ca.context()
        if port == "submissions":
            client = smtplib.SMTP_SSL("localhost", self.ports[port], timeout=timeout, context=context)
        else:
            client = smtplib.SMTP("localhost", self.ports[port], timeout=timeout)
            if starttls or port == "submission":
                client.starttls(context=context)
        if login:
            client.login(login if "@" in login else f"{login}@{DOMAIN}", password)
        return client

    def pop3(self, user, password=PASSWORD, port="pop3", timeout=60):
        context = self.ca.context()
        if port == "pop3s":
            client = poplib.POP3_SSL("localhost", self.ports[port], timeout=timeout, context=context)
        else:
            client = poplib.POP3("localhost", self.ports[port], timeout=timeout)
        client.user(user if "@" in user else f"{user}@{DOMAIN}")
        client.pass_(password)
        return client

    def pop3_wire(self, user, port="pop3", **options):
        wire = self.wire(port, **options)
        wire.pop3("AUTH PLAIN " + plain_token(user if "@" in user else f"{user}@{DOMAIN}", PASSWORD))
        return wire

    def imap_wire(self, user, port="imap", **options):
        """Logged in."""
        wire = self.wire(port, **options)
        wire.imap("AUTHENTICATE PLAIN " + plain_token(user if "@" in user else f"{user}@{DOMAIN}", PASSWORD))
        return wire

    def send(self, sender, recipients, message, port="smtp", login=None, starttls=False):
        with self.smtp(port, login=login, starttls=starttls) as client:
            return client.sendmail(sender, recipients, message)

    def mailbox(self, user, password=PASSWORD, port="pop3"):
        """All messages of a user's INBOX as octets, in order."""
        address = user if "@" in user else f"{user}@{DOMAIN}"
        with contextlib.closing(self.wire(port, timeout=120)) as wire:
            wire.pop3("AUTH PLAIN " + plain_token(address, password))
            count = int(wire.pop3("STAT").split()[1])
            messages = []
            for number in range(1, count + 1):
                wire.pop3(f"RETR {number}")
                messages.append(b"".join(line + b"\r\n" for line in wire.pop3_list()))
            wire.pop3("QUIT")
        return messages

    def empty(self, user):
        """Deletes all of a user's INBOX."""
        with contextlib.closing(self.pop3_wire(user)) as wire:
            count = int(wire.pop3("STAT").split()[1])
            for number in range(1, count + 1):
                wire.pop3(f"DELE {number}")
            wire.pop3("QUIT")


def memory(pid, what):
    """Pss (smaps_rollup) or VmHWM, VmRSS (status) of a process in KiB; 0 when it is gone."""
    name = "smaps_rollup" if what == "Pss" else "status"
    try:
        for line in Path(f"/proc/{pid}/{name}").read_text().splitlines():
            if line.startswith(what + ":"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def reset_peak(pid):
    """Makes VmHWM begin again from what is resident now (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def body_of(message):
    """A message as it was sent: without the trace header in front (Return-Path, Received)."""
    lines = message.split(b"\r\n")
    at = 0
    while at < len(lines) and (re.match(rb"(?i)(return-path|received|delivered-to):", lines[at])
                               or (at > 0 and lines[at][:1] in (b" ", b"\t"))):
        at += 1
    return b"\r\n".join(lines[at:])
