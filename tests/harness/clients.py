"""Programs that nobody here wrote: run to their end, or played with in a terminal of their own.

    need("mutt", "tmux")
    with Terminal(tmp_path, "mutt -F rc", home=tmp_path) as screen:
        screen.see("Subject")
        screen.keys("d", "q")
        screen.ends()
"""
import contextlib
import os
import shutil
import subprocess
import uuid

import pytest

from harness.site import HANG_SECONDS, wait_for

SECONDS = 120


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def run(*command, stdin=None, env=None, want=0):
    """The program's output, both streams as one text; it must end with `want`."""
    done = subprocess.run(
        [str(c) for c in command], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS,
        env={**os.environ, **(env or {})}, check=False,
    )
    text = done.stdout.decode("utf-8", "backslashreplace")
    assert done.returncode == want, f"{command[0]} ended with {done.returncode}:\n{text}"
    return text


def new_mark():
    """A word that stands in one message of one test alone."""
    return "mark-" + uuid.uuid4().hex[:16]


def secret_file(path, text):
    """A file that only we may read, as programs want it for passwords."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


class Terminal:
    """A program in a tmux server of its own, 100 columns by 30 lines."""

    def __init__(self, folder, command, home, env=None):
        self.socket = folder / f"tmux-{uuid.uuid4().hex[:6]}"
        self.command = command
        self.env = {"HOME": str(home), "TERM": "screen", "LC_ALL": "C.UTF-8", **(env or {})}

    def tmux(self, *arguments):
        return subprocess.run(["tmux", "-S", self.socket, "-f", "/dev/null", *map(str, arguments)], check=False, capture_output=True,
                              env={**os.environ, **self.env}, timeout=SECONDS)

    def __enter__(self):
        started = self.tmux("new-session", "-d", "-s", "it", "-x", "100", "-y", "30", self.command)
        assert started.returncode == 0, started.stderr
        return self

    def __exit__(self, *_):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.tmux("kill-server")

    def screen(self):
        return self.tmux("capture-pane", "-p", "-t", "it").stdout.decode()

    def see(self, *texts, seconds=HANG_SECONDS):
        wait_for(lambda: all(text in self.screen() for text in texts), seconds, lambda: f"{texts} on the screen:\n{self.screen()}")

    def see_no_more(self, text, seconds=HANG_SECONDS):
        wait_for(lambda: text not in self.screen(), seconds, lambda: f"{text} gone from the screen:\n{self.screen()}")

    def keys(self, *names):
        """Names as tmux has them: "Enter", "C-x", or letters to type."""
        for name in names:
            self.tmux("send-keys", "-t", "it", name)

    def alive(self):
        return self.tmux("has-session", "-t", "it").returncode == 0

    def ends(self, seconds=HANG_SECONDS):
        wait_for(lambda: not self.alive(), seconds, lambda: f"the program ends\n{self.screen()}")
