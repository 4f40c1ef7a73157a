#!/usr/bin/env python3
"""Breaks each rule of check.py once, in a tree of its own, and looks whether check.py sees it. A rule that never fails holds nothing."""
import os
import subprocess
import sys
import tempfile

CHECK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "check.py")
LONG = "void f(void)\n{\n" + "\tg();\n" * 120 + "}\n"
RFC = "\n1. Introduction\n\n2. Model\n\n2.1. Basic Structure\n\nAppendix A. Examples\n"

# name, file, text, what check.py must say (None: nothing)
CASES = [
    ("a clean file", "smtpd/a.c", '#include "base/span.h"\n#include "storage/store.h"\n', None),
    ("an include against the arrows", "storage/a.c", '#include "net/conn.h"\n', "storage may not include net"),
    ("one daemon includes another", "smtpd/a.c", '#include "pop3d/session.h"\n', "smtpd may not include pop3d"),
    ("only main.c includes config", "smtpd/a.c", '#include "config/settings.h"\n', "smtpd may not include config"),
    ("main.c includes config", "smtpd/main.c", '#include "config/settings.h"\n', None),
    ("an include without its layer", "smtpd/a.c", '#include "session.h"\n', "an include names its layer"),
    ("an unknown layer", "smtpd/a.c", '#include "util/x.h"\n', "unknown layer util"),
    ("a long function", "smtpd/a.c", LONG, "function of 123 lines"),
    ("a long function with its reason", "smtpd/a.c", "/* Long because it is a table. */\n" + LONG, None),
    ("a section that exists", "smtpd/a.c", "/* RFC 5321 §2.1 and RFC 5321 §A */\n", None),
    ("a section that does not exist", "smtpd/a.c", "/* RFC 5321 §2.9 */\n", "RFC 5321 has no §2.9"),
    ("the second of two sections", "smtpd/a.c", "/* RFC 5321 §2.1, §7.7 */\n", "RFC 5321 has no §7.7"),
    ("strcpy", "smtpd/a.c", "\tstrcpy(a, b);\n", "strcpy"),
    ("atoi", "base/a.c", "\tn = atoi(text);\n", "atoi"),
    ("SQL from a variable", "storage/a.c", "\tsqlite3_exec(db, text, NULL, NULL, NULL);\n", "SQL that is not a literal"),
]


def run(path, text):
    with tempfile.TemporaryDirectory() as root:
        rfc = os.path.join(root, "rfc")
        os.mkdir(rfc)
        with open(os.path.join(rfc, "rfc5321.txt"), "w", encoding="utf-8") as file:
            file.write(RFC)
        path = os.path.join(root, "tree", path.replace("base/", "common/base/"))
        os.makedirs(os.path.dirname(path))
        with open(os.path.join(os.path.dirname(path), "README.md"), "w", encoding="utf-8"):
            pass
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return subprocess.run([sys.executable, CHECK, os.path.join(root, "tree")], stdout=subprocess.PIPE, text=True, check=False,
                              env={**os.environ, "POSTHOUSE_RFC": rfc})


def main():
    failed = 0
    for name, path, text, says in CASES:
        done = run(path, text)
        good = (done.returncode == 0) if says is None else (done.returncode == 1 and says in done.stdout)
        print(("ok     " if good else "FAILED ") + name)
        if not good:
            print(done.stdout)
            failed += 1
    with tempfile.TemporaryDirectory() as root:
        os.mkdir(os.path.join(root, "smtpd"))
        with open(os.path.join(root, "smtpd/a.c"), "w", encoding="utf-8"):
            pass
        done = subprocess.run([sys.executable, CHECK, root], stdout=subprocess.PIPE, text=True, check=False)
        good = done.returncode == 1 and "smtpd: no README.md" in done.stdout
        print(("ok     " if good else "FAILED ") + "a folder without README")
        failed += not good
    print(f"{len(CASES) + 1 - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
