#!/usr/bin/python3
"""Builds and runs the suites, with a line of progress each; called by script/test. The pytest suites run together, their files shared
out among several processes, as most of these tests wait more than they compute."""
import argparse
import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as xml

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
SANITIZER_OPTIONS = {
    # A report ends the process, so that no test can pass over it.
    "ASAN_OPTIONS": "abort_on_error=1:detect_leaks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "halt_on_error=1:abort_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:abort_on_error=1:second_deadlock_stack=1",
}
# suite of pytest -> its folders
PYTEST = {"crash": ["tests/crash"], "wire": ["tests/harness", "tests/dialog", "tests/interop"]}
PROCESSES_PER_CPU = 2


class Totals:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, passed, failed, skipped):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped

    def line(self):
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


def run(command, **options):
    return subprocess.run(command, cwd=ROOT, **options).returncode


def build(args):
    directory = args.build_dir
    if not os.path.exists(os.path.join(ROOT, directory, "build.ninja")):
        setup = ["meson", "setup", directory]
        if args.sanitize:
            setup += [f"-Db_sanitize={args.sanitize}", "-Db_lundef=false", "-Doptimization=1", "-Ddebug=true"]
        if run(setup, stdout=subprocess.DEVNULL) != 0:
            sys.exit(f"meson setup failed; see {directory}/meson-logs/meson-log.txt\n0 passed, 1 failed")
    if run(["ninja", "-C", directory, "--quiet"]) != 0:
        sys.exit("the build failed\n0 passed, 1 failed")


def run_meson(args, totals):
    """The C tests: unit tables, store tests, structure. One JSON line per test in meson's log."""
    log = os.path.join(ROOT, args.build_dir, "meson-logs/testlog.json")
    if os.path.exists(log):
        os.unlink(log)
    output = None if args.verbose else subprocess.DEVNULL
    # a sanitizer slows a test down; the time limit is against hanging, not a measure of speed
    command = ["meson", "test", "-C", args.build_dir, "--no-rebuild", "--timeout-multiplier", "10" if args.sanitize else "4"]
    status = run(command, stdout=output, stderr=output)
    results = [json.loads(line) for line in open(log, encoding="utf-8")] if os.path.exists(log) else []
    bad = [r for r in results if r["result"] not in ("OK", "SKIP", "EXPECTEDFAIL")]
    skipped = sum(r["result"] == "SKIP" for r in results)
    for result in bad:
        print(f"FAILED {result['name']} ({result['result']})")
        print("\n".join((result.get("stdout", "") + result.get("stderr", "")).splitlines()[-60:]))
    if status != 0 and not bad or not results:
        print("meson test failed before it ran anything")
        return totals.add(0, 1, 0)
    totals.add(len(results) - len(bad) - skipped, len(bad), skipped)


def run_pytest(folders, args, totals):
    folders = [f for f in folders if os.path.isdir(os.path.join(ROOT, f))]
    report = os.path.join(ROOT, args.build_dir, "pytest.xml")
    if os.path.exists(report):
        os.unlink(report)
    command = ["/usr/bin/python3", "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", "-rfE",
               "-n", str(args.jobs), "--dist", "loadgroup", "--max-worker-restart", "0", f"--junit-xml={report}", *folders]
    if not args.verbose:
        command += ["--tb=short"]
    status = run(command, stdin=subprocess.DEVNULL)
    if not os.path.exists(report):
        return totals.add(0, 1, 0)
    suite = xml.parse(report).getroot().find("testsuite")
    count, skipped = int(suite.get("tests")), int(suite.get("skipped"))
    failed = int(suite.get("failures")) + int(suite.get("errors"))
    totals.add(count - failed - skipped, failed, skipped)
    if status not in (0, 5) and failed == 0:
        totals.add(0, 1, 0)  # it ended badly, whatever the report says


def stage(title, step, *arguments):
    started = time.monotonic()
    print(f"== {title}", flush=True)
    step(*arguments)
    print(f"== {title}: {time.monotonic() - started:.0f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="script/test", description="Builds and runs every test.")
    parser.add_argument("--sanitize", metavar="KIND", help="address,undefined or thread")
    parser.add_argument("--only", action="append", choices=["unit", "wire", "crash"], help="only this suite; may be repeated")
    parser.add_argument("--build-dir", metavar="DIR")
    parser.add_argument("--jobs", type=int, default=PROCESSES_PER_CPU * (os.cpu_count() or 1), metavar="N",
                        help="processes of pytest (default: %(default)s)")
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    if not args.build_dir:
        args.build_dir = "build" if not args.sanitize else "build-" + args.sanitize.split(",")[0]
    os.environ["POSTHOUSE_BUILD"] = os.path.join(ROOT, args.build_dir)
    os.environ["POSTHOUSE_SANITIZE"] = args.sanitize or ""
    for name, value in SANITIZER_OPTIONS.items():
        os.environ.setdefault(name, value)

    totals = Totals()
    wanted = args.only or ["unit", "wire", "crash"]
    stage("build", build, args)
    if "unit" in wanted:
        stage("unit tables, store, structure", run_meson, args, totals)
    folders = [folder for suite in PYTEST if suite in wanted for folder in PYTEST[suite]]
    if folders:
        stage(" and ".join(suite for suite in PYTEST if suite in wanted), run_pytest, folders, args, totals)
    print(totals.line())
    return 1 if totals.failed or not totals.passed else 0


if __name__ == "__main__":
    sys.exit(main())
