# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Show how fast the diagnosis is: ratios, measured side by side in one run on the reference fleet.

Prints a table and writes it to docs/benchmarks.md. The absolute seconds are this machine's; the
ratios are what the goals speak of.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / ".build"))

import database  # beside this file

from ansible_collections.sergas.ops.plugins.modules.sergas_health import ARGUMENT_SPEC
from ansible_collections.sergas.ops.plugins.plugin_utils import program

FLEET = ROOT / "tests" / "fleet" / "fleet.py"
PAGE = ROOT / "docs" / "benchmarks.md"
JOURNAL_UNIT = "sergas-bench"

# A million lines as the app writes them: mostly access lines, some errors of both log styles.
WRITER = r"""
import sys
write = sys.stdout.write
for n in range(int(sys.argv[1])):
    if n % 100 == 7:
        write('2026-11-24 10:00:00 ERROR request failed path=/api/v1/accounts/%d duration=1.234 status_code=500 '
              'remote_ip=203.0.113.9\n' % (n % 50))
    elif n % 100 == 13:
        write('{"error":"timeout","event":"mcp_request_failed","path":"/accounts","timestamp":"2026-11-24T10:00:00Z"}\n')
    else:
        write('INFO:     10.0.0.%d:4711 - "GET /api/v1/accounts/%d HTTP/1.1" 200 OK\n' % (n % 250, n % 1000))
"""  # noqa: E501  as the program prints it


def run(argv, **options):
    """Run a command to its end and return its standard output; its own words when it fails."""
    done = subprocess.run(
        [str(word) for word in argv], capture_output=True, text=True, check=False, **options
    )
    if done.returncode:
        sys.exit("%s failed:\n%s%s" % (argv[0], done.stdout[-4000:], done.stderr[-4000:]))
    return done.stdout


class Fleet:
    """The hosts of the reference fleet, as the benchmark needs them."""

    def __init__(self, inventory):
        self.inventory = inventory
        listed = json.loads(run(["ansible-inventory", "-i", inventory, "--list"]))
        self.variables = listed["_meta"]["hostvars"]
        self.names = sorted(self.variables)

    def play(self, playbook, *arguments):
        """Run a playbook on every host and return the seconds it took."""
        started = time.monotonic()
        run(
            ["ansible-playbook", "-i", self.inventory, "-f", len(self.names), playbook, *arguments],
            cwd=ROOT,
        )
        return time.monotonic() - started

    def ssh(self, host, script, stdin=None):
        """Run a shell script on one host and return its standard output."""
        return run([sys.executable, FLEET, "exec", host, "--", "bash", "-c", script], input=stdin)

    def diagnosis(self, host, arguments):
        """Leave the program of sergas_health, as Ansible sends it, on a host; return the command
        that runs it.
        """
        params = {name: option.get("default") for name, option in ARGUMENT_SPEC.items()}
        options = {**params, **arguments}
        packed = base64.b64encode(program.pack("module_utils._health.checks", options))
        self.ssh(host, "base64 -d > /tmp/sergas_health", stdin=packed.decode())
        script = "exec python3 %s < /tmp/sergas_health\n" % program.COMMAND
        self.ssh(host, "cat > /tmp/sergas_health.sh", stdin=script)
        return "sh /tmp/sergas_health.sh"

    def measure(self, host, times, command):
        """Run a command on a host some times; see rusage.py."""
        program = "cat > /tmp/rusage.py && python3 /tmp/rusage.py %d %s" % (times, command)
        return json.loads(self.ssh(host, program, stdin=(HERE / "rusage.py").read_text()))


def playbooks(fleet, rounds):
    """Return rows: the diagnosis beside a ping and beside ordinary tasks, on all hosts,
    interleaved.
    """
    reports = ROOT / "tests" / "output" / "bench-reports"
    diagnose = [
        "sergas.ops.diagnose",
        "-e",
        "sergas_fail_on=never",
        "-e",
        "sergas_report_dir=%s" % reports,
    ]
    fleet.play(HERE / "ping.yml")
    fleet.play(*diagnose)
    seconds = {"ping": [], "diagnose": []}
    for _round in range(rounds):
        seconds["ping"].append(fleet.play(HERE / "ping.yml"))
        seconds["diagnose"].append(fleet.play(*diagnose))
    ordinary = fleet.play(HERE / "ordinary_tasks.yml")
    ping, whole = (statistics.median(seconds[name]) for name in ("ping", "diagnose"))
    hosts = "%d hosts" % len(fleet.names)
    return [
        row("`diagnose` with reports / one `ping`, %s" % hosts, whole, ping, 1.3),
        row(
            "`diagnose` with reports / the same checks as ordinary tasks, %s" % hosts,
            whole,
            ordinary,
            1 / 8,
        ),
    ]


def remediation(fleet, rounds):
    """Return the row: a plan that finds nothing to fix beside the diagnosis alone, interleaved.

    It applies, too: a healthy host must not be slower for it.
    """
    options = [
        "-e",
        "sergas_fail_on=never",
        "-e",
        "sergas_report_dir=%s" % (ROOT / "tests" / "output" / "bench-reports"),
    ]
    fleet.play("sergas.ops.diagnose", *options)
    seconds = {"fix": [], "diagnose": []}
    for _round in range(rounds):
        seconds["diagnose"].append(fleet.play("sergas.ops.diagnose", *options))
        seconds["fix"].append(fleet.play("sergas.ops.fix", *options, "-e", "sergas_apply=true"))
    whole, beside = (statistics.median(seconds[name]) for name in ("fix", "diagnose"))
    hosts = "%d healthy hosts" % len(fleet.names)
    return [row("`fix` with nothing to fix / `diagnose`, %s" % hosts, whole, beside, 1.3)]


def module_cpu(fleet):
    """Return rows: CPU time of the module beside the guide's script, for one host of each
    release.
    """
    rows = []
    script = (HERE / "quick-diagnostic.sh").read_text()
    for release in sorted({fleet.variables[name].get("release", "host") for name in fleet.names}):
        host = next(
            name for name in fleet.names if fleet.variables[name].get("release", "host") == release
        )
        command = fleet.diagnosis(host, {})
        fleet.ssh(host, "cat > /tmp/quick-diagnostic.sh", stdin=script)
        ours = fleet.measure(host, 10, command)["cpu"]
        theirs = fleet.measure(host, 10, "bash /tmp/quick-diagnostic.sh")["cpu"]
        rows.append(
            row("CPU of `sergas_health` / the guide's script, %s" % release, ours, theirs, 2.0)
        )
    return rows


def journal(fleet, lines):
    """Return rows: a journal of many lines in the window beside reading it with journalctl."""
    host = fleet.names[0]
    fleet.ssh(host, "cat > /tmp/writer.py", stdin=WRITER)
    unlimited = "[Journal]\nRateLimitIntervalSec=0\nSystemMaxUse=4G\nRuntimeMaxUse=4G\n"
    fleet.ssh(
        host,
        "mkdir -p /etc/systemd/journald.conf.d && cat > /etc/systemd/journald.conf.d/bench.conf"
        " && systemctl restart systemd-journald",
        stdin=unlimited,
    )
    fleet.ssh(
        host,
        "systemd-run --quiet --wait --unit=%s python3 /tmp/writer.py %d && journalctl --sync"
        % (JOURNAL_UNIT, lines),
    )
    found = int(
        fleet.ssh(
            host, "journalctl -u %s -o json --since -1h | grep -c '\"MESSAGE\"'" % JOURNAL_UNIT
        )
    )
    if found < lines:
        sys.exit("the journal of %s holds %d of %d lines" % (host, found, lines))
    # The other probes would look for an app of that name: the checks that read the journal are what
    # is measured.
    arguments = {
        "service": JOURNAL_UNIT,
        "checks": ["exceptions", "errors", "attacks", "rate_limit"],
        "components": ["app"],
        "deadline": 600,
    }
    command = fleet.diagnosis(host, arguments)
    reader = "bash -c 'journalctl -u %s -o json --since -1h | wc -l'" % JOURNAL_UNIT
    fleet.measure(host, 1, reader)
    theirs = fleet.measure(host, 3, reader)
    ours = fleet.measure(host, 3, command)
    lines_read = "a journal of %s lines" % format(lines, ",")
    return [
        row(
            "`sergas_health` / `journalctl -o json \\| wc -l`, %s" % lines_read,
            ours["seconds"],
            theirs["seconds"],
            1.5,
        ),
        [
            "Peak memory of `sergas_health`, and of `journalctl`, %s" % lines_read,
            "%.0f MB" % (ours["own_kb"] / 1024),
            "%.0f MB" % (theirs["children_kb"] / 1024),
            "",
            "150 MB",
        ],
    ]


def row(what, ours, theirs, goal=None):
    """Return one line of the table: both figures in seconds, their ratio, its goal if there is
    one.
    """
    return [
        what,
        "%.3f s" % ours,
        "%.3f s" % theirs,
        "%.2f" % (ours / theirs),
        "at most %.3g" % goal if goal else "",
    ]


def table(rows):
    """Return rows as a Markdown table."""
    head = ["What", "Ours", "Beside it", "Ratio", "Goal"]
    return "\n".join("| %s |" % " | ".join(line) for line in [head, ["---"] * len(head), *rows])


def write_page(text):
    """Put the table into docs/benchmarks.md, between its markers."""
    page = PAGE.read_text()
    page = re.sub(
        r"(<!-- table -->\n).*(<!-- end -->)",
        lambda found: found[1] + text + "\n" + found[2],
        page,
        flags=re.S,
    )
    PAGE.write_text(page)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inventory", default=ROOT / ".fleet" / "inventory.yml", type=Path)
    parser.add_argument(
        "--rounds", default=3, type=int, help="how often the playbooks are run, side by side"
    )
    parser.add_argument("--lines", default=1_000_000, type=int, help="lines of the journal")
    parser.add_argument(
        "--only",
        choices=["playbooks", "fix", "cpu", "journal", "database"],
        help="measure only this",
    )
    options = parser.parse_args()
    fleet = None if options.only == "database" else Fleet(options.inventory)
    rows = []
    if options.only in (None, "playbooks"):
        rows += playbooks(fleet, options.rounds)
    if options.only in (None, "fix"):
        rows += remediation(fleet, options.rounds)
    if options.only in (None, "cpu"):
        rows += module_cpu(fleet)
    if options.only in (None, "journal"):
        rows += journal(fleet, options.lines)
    if options.only in (None, "database"):
        rows += [row(*figures) for figures in database.measure()]
    print(table(rows))
    if not options.only:
        write_page(table(rows))


if __name__ == "__main__":
    main()
