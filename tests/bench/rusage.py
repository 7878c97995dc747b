"""Run a command some times on a host and print, as JSON, the median seconds, the CPU seconds, and
the peak memory of the command itself and of the largest process with what it started.
"""

# Usage: rusage.py TIMES COMMAND [ARGUMENT...]

import json
import os
import statistics
import sys
import time


def once(argv):
    """Return (seconds, CPU seconds, its own peak kB, peak kB of the largest process) of one run,
    output thrown away.
    """
    started = time.monotonic()
    before = os.times()
    pid = os.fork()
    if pid == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1):
            os.dup2(null, descriptor)
        os.execvp(argv[0], argv)
    own = 0
    ended, status, usage = os.wait4(pid, os.WNOHANG)
    while not ended:
        own = max(own, peak_kb(pid))
        time.sleep(0.02)
        ended, status, usage = os.wait4(pid, os.WNOHANG)
    seconds = time.monotonic() - started
    if status:
        sys.exit("%s ended with status %d" % (argv[0], status))
    after = os.times()
    cpu = (after[2] + after[3]) - (before[2] + before[3])
    return seconds, cpu, own, usage.ru_maxrss


def peak_kb(pid):
    """Return the most memory that a process has had resident so far; 0 for one that has ended."""
    with open("/proc/%d/status" % pid) as source:
        for line in source:
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


runs = [once(sys.argv[2:]) for _count in range(int(sys.argv[1]))]
print(
    json.dumps(
        {
            "seconds": statistics.median(run[0] for run in runs),
            "cpu": statistics.mean(run[1] for run in runs),
            "own_kb": max(run[2] for run in runs),
            "children_kb": max(run[3] for run in runs),
        }
    )
)
