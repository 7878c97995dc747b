"""Run a command some times on a host and print, as JSON, the median seconds and CPU seconds and the
peak memory.
"""

# Usage: rusage.py TIMES COMMAND [ARGUMENT...]

import json
import os
import statistics
import sys
import time


def once(argv):
    """Return (seconds, CPU seconds, peak kB of the largest process) of one run, output thrown
    away.
    """
    started = time.monotonic()
    before = os.times()
    pid = os.fork()
    if pid == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1):
            os.dup2(null, descriptor)
        os.execvp(argv[0], argv)
    _pid, status, usage = os.wait4(pid, 0)
    if status:
        sys.exit("%s ended with status %d" % (argv[0], status))
    after = os.times()
    cpu = (after[2] + after[3]) - (before[2] + before[3])
    return time.monotonic() - started, cpu, usage.ru_maxrss


runs = [once(sys.argv[2:]) for _count in range(int(sys.argv[1]))]
print(
    json.dumps(
        {
            "seconds": statistics.median(run[0] for run in runs),
            "cpu": statistics.mean(run[1] for run in runs),
            "peak_kb": max(run[2] for run in runs),
        }
    )
)
