#!/usr/bin/env python3
"""Holds the house to its plan: include arrows, function length, RFC references, READMEs, calls that we do without.

Prints one line per rule ("ok" or "FAILED" with every place), ends with status 1 when a rule is broken.
Usage: tests/structure/check.py [ROOT]
"""
import os
import re
import sys

ROOT = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "../.."))
RFC_DIR = os.environ.get("POSTHOUSE_RFC", os.path.join(ROOT, "../shared/rfc"))

# layer -> the folder it lives in; "base/span.h" names a layer and a file in it
FOLDERS = {
    "base": "common/base", "net": "common/net", "message": "common/message", "sasl": "common/sasl",
    "config": "config", "storage": "storage", "authd": "authd", "smtpd": "smtpd", "pop3d": "pop3d",
    "imapd": "imapd", "posthouse": "posthouse",
}
# docs/architecture.md, "Which folder may use which"
COMMON = {"base", "net", "message", "sasl", "storage"}
ARROWS = {
    "base": {"base"},
    "net": {"net", "base"},
    "message": {"message", "base"},
    "sasl": {"sasl", "base"},
    "config": {"config", "base"},
    "storage": {"storage", "message", "base"},
    "authd": COMMON | {"authd"},
    "smtpd": COMMON | {"smtpd"},
    "pop3d": COMMON | {"pop3d"},
    "imapd": COMMON | {"imapd"},
    "posthouse": COMMON | {"posthouse", "config"},
}
FUNCTION_LINES_MAX = 100
BANNED = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atoll|strtol|strtoul|strtoll|strtoull|sscanf|"
                    r"alloca|system|popen|sqlite3_mprintf|sqlite3_get_table)\s*\(")


def sources():
    for layer, folder in FOLDERS.items():
        for directory, _, files in os.walk(os.path.join(ROOT, folder)):
            for name in sorted(files):
                if name.endswith((".c", ".h")):
                    path = os.path.join(directory, name)
                    yield layer, os.path.relpath(path, ROOT), open(path, encoding="utf-8").read().split("\n")


def check_arrows():
    for layer, path, lines in sources():
        for number, line in enumerate(lines, 1):
            found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not found:
                continue
            target = found.group(1).split("/")[0]
            if "/" not in found.group(1):
                yield f'{path}:{number}: an include names its layer: "{layer}/{found.group(1)}"'
            elif target not in FOLDERS:
                yield f"{path}:{number}: unknown layer {target}"
            elif target not in ARROWS[layer] and not (target == "config" and path.endswith("/main.c")):
                yield f"{path}:{number}: {layer} may not include {target}"


def check_functions():
    for _, path, lines in sources():
        start = None
        for number, line in enumerate(lines, 1):
            if line == "{" and start is None:
                start = number
            elif line == "}" and start is not None:
                length = number - start + 2
                above = "\n".join(lines[max(0, start - 12):start])
                if length > FUNCTION_LINES_MAX and "Long because" not in above:
                    yield f'{path}:{start}: function of {length} lines without a comment "Long because ..."'
                start = None


def sections_of(number):
    path = os.path.join(RFC_DIR, f"rfc{number}.txt")
    if not os.path.exists(path):
        return None
    text = open(path, encoding="utf-8", errors="replace").read()
    return set(re.findall(r"^ {0,8}((?:\d+|[A-Z])(?:\.\d+)*)\.? +\S", text, re.M)) | \
        set(re.findall(r"^ *(?:Appendix|APPENDIX) ([A-Z])\b", text, re.M))


def check_rfc_references():
    known, unchecked = {}, set()
    for _, path, lines in sources():
        for number, line in enumerate(lines, 1):
            for rfc, rest in re.findall(r"RFC (\d+) ((?:§[0-9A-Z]+(?:\.[0-9]+)*(?:, | and )?)+)", line):
                if rfc not in known:
                    known[rfc] = sections_of(rfc)
                for section in re.findall(r"§([0-9A-Z]+(?:\.[0-9]+)*)", rest):
                    if known[rfc] is None:
                        unchecked.add(rfc)
                    elif section not in known[rfc]:
                        yield f"{path}:{number}: RFC {rfc} has no §{section}"
    if unchecked:
        print("      texts not at hand, references not checked: RFC " + ", ".join(sorted(unchecked, key=int)))


def check_readmes():
    for folder in list(FOLDERS.values()) + ["tests", "script", "docs"]:
        if os.path.isdir(os.path.join(ROOT, folder)) and os.listdir(os.path.join(ROOT, folder)):
            if not os.path.exists(os.path.join(ROOT, folder, "README.md")):
                yield f"{folder}: no README.md"


def check_banned():
    for _, path, lines in sources():
        for number, line in enumerate(lines, 1):
            if BANNED.search(line.split("/*")[0]):
                yield f"{path}:{number}: {line.strip()}"


def check_sql():
    """What is executed as SQL is a literal; where a table of literals is walked, the line says "constant SQL"."""
    for _, path, lines in sources():
        for number, line in enumerate(lines, 1):
            if re.search(r"\bsqlite3_exec\s*\(", line) and not re.search(r'[,?]\s*"', line) and "constant SQL" not in line:
                yield f"{path}:{number}: SQL that is not a literal: {line.strip()}"


RULES = [
    ("includes follow the arrows", check_arrows),
    (f"no function over {FUNCTION_LINES_MAX} lines without a reason", check_functions),
    ("RFC sections that are cited exist", check_rfc_references),
    ("every folder has its README", check_readmes),
    ("no unbounded or unchecked calls", check_banned),
    ("SQL is literal, values are bound", check_sql),
]


def main():
    failed = 0
    if not os.path.isdir(RFC_DIR):
        print("      no RFC texts beside the project: section references are not checked")
    for title, rule in RULES:
        places = list(rule())
        print(("FAILED " if places else "ok     ") + title)
        for place in places:
            print("       " + place)
        failed += bool(places)
    print(f"{len(RULES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
