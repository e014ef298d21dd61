"""One line on what this was measured on."""

import os
import platform
import re
import subprocess
from pathlib import Path


def _first(pattern, path):
    try:
        found = re.search(pattern, Path(path).read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    except OSError:
        return None
    return found.group(1).strip() if found else None


def _first_line(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None


def cached(build, name):
    """A value of the build's CMakeCache.txt."""
    return _first(rf"^{name}:[A-Z]+=(.*)$", build / "CMakeCache.txt")


def description(build, python, cpus):
    model = _first(r"^model name\s*:\s*(.*)$", "/proc/cpuinfo") or platform.machine()
    virtual = " (virtual machine)" if _first(r"^flags\s*:.*\b(hypervisor)\b", "/proc/cpuinfo") else ""
    compiler = cached(build, "CMAKE_CXX_COMPILER")
    parts = [
        f"{len(cpus)} of {os.cpu_count()} CPUs, {model}{virtual}",
        f"Linux {platform.release()}",
        _first_line([compiler, "--version"]) if compiler else None,
        _first_line([python, "--version"]),
        f"load {os.getloadavg()[0]:.2f}",
    ]
    return "; ".join(part for part in parts if part)
