"""Mail servers of Debian that nobody here wrote, run from private folders beside the system's (root; their packages come by script/setup).

    with Postfix(folder, "127.0.1.9", port, domain="postfix.example") as peer:
        ...
        peer.wait(2)                                       # messages in its mailbox of one user, `box`
"""
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.site import HANG_SECONDS, TESTS, wait_for
from harness.wire import Wire

EXIM = TESTS / "interop" / "exim" / "usr" / "sbin" / "exim4"


MASTER = """
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Peer:
    """A Maildir of one user that gets all mail for `domain`."""

    def __init__(self, folder, address, port, domain):
        if os.geteuid() != 0:
            pytest.skip("other mail servers need root")
        self.folder, self.address, self.port, self.domain = Path(folder), address, port, domain
        self.folder.mkdir(mode=0o755)
        self.box = self.folder / "box"
        self.process, self.log = None, self.folder / "log"
        self.log.touch()

    def messages(self):
        return [path.read_bytes() for path in sorted((self.box / "new").glob("*"))] if (self.box / "new").is_dir() else []

    def wait(self, count=1):
        wait_for(lambda: len(self.messages()) >= count, HANG_SECONDS, lambda: f"{count} messages at {self.domain}\n{self.log.read_text()[-3000:]}")
        return self.messages()

    def start(self, command):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(c) for c in command], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(self.answers, HANG_SECONDS, lambda: self.log.read_text()[-3000:])

    def answers(self):
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            with Wire((self.address, self.port), timeout=5) as wire:
                return wire.line().startswith(b"220")
        except (OSError, AssertionError):
            return False

    def __exit__(self, *_):
        process, self.process = self.process, None
        if process is not None:
            process.terminate()
            process.wait(HANG_SECONDS)


class Postfix(Peer):
    """Its master process and what that starts. settings: more lines of main.cf."""

    def __init__(self, *place, settings=()):
        super().__init__(*place)
        self.settings = settings

    def __enter__(self):
        for program in ("postfix", "postmap"):
            if shutil.which(program, path="/usr/sbin:/usr/bin") is None:
                pytest.skip(f"{program} is not installed")
        self.write()
        self.start(["/usr/sbin/postfix", "-c", self.folder / "etc", "start-fg"])
        return self

    def write(self):
        etc = self.folder / "etc"
        for name in ("etc", "data", "queue"):
            (self.folder / name).mkdir(exist_ok=True)
        shutil.chown(self.folder / "data", "postfix")
        shutil.chown(self.folder, "nobody")
        (etc / "main.cf").write_text("\n".join([
            "compatibility_level = 3.6", f"queue_directory = {self.folder}/queue", f"data_directory = {self.folder}/data", "mail_owner = postfix",
            "setgid_group = postdrop", "myhostname = " + f"mx.{self.domain}", "mydestination =", f"virtual_mailbox_domains = {self.domain}",
            f"virtual_mailbox_base = {self.folder}", "virtual_mailbox_maps = static:box/", "virtual_uid_maps = static:65534",
            "virtual_gid_maps = static:65534", "virtual_minimum_uid = 1", "inet_interfaces = 127.0.0.1", "inet_protocols = ipv4", "alias_maps =",
            "alias_database =", "smtpd_relay_restrictions = reject_unauth_destination", "maillog_file = " + str(self.log),
            f"maillog_file_prefixes = {self.folder}", "import_environment = MAIL_CONFIG", "smtpd_peername_lookup = no", "biff = no",
            "smtputf8_enable = yes", f"smtpd_tls_chain_files = {self.chain()}", "smtpd_tls_security_level = may",
            "smtpd_recipient_restrictions = check_recipient_access inline:{{nobody@" + self.domain + "=REJECT no such user}}", *self.settings, "",
        ]))
        (etc / "master.cf").write_text(f"{self.address}:{self.port} inet n - n - - smtpd\n" + MASTER)

    def chain(self):
        return self.folder / "chain.pem"


class Exim(Peer):
    """The daemon alone, unpacked by script/setup. It insists on a user Debian-exim: told of one in a mount namespace of its own."""

    def __enter__(self):
        if not EXIM.exists():
            pytest.skip("exim4 is not there (script/setup test)")
        (self.folder / "spool").mkdir()
        for path in (self.folder, self.folder / "spool"):
            shutil.chown(path, "nobody", "nogroup")
        for name, line in (("passwd", "Debian-exim:x:65534:65534::/:/bin/false\n"), ("group", "Debian-exim:x:65534:\n")):
            (self.folder / name).write_text(Path("/etc", name).read_text() + line)
        (self.folder / "exim.conf").write_text(f"""
exim_path = {EXIM}
exim_user = nobody
exim_group = nogroup
spool_directory = {self.folder}/spool
log_file_path = {self.folder}/exim-%s
primary_hostname = mx.{self.domain}
local_interfaces = {self.address}
daemon_smtp_ports = {self.port}
acl_smtp_rcpt = rcpt
tls_advertise_hosts = *
tls_certificate = {self.folder}/chain.pem
chunking_advertise_hosts = *
smtputf8_advertise_hosts = *
pipelining_connect_advertise_hosts = *
dsn_advertise_hosts = *
host_lookup =
rfc1413_hosts =
never_users =
keep_environment =
begin acl
rcpt:
  deny local_parts = nobody
       message = no such user
  accept domains = {self.domain}
  deny message = relaying denied
begin routers
here:
  driver = accept
  transport = box
begin transports
box:
  driver = appendfile
  maildir_format
  directory = {self.box}
  user = nobody
  group = nogroup
  create_directory
""")
        self.start(["unshare", "-m", "sh", "-c", f"mount --bind {self.folder}/passwd /etc/passwd && mount --bind {self.folder}/group /etc/group && "
                    f"exec {EXIM} -C {self.folder}/exim.conf -bdf -q1m"])
        return self
