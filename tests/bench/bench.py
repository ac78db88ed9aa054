"""./dev bench: measures the service beside its limits. See run.sh for the options."""

import argparse
import importlib
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path[:0] = [HERE, os.path.join(HERE, "..", "integration")]

from lib import cpu, docs  # noqa: E402
from lib.rig import Rig  # noqa: E402
from lib.table import Report  # noqa: E402

PARTS = ("read", "cold", "change", "idle", "start", "outage", "scale", "forward")


class Bench:
    def __init__(self, build, quick, full):
        self.build, self.quick, self.full = build, quick, full

    def size(self, usual, quick):
        return quick if self.quick else usual

    def rig(self, name):
        return Rig(self.build, name)

    @staticmethod
    def http_get(url, bearer=None):
        import requests
        with requests.Session() as s:
            s.trust_env = False
            s.headers.clear()  # what requests adds by itself would be answered with more headers
            answer = s.get(url, headers={"Authorization": f"Bearer {bearer}"} if bearer else {}, timeout=10)
        answer.raise_for_status()
        return answer


def run_part(bench, name, out):
    module = importlib.import_module(f"parts.{name}")
    report = Report(name, module.TITLE)
    begin = time.monotonic()
    module.run(bench, report)
    text = report.text(judge=not bench.quick)
    took = f"(bench {name}: {time.monotonic() - begin:.0f} s)"
    with open(os.path.join(out, f"{name}.md"), "w", encoding="utf-8") as f:
        f.write(text)
    print(f"{text}\n{took}\n", flush=True)


def commit():
    try:
        run = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    except FileNotFoundError:  # a bare machine has no git
        return "unknown"
    return run.stdout.strip() or "unknown"


def main():
    options = argparse.ArgumentParser(prog="./dev bench", description="Measures the service beside its limits.")
    options.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)} (default: all)")
    options.add_argument("--quick", action="store_true", help="tiny sizes, no judgement: do the tools work?")
    options.add_argument("--full", action="store_true", help="scale: also 1 000 000 customers (a minute and a half more)")
    options.add_argument("--build", default=os.environ.get("PCS_BUILD_DIR", os.path.join(ROOT, "build")))
    options.add_argument("--out", help="folder of the tables (default: BUILD/bench)")
    options.add_argument("--write-docs", action="store_true", help="put the tables into docs/performance.md")
    chosen = options.parse_args()
    unknown = set(chosen.parts) - set(PARTS)
    if unknown:
        options.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    build = os.path.abspath(chosen.build)
    out = os.path.abspath(chosen.out or os.path.join(build, "bench"))
    os.makedirs(out, exist_ok=True)
    machine = f"{time.strftime('%Y-%m-%d %H:%M %Z')}, commit {commit()}: {cpu.machine()}.\n"
    with open(os.path.join(out, "machine.md"), "w", encoding="utf-8") as f:
        f.write(machine)
    print(machine)
    bench, failed = Bench(build, chosen.quick, chosen.full), []
    for name in chosen.parts or PARTS:
        try:
            run_part(bench, name, out)
        except Exception as e:  # the other parts are worth having
            failed.append(name)
            print(f"bench {name} failed: {e}", file=sys.stderr, flush=True)
            if os.environ.get("PCS_BENCH_TRACE"):
                raise
    if chosen.write_docs and not failed:
        docs.write(os.path.join(ROOT, "docs", "performance.md"), out)
    print(f"tables in {out}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


sys.exit(main())
