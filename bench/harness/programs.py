"""Starts the program of one side, reads its line of JSON, and leaves no process behind whatever happens."""

import ctypes
import json
import os
import signal
import subprocess
import time
from pathlib import Path

PEERS = Path(__file__).resolve().parent.parent / "peers"
TIME_LIMIT = 300  # seconds for one run; the longest takes about ten


class Failure(Exception):
    """A side that cannot be run; the text is for the user."""


class Programs:
    def __init__(self, folders, python, cpus):
        self.folders = folders
        self.python = python
        self.cpus = cpus
        adopt_orphans()

    def check(self, sides):
        """Everything that can be known to be missing before the first run."""
        missing = []
        for side in dict.fromkeys(sides):
            try:
                self.command(side.program)
                if side.server:
                    self.command(side.server[0])
            except Failure as failure:
                missing.append(f"{side.name}: {failure}")
        for module in sorted({module for side in sides for module in side.needs}):
            if subprocess.run([self.python, "-c", f"import {module}"], capture_output=True, check=False).returncode != 0:
                missing.append(f"{module}: {self.python} cannot import it")
        if missing:
            raise Failure("cannot be run here:\n  " + "\n  ".join(dict.fromkeys(missing)))

    def command(self, program):
        if program.endswith(".py"):
            if not os.access(self.python, os.X_OK):
                raise Failure(f"there is no {self.python}")
            return [self.python, str(PEERS / program)]
        for folder in self.folders:
            if os.access(folder / program, os.X_OK):
                return [str(folder / program)]
        raise Failure(f"{program} has not been built")

    def run(self, side, measurement):
        """The metrics of one run."""
        command = [*self.command(side.program), *side.arguments, *measurement.arguments]
        command += ["--cpus", ",".join(map(str, self.cpus))]
        if measurement.placement not in ("free", "one_cpu"):
            command += ["--placement", measurement.placement]
        if side.server:
            command += ["--", *self.command(side.server[0]), *side.server[1:]]
        environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1") | dict(side.environment)
        # A session of its own: what it starts can be ended with it, and Ctrl-C reaches this program alone.
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment
        )
        try:
            output, errors = process.communicate(timeout=TIME_LIMIT)
        except subprocess.TimeoutExpired:
            raise Failure(f"{side.name} did not end within {TIME_LIMIT} s") from None
        finally:
            end_session(process)
        if process.returncode != 0:
            raise Failure(f"{side.name} failed ({describe(process.returncode)}): {last_line(errors)}")
        try:
            return {name: float(value) for name, value in json.loads(last_line(output)).items()}
        except (ValueError, AttributeError):
            raise Failure(f"{side.name} printed no result but: {last_line(output) or 'nothing'}") from None


def adopt_orphans():
    """Grandchildren whose parent is gone become ours, so that they can be ended and reaped on a machine without an init."""
    PR_SET_CHILD_SUBREAPER = 36
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_session(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
    reap_orphans()


def reap_orphans(patience=2.0):
    """Those in the session are dying already; any that left it gets `patience` seconds to follow its parent."""
    deadline = time.monotonic() + patience
    while True:
        try:
            reaped, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if reaped == 0:
            if time.monotonic() > deadline:
                for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split():
                    os.kill(int(pid), signal.SIGKILL)
            time.sleep(0.002)


def describe(status):
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def last_line(text):
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
