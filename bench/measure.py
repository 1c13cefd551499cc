"""Runs a command as a whole process, and tells what it cost."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cost:
    """Seconds on the wall and of the processors, peak memory in MB, and what was printed."""

    wall: float
    cpu: float
    memory: float
    printed: Any

    def __str__(self) -> str:
        return f"{self.wall:8.1f} s  {self.cpu:8.1f} s CPU  {self.memory:6.0f} MB"


def run(command: Sequence[str], environment: Mapping[str, str]) -> Cost:
    """Runs Python with these arguments; its last line of output is JSON."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stderr
    printed = process.stdout.read()
    errors = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    if process.returncode not in (0, 3):
        raise SystemExit(f"{command}: exit {process.returncode}\n{errors[-2000:]}")
    last = printed.strip().splitlines()[-1] if printed.strip() else "null"
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, json.loads(last))
