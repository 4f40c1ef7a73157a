"""Disks of our own: small ext4 file systems on loop devices in a private mount namespace. Root only."""
import ctypes
import fcntl
import functools
import os
import struct
import subprocess
import time
from pathlib import Path

CLONE_NEWNS = 0x00020000
EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
GOING_FLAGS_NOLOGFLUSH = 2      # like a power cut: nothing that is not on the disk gets there any more


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


@functools.lru_cache(maxsize=1)
def why_not():
    """None when this process can mount; else the reason. Moves the process into a mount namespace of its own."""
    if os.geteuid() != 0:
        return "needs root"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        return "no mount namespace here: " + os.strerror(ctypes.get_errno())
    try:
        run("mount", "--make-rprivate", "/")
        with open("/dev/loop-control", "rb"):
            pass
        return None
    except OSError as problem:
        return f"no loop devices here: {problem}"


class Disk:
    """An ext4 file system of `mib` MiB at `folder`."""

    def __init__(self, folder, mib=64, inodes=None, options="errors=remount-ro"):
        self.folder, self.options = Path(folder), options
        self.image = self.folder.with_suffix(".img")
        with open(self.image, "wb") as file:
            file.truncate(mib * 1024 * 1024)
        run("mkfs.ext4", "-q", "-m", "0", "-F", *(["-N", inodes] if inodes else []), self.image)
        self.folder.mkdir()
        self.frozen = False
        self.mount()

    def mount(self):
        run("mount", "-o", f"loop,{self.options}", self.image, self.folder)

    def unmount(self):
        deadline = time.monotonic() + 10
        while True:
            try:
                return run("umount", self.folder)
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def remove(self):
        self.thaw()
        subprocess.run(["umount", "-l", str(self.folder)], check=False, capture_output=True)
        self.image.unlink(missing_ok=True)

    def free(self):
        stat = os.statvfs(self.folder)
        return stat.f_bavail * stat.f_frsize

    def fill(self, leave=0):
        """Takes all space but about `leave` octets; with 0, to the last block."""
        with open(self.folder / "filler", "ab", buffering=0) as file:
            for block in (1024 * 1024, 4096, 512):
                try:
                    while self.free() > leave + block or leave == 0:
                        file.write(b"\0" * block)
                except OSError:
                    continue

    def take_inodes(self):
        (self.folder / "inodes").mkdir(exist_ok=True)
        try:
            for number in range(10**6):
                (self.folder / "inodes" / str(number)).touch()
        except OSError:
            pass

    def give_back(self):
        (self.folder / "filler").unlink(missing_ok=True)
        for path in (self.folder / "inodes").glob("*"):
            path.unlink()

    def freeze(self):
        run("fsfreeze", "-f", self.folder)
        self.frozen = True

    def thaw(self):
        if self.frozen:
            run("fsfreeze", "-u", self.folder)
            self.frozen = False

    def break_it(self):
        """An error inside the file system, upon which it turns read-only by itself."""
        device = run("findmnt", "-n", "-o", "SOURCE", self.folder).strip()
        Path(f"/sys/fs/ext4/{Path(device).name}/trigger_fs_error").write_text("test")

    def repair(self):
        self.unmount()
        subprocess.run(["e2fsck", "-fy", str(self.image)], check=False, capture_output=True)
        self.mount()

    def cut_power(self):
        fd = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", GOING_FLAGS_NOLOGFLUSH))
        finally:
            os.close(fd)
