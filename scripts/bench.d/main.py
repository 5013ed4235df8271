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
import hotspots
import instructions
import memory
import peers
import scenarios
import traffic
from processes import Failure, Server
from report import Report, more


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


@dataclass(frozen=True)
class NamedShape:
    key: str
    title: str


def shapes(*keys):
    return [NamedShape(key, traffic.SHAPES[key].title) for key in keys]


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Measures what the module costs beside plain proxy_pass and beside its peers."
    )
    parser.add_argument("--quick", action="store_true", help="the rows of the budgets alone, in about a minute")
    parser.add_argument("--peers", action="store_true", help="install Lua, njs and HAProxy from Debian and measure them")
    parser.add_argument("--memory", action="store_true", help="also the memory of a worker")
    parser.add_argument("--profile", action="store_true", help="also the functions that the instructions go to")
    parser.add_argument("--only", metavar="PART", choices=("instructions", "growth", "cpu", "memory"), action="append",
                        help="instructions, growth, cpu or memory; may be given several times")
    parser.add_argument("--rounds", type=int, help="rounds of the CPU comparison (40, with --quick 12)")
    parser.add_argument("--nginx", help="another nginx, with --module")
    parser.add_argument("--module", help="a module that is built already")
    options = parser.parse_args()
    if options.nginx and not options.module:
        parser.error("--nginx needs --module: a module fits one nginx only")
    if not options.only:
        options.only = ["instructions", "cpu"] if options.quick else ["instructions", "growth", "cpu"]
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


def count_all(wanted, keys, setting):
    counts = {}
    for scenario in wanted:
        counts[scenario.key] = instructions.count(scenario, keys, setting)
    return counts


def measure_instructions(options, setting, report):
    keys = ("bare", "40", "2k")
    wanted = scenarios.QUICK if options.quick else scenarios.MAIN
    others, missing = ([], []) if options.quick and not options.peers else peers.installed(setting)
    report.section("Instructions",
                   "User space, one process, keepalive on both sides, after warm-up; callgrind counts them.",
                   "As many calls of malloc() as plain nginx makes count as much as there: it is chance what they take.",
                   f"Requests have {len(traffic.BROWSER)} browser headers and a cookie header of 40 bytes or 2 KB"
                   " (bare: 40 bytes, but one header).")
    rows = [*wanted, *others] if options.quick else [*wanted, *scenarios.MORE, *others]
    counts = count_all(rows, keys, setting)
    report.instructions(rows, shapes(*keys), counts)
    report.cheapest(scenarios.BUDGET, [scenarios.MAP, *others], shapes(*keys), counts)
    for line in missing:
        print(f"not measured: {line}")
    spread = max(count.spread for scenario in wanted for count in counts[scenario.key].values())
    print(f"In plain nginx and the module, {instructions.SLICE} requests differ from the next by {spread:.0f} at most.")
    if not options.quick:
        visitors = [scenarios.PLAIN, scenarios.VISITOR]
        counts_of_visitors = count_all(visitors, ("visitor", "40"), setting)
        report.section("Visitors", "A navigation with the visitor cookie, and a first visit, which is given one.")
        report.instructions(
            visitors, [NamedShape("visitor", "known"), NamedShape("40", "first visit")], counts_of_visitors
        )
    if options.profile:
        for scenario in wanted:
            for shape in shapes("40", "2k") if scenario.budget else ():
                mine, plain = counts[scenario.key][shape.key], counts["plain"][shape.key]
                title = f"Where it goes: {scenario.title}, {shape.title} cookie"
                report.section(f"{title}, {more(mine, plain):+.0f} instructions")
                hotspots.show(mine.costs, plain.costs, setting.module)


def measure_growth(setting, report):
    report.section("Growth", "Instructions more than plain proxy_pass, 40-byte cookie; routes miss.")
    plain = instructions.count(scenarios.PLAIN, ("40",), setting)["40"]
    series, counts = scenarios.growth(), {}
    for what, members in series:
        for scenario in members:
            counts[what, scenario.key] = instructions.count(scenario, ("40",), setting)["40"]
    report.growth(series, counts, plain)


def measure_cpu(options, setting, report):
    keys = ("40",) if options.quick else ("40", "2k")
    others = [] if options.quick and not options.peers else peers.installed(setting)[0]
    wanted = [*(scenarios.QUICK if options.quick else scenarios.MAIN), *others]
    rounds = options.rounds or (12 if options.quick else 40)
    report.section("CPU time",
                   f"Of the worker, user and system, under h2load with {cpu.CONNECTIONS} connections: {rounds} rounds in"
                   " which each has its turn.",
                   "The ratio to plain is the median over rounds. It depends on what else this machine does: see the"
                   f" interval. Load average now: {os.getloadavg()[0]:.1f}.")
    costs = cpu.compare(wanted, keys, setting, rounds, 4000)
    report.cpu(wanted, shapes(*keys), costs)


def run(options, setting, report):
    if "instructions" in options.only:
        measure_instructions(options, setting, report)
    if "growth" in options.only:
        measure_growth(setting, report)
    if "cpu" in options.only:
        measure_cpu(options, setting, report)
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
