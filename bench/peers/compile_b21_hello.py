"""B21: seconds to compile a hello-world at -O0, and the size of the built program, optimised and stripped.

compile_b21_hello.py --source peers/asio_b21_hello.cpp -- build/bench/bench/asio_b21_hello
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import peer

BENCH = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(BENCH))

from harness import machine  # noqa: E402


def compiler_of(program):
    build = next(folder for folder in program.parents if (folder / "CMakeCache.txt").is_file())
    return machine.cached(build, "CMAKE_CXX_COMPILER")


def seconds_to_compile(compiler, source, folder):
    command = [compiler, "-std=c++23", "-O0", f"-I{BENCH.parent}", "-c", str(source), "-o", str(folder / "hello.o")]
    start = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - start


def stripped_bytes(program, folder):
    copy = folder / "stripped"
    subprocess.run(["strip", "-o", str(copy), str(program)], check=True)
    return copy.stat().st_size


def main():
    options = peer.options()
    peer.pin_thread(options.first_cpu)
    program = Path(options.command[0]).resolve()

    said = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    peer.require(said == "hello\n", "the program said something else")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds = seconds_to_compile(compiler_of(program), BENCH / options.source, folder)
        peer.show(seconds=seconds, kilobytes=stripped_bytes(program, folder) / 1000)


main()
