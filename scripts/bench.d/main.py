"""Measures what the module costs, prints tables, and ends with 1 when a budget is broken. scripts/bench calls it."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

import cpu
import instructions
import measure_identity
import memory
import peers
import scenarios
import traffic
from processes import Failure, Server
from report import Report


PARTS = ("instructions", "identity", "growth", "cpu", "identity-cpu", "memory")


@dataclass
class Setting:
    """What all measurements share."""

    nginx: str
    module: str
    debian_nginx: bool
    work: str
    gateway_cpu: int = None
    load_cpu: int = None
    backend: Server = field(default=None)


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Measures what the module costs beside plain proxy_pass and beside its peers."
    )
    parser.add_argument("--quick", action="store_true", help="the rows of the budgets alone, in about a minute")
    parser.add_argument("--peers", action="store_true", help="install Lua, njs and HAProxy from Debian and measure them")
    parser.add_argument("--memory", action="store_true", help="also the memory of a worker")
    parser.add_argument("--profile", action="store_true", help="also the functions that the instructions go to")
    parser.add_argument("--only", metavar="PART", choices=PARTS, action="append",
                        help=f"{', '.join(PARTS[:-1])} or {PARTS[-1]}; may be given several times")
    parser.add_argument("--rounds", type=int, help="rounds of the CPU comparison (40, with --quick 12)")
    parser.add_argument("--nginx", help="another nginx, with --module")
    parser.add_argument("--module", help="a module that is built already")
    options = parser.parse_args()
    if options.nginx and not options.module:
        parser.error("--nginx needs --module: a module fits one nginx only")
    if not options.only:
        options.only = [part for part in PARTS[:-1] if not (options.quick and part == "growth")]
    if options.memory and "memory" not in options.only:
        options.only.append("memory")
    return options


def built_module():
    """Builds it; the path is the last line that scripts/build prints."""
    scripts = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    done = subprocess.run([os.path.join(scripts, "build")], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise Failure("the module does not build; scripts/build has said why")
    return done.stdout.strip().splitlines()[-1]


def pin(setting):
    """The gateway on one CPU, load and backend on another: what the gateway's caches see is then its own."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) > 1:
        setting.gateway_cpu, setting.load_cpu = usable[-1], usable[0]


def peers_of(options, setting):
    return [] if options.quick and not options.peers else list(peers.installed(setting))


def measure_instructions(options, setting, report):
    shapes = traffic.pick("bare", "40", "2k")
    wanted = scenarios.QUICK if options.quick else scenarios.MAIN
    others = peers_of(options, setting)
    report.section("Instructions",
                   "User space, one process, keepalive on both sides, after warm-up; callgrind counts them.",
                   "As many calls of malloc() as plain nginx makes count as much as there: it is chance what they take.",
                   f"Each request by itself (pin off): {len(traffic.BROWSER)} browser headers and a cookie header of 40 bytes or"
                   " 2 KB (bare: 40 bytes, but one header).")
    rows = [*wanted, *others] if options.quick else [*wanted, *scenarios.MORE, *others]
    counts = instructions.count_all(rows, shapes, setting)
    report.instructions(rows, shapes, counts)
    report.cheapest(scenarios.SPLIT, [scenarios.MAP, *others], shapes, counts)
    for line in peers.missing(setting) if options.peers or not options.quick else ():
        print(f"not measured: {line}")
    spread = max(count.spread for scenario in wanted for count in counts[scenario.key].values())
    print(f"In plain nginx and the module, {instructions.SLICE} requests differ from the next by {spread:.0f} at most.")
    visits = traffic.pick("file", "file-2k", "file-early", "api", "page")
    pages = instructions.count_all(scenarios.OF_PAGES, visits, setting)
    report.section("Pages", "What a browser asks for that has a page and its pin, beside a cookie header of 40 bytes: a file of"
                   " it, a call of its API, the page again.")
    report.instructions(scenarios.OF_PAGES, visits, pages)
    if not options.quick:
        visitors, navigations = [scenarios.PLAIN, scenarios.VISITOR], traffic.pick("visitor", "first")
        report.section("Visitors", "A navigation with visitor and pin, and a first visit, which is given both.")
        report.instructions(visitors, navigations, instructions.count_all(visitors, navigations, setting))
    if options.profile:
        profile([scenarios.SPLIT, scenarios.JUDGED], traffic.pick("40", "2k"), counts, setting, report)
        profile(scenarios.OF_PAGES[1:], visits, pages, setting, report)


def profile(rows, shapes, counts, setting, report):
    for scenario in rows:
        for key, shape in shapes.items():
            mine, plain = counts[scenario.key][key], counts["plain"][key]
            report.profile(f"{scenario.title}, {shape.title}", mine, plain, setting.module)


def measure_growth(setting, report):
    report.section("Growth", "Instructions more than plain proxy_pass, 40-byte cookie; routes miss.")
    shapes = traffic.pick("40")
    plain = instructions.count(scenarios.PLAIN, shapes, setting)["40"]
    series, counts = scenarios.growth(), {}
    for what, members in series:
        for scenario in members:
            counts[what, scenario.key] = instructions.count(scenario, shapes, setting)["40"]
    report.growth(series, counts, plain)


def measure_cpu(options, setting, report, rounds):
    shapes = traffic.pick("40") if options.quick else traffic.pick("40", "2k")
    wanted = [*(scenarios.QUICK if options.quick else scenarios.MAIN), *peers_of(options, setting)]
    report.section("CPU time",
                   f"Of the worker, user and system, under h2load with {cpu.CONNECTIONS} connections: {rounds} rounds in"
                   " which each has its turn.",
                   "The ratio to plain is the median over rounds. It depends on what else this machine does: see the"
                   f" interval. Load average now: {os.getloadavg()[0]:.1f}.")
    costs = cpu.compare(wanted, shapes, setting, rounds, 4000)
    report.cpu(wanted, shapes, costs)
    visits = traffic.pick("file", "api")
    report.section("CPU time of pages", "As above; a browser that has a page and its pin.")
    report.cpu(scenarios.OF_PAGES, visits, cpu.compare(scenarios.OF_PAGES, visits, setting, rounds, 4000))


def run(options, setting, report):
    if "instructions" in options.only:
        measure_instructions(options, setting, report)
    if "identity" in options.only:
        measure_identity.measure_instructions(options, setting, report)
    if "growth" in options.only:
        measure_growth(setting, report)
    rounds = options.rounds or (12 if options.quick else 40)
    if "cpu" in options.only:
        measure_cpu(options, setting, report, rounds)
    if "identity-cpu" in options.only:
        measure_identity.measure_cpu(options, setting, report, rounds)
    if "memory" in options.only:
        report.section("Memory", "Of one worker after traffic; the lines of a file are not part of the budget.")
        report.memory(memory.measure(setting))


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    system = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    nginx = os.path.abspath(options.nginx) if options.nginx else shutil.which("nginx", path=system)
    try:
        module = os.path.abspath(options.module) if options.module else built_module()
        if not nginx:
            raise Failure("no nginx is installed: run scripts/setup build")
        work = tempfile.mkdtemp(prefix="lobechat-canary-bench-")
        # A build in the meantime must not change what is measured.
        setting = Setting(nginx, shutil.copy(module, work), not options.nginx, work)
        pin(setting)
        report = Report()
        version = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr.split("/")[-1]
        print(f"nginx {version.strip()}, {os.path.basename(module)}, {os.cpu_count()} CPUs")
        try:
            with traffic.backend(nginx, setting.load_cpu) as setting.backend:
                run(options, setting, report)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return report.end()
    except Failure as failure:
        print(f"scripts/bench: {failure}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
