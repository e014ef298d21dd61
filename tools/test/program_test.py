#!/usr/bin/env python3
"""The fourfold program as a user meets it. ctest runs each test as tool.<behaviour>; by hand:

  FOURFOLD=build/release/tools/fourfold /usr/bin/python3 tools/test/program_test.py [ProgramTest.test_<behaviour>...]

This process adopts the orphans of what it starts (PR_SET_CHILD_SUBREAPER). So "no process is left" is exact: when
the program has ended and there is no child to wait for, all of its descendants have ended, whoever started them.
"""

import ctypes
import errno
import html.parser
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

FOURFOLD = os.path.abspath(os.environ.get("FOURFOLD", "build/release/tools/fourfold"))
LIMIT = 50  # seconds for everything that is waited for: far more than needed, also under a sanitizer
PR_SET_CHILD_SUBREAPER = 36
WORKS = ["primes", "squares", "fetch", "files", "hybrid", "locked"]
EVERY_MODEL = ["sequential", "threads", "processes"]  # of `squares`, in the order in which they run
ESCAPE = "\x1b"
# Never ends by itself within a test, has results within a second, and worker processes soon after.
ENDLESS = ["compare", "squares", "--repeat", "1000", "--workers", "2"]


def adopt_orphans():
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def start(*arguments, **options):
    environment = dict(os.environ, **options.pop("environment", {}))
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    # A group of its own, as a shell gives every job.
    return subprocess.Popen([FOURFOLD, *arguments], env=environment, start_new_session=True, **options)


def finish(process):
    """Waits for the end; what it wrote, as it wrote it."""
    try:
        written = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return [text.decode(errors="replace") if text is not None else "" for text in written]


def run(*arguments, **options):
    process = start(*arguments, **options)
    output, errors = finish(process)
    return subprocess.CompletedProcess(arguments, process.returncode, output, errors)


def children_of(process):
    found = []
    try:
        for thread in os.listdir(f"/proc/{process}/task"):
            found += Path(f"/proc/{process}/task/{thread}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        pass  # it has just ended
    return [int(child) for child in found]


def grandchildren_of(process):
    """The workers: a pool's template starts them."""
    return [worker for child in children_of(process) for worker in children_of(child)]


def wait_until(condition, what):
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {LIMIT} s: {what}")
        time.sleep(0.002)


def wait_for_workers(process):
    """Returns when workers of the first round run, so the models before them have been measured once."""
    wait_until(lambda: grandchildren_of(process) or not alive(process), "worker processes")


def alive(process):
    """Whether a child of this process runs; it is not reaped."""
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def running_orphans():
    """Reaps what has ended; the adopted processes that still run."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        return []
    return children_of(os.getpid())


class PageReader(html.parser.HTMLParser):
    """Collects what a page consists of and what it refers to."""

    LINKS = {"src", "href", "srcset", "data", "action", "formaction", "poster", "background", "cite", "manifest"}

    def __init__(self, text):
        super().__init__()
        self.tags, self.references, self.text, self.styles, self.scripts = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name in self.LINKS or name.endswith(":href"):
                self.references.append((tag, name, value))
            if name == "style":
                self.styles.append(value)

    def handle_data(self, data):
        inside = self.tags[-1] if self.tags else ""
        kinds = {"style": self.styles, "script": self.scripts}
        kinds.get(inside if self.cdata_elem else "", self.text).append(data)


class ProgramTest(unittest.TestCase):
    def setUp(self):
        adopt_orphans()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.addCleanup(self.leave_nothing_running)

    def leave_nothing_running(self):
        for process in running_orphans():
            os.kill(process, signal.SIGKILL)

    def expect_nothing_left(self, at_once):
        if not at_once:
            wait_until(lambda: not running_orphans(), "every process has ended")
        self.assertEqual(running_orphans(), [], "processes are left")

    def expect_refused(self, *arguments, naming, **options):
        """Exit status 2 and one line that says why. Gives the result."""
        result = run(*arguments, **options)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertRegex(result.stderr, r"\Afourfold: [^\n]+\n\Z")
        self.assertIn(naming, result.stderr)
        self.assertNotIn("terminate called", result.stderr)
        self.expect_nothing_left(at_once=True)
        return result

    def expect_refused_before_measuring(self, *arguments, naming):
        result = self.expect_refused(*arguments, naming=naming)
        self.assertEqual(result.stdout, "")

    # What it says about itself

    def test_help_names_the_commands_and_the_options(self):
        result = run("--help")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("compare", result.stdout)
        self.assertNotIn("serve-pages", result.stdout, "only the program itself uses it")
        result = run("compare", "--help")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for option in ("--workers", "--repeat", "--seconds", "--json", "--report", "--list", "--dir", "--port"):
            self.assertIn(option, result.stdout)

    def test_version_is_one_line(self):
        result = run("--version")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, r"\Afourfold \d+\.\d+\.\d+\n\Z")

    def test_list_names_every_work(self):
        result = run("compare", "--list")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual([line.split()[0] for line in result.stdout.splitlines()], WORKS)

    # What cannot be done

    def test_wrong_options_are_one_line_and_status_2(self):
        for arguments, naming in (
            ([], "subcommand"),
            (["compare", "--nonsense"], "--nonsense"),
            (["compare", "--json"], "--json"),
            (["compare", "--repeat", "0"], "--repeat"),
            (["compare", "--repeat", "many"], "--repeat"),
            (["compare", "--seconds", "0"], "--seconds"),
            (["compare", "--seconds", "-1"], "--seconds"),
            (["compare", "--seconds", "nan"], "--seconds"),
            (["compare", "--latency", "-1"], "--latency"),
            (["compare", "--port", "65536"], "--port"),
        ):
            with self.subTest(arguments=arguments):
                self.expect_refused_before_measuring(*arguments, naming=naming)

    def test_an_unknown_command_is_named(self):
        for argument in ("comapre", "--nonsense"):
            with self.subTest(argument=argument):
                self.expect_refused_before_measuring(argument, naming=argument)

    def test_an_unknown_work_is_named_along_with_those_there_are(self):
        self.expect_refused_before_measuring("compare", "primes", "nonsense", naming="nonsense")
        self.expect_refused_before_measuring("compare", "nonsense", naming=", ".join(WORKS))
        self.expect_refused_before_measuring("compare", "two\nlines", naming="two lines")

    def test_an_impossible_number_of_workers_is_refused(self):
        for workers in ("0", "-1", "1025", "99999999999999999999", "two", ""):
            with self.subTest(workers=workers):
                self.expect_refused_before_measuring("compare", f"--workers={workers}", naming="--workers")

    def test_a_folder_that_is_missing_empty_or_none_is_refused(self):
        missing = self.folder / "missing"
        empty = self.folder / "empty"
        empty.mkdir()
        file = self.folder / "file"
        file.write_text("not a folder")
        for path in (missing, empty, file):
            with self.subTest(path=path.name):
                self.expect_refused_before_measuring("compare", "files", "--dir", str(path), naming=str(path))

    def test_a_port_that_is_taken_is_refused(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            self.expect_refused_before_measuring("compare", "fetch", "--port", port, naming=port)

    def test_a_file_that_cannot_be_written_is_refused_before_anything_is_measured(self):
        for option in ("--json", "--report"):
            for path in (self.folder / "missing" / "file", self.folder):
                with self.subTest(option=option, path=path):
                    self.expect_refused_before_measuring("compare", "squares", option, str(path), naming=str(path))
        good = self.folder / "good.json"
        self.expect_refused_before_measuring("compare", "squares", "--json", str(good), "--report",
                                             "/missing/report.html", naming="/missing/report.html")
        self.assertFalse(good.exists(), "an empty file is left")

    def test_a_full_disk_is_one_line_and_status_2(self):
        for option in ("--json", "--report"):
            with self.subTest(option=option):
                result = self.expect_refused("compare", "squares", "--repeat", "1", option, "/dev/full",
                                             naming="/dev/full")
                self.assertIn("squares", result.stdout, "what was measured is still printed")
                self.assertIn(os.strerror(errno.ENOSPC), result.stderr)

    def test_a_full_disk_under_standard_output_is_one_line_and_status_2(self):
        with open("/dev/full", "wb") as full:
            self.expect_refused("compare", "squares", "--repeat", "1", stdout=full, naming=os.strerror(errno.ENOSPC))

    # What it writes

    def test_json_holds_the_same_result_for_every_model(self):
        path = self.folder / "figures.json"
        result = run("compare", "primes", "--repeat", "1", "--json", str(path))
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        figures = json.loads(path.read_text(encoding="utf-8"))
        self.assertIs(figures["complete"], True)
        expected = {"textbook": " ".join(["9592"] * 4), "large": " ".join(["78498"] * 4)}
        self.assertEqual([part["part"] for part in figures["comparisons"]], list(expected))
        for part in figures["comparisons"]:
            self.assertEqual(part["result"], expected[part["part"]])
            self.assertEqual([model["kind"] for model in part["models"]],
                             ["sequential", "threads", "locked_threads", "processes"])
            self.assertTrue(part["best"])
            for model in part["models"]:
                self.assertIs(model["measured"], True)
                self.assertIs(model["identical"], True)
                self.assertEqual((model["failure"], len(model["runs"])), ("", 1))
                self.assertGreater(model["wall_seconds"], 0)
                self.assertGreater(model["peak_bytes"], 0)

    def test_json_replaces_what_the_file_held(self):
        path = self.folder / "figures.json"
        path.write_text("x" * 200_000)
        self.assertEqual(run("compare", "squares", "--repeat", "1", "--json", str(path)).returncode, 0)
        self.assertEqual(json.loads(path.read_text(encoding="utf-8"))["comparisons"][0]["work"], "squares")

    def test_piped_output_has_neither_colour_nor_progress(self):
        result = run("compare", "squares", "--repeat", "1", environment={"TERM": "xterm-256color"})
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertNotIn(ESCAPE, result.stdout)
        self.assertNotIn("\r", result.stdout)
        for model in EVERY_MODEL:
            self.assertRegex(result.stdout, rf"(?m)^  {model} .* same$")

    def test_a_terminal_gets_colour_and_progress(self):
        output, status = self.on_terminal("compare", "squares", "--repeat", "1", TERM="xterm-256color", NO_COLOR="")
        self.assertEqual(status, 0)
        self.assertIn(ESCAPE + "[1m", output)
        self.assertRegex(output, r"squares \(four-loads\): \w+, run 1 of 1 · ")
        output, status = self.on_terminal("compare", "squares", "--repeat", "1", TERM="xterm-256color", NO_COLOR="1")
        self.assertEqual(status, 0)
        self.assertNotRegex(output, ESCAPE + r"\[[0-9;]*m")

    def test_the_report_is_self_contained_and_says_what_machine_this_was(self):
        report, figures = self.folder / "report.html", self.folder / "figures.json"
        result = run("compare", "squares", "--repeat", "1", "--report", str(report), "--json", str(figures))
        self.assertEqual(result.returncode, 0, result.stderr)
        page = PageReader(report.read_text(encoding="utf-8"))
        for tag, name, value in page.references:
            self.assertRegex(value, r"\A(#|data:)", f"<{tag} {name}>")
        self.assertFalse({"base", "iframe", "object", "embed"} & set(page.tags))
        for style in page.styles:
            self.assertNotIn("@import", style)
            self.assertNotRegex(style, r"url\(\s*['\"]?(?!data:)")
        self.assertTrue(page.scripts, "the charts")
        for script in page.scripts:
            self.assertNotRegex(script, r"\b(fetch|import|importScripts)\s*\(|XMLHttpRequest|WebSocket|EventSource")
            # Addresses in a licence's comment load nothing; in a string they might.
            self.assertNotRegex(script, r"""["'`](https?:)?//[\w.-]+""")
        text = " ".join(page.text)
        self.assertIn("table", page.tags)
        for model in EVERY_MODEL:
            self.assertIn(model, text)
        machine = json.loads(figures.read_text(encoding="utf-8"))["machine"]
        for key in ("cpu_model", "kernel", "system", "architecture"):
            self.assertIn(machine[key], text)

    def test_a_model_that_fails_is_named_and_the_others_are_measured(self):
        # Its calls take a tenth of a second and more, so that some are running when their worker is killed.
        process = start("compare", "primes", "--repeat", "1", "--workers", "2")
        while alive(process.pid):
            for worker in grandchildren_of(process.pid):
                try:
                    os.kill(worker, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        output, errors = finish(process)
        self.assertEqual(process.returncode, 1, errors)
        self.assertRegex(errors, r"\A(fourfold: [^\n]*processes[^\n]*\n)+\Z")
        self.assertRegex(output, r"(?m)^  sequential .* same$")
        self.assertRegex(output, r"(?m)^  processes +failed")
        self.expect_nothing_left(at_once=True)

    # How it ends early

    def expect_stopped_with_what_was_measured(self, process, figures):
        output, errors = finish(process)
        left = running_orphans()
        self.assertEqual(process.returncode, 130, errors)
        self.assertEqual(left, [], "processes are left")
        self.assertEqual(errors, "fourfold: stopped\n")
        for model in ("sequential", "threads"):
            self.assertRegex(output, rf"(?m)^  {model} .* same$")
        written = json.loads(figures.read_text(encoding="utf-8"))
        self.assertIs(written["complete"], False)
        sequential = written["comparisons"][0]["models"][0]
        self.assertIs(sequential["measured"], True)
        self.assertLess(len(sequential["runs"]), 1000)

    def test_ctrl_c_prints_what_was_measured_and_leaves_no_process(self):
        figures = self.folder / "figures.json"
        process = start(*ENDLESS, "--json", str(figures))
        wait_for_workers(process.pid)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the whole group
        self.expect_stopped_with_what_was_measured(process, figures)

    def test_sigterm_to_the_program_alone_does_the_same(self):
        figures = self.folder / "figures.json"
        process = start(*ENDLESS, "--json", str(figures))
        wait_for_workers(process.pid)
        process.send_signal(signal.SIGTERM)
        self.expect_stopped_with_what_was_measured(process, figures)

    def test_ctrl_c_does_not_print_twice_what_is_printed_already(self):
        process = start("compare", "primes", "--repeat", "2")
        first_line = process.stdout.readline().decode()  # the first part is done, the second one runs
        os.killpg(process.pid, signal.SIGINT)
        output, errors = finish(process)
        self.assertEqual((process.returncode, errors), (130, "fourfold: stopped\n"))
        self.assertIn("primes · textbook", first_line)
        self.assertNotIn("textbook", output)
        self.expect_nothing_left(at_once=True)

    def test_ctrl_c_before_anything_is_measured_leaves_no_process(self):
        process = start("compare", "fetch", "--latency", "60000")
        wait_until(lambda: children_of(process.pid), "the page server")
        os.killpg(process.pid, signal.SIGINT)
        output, errors = finish(process)
        self.assertIn(process.returncode, (130, -signal.SIGINT), errors)
        self.assertEqual(output, "")
        # In the moment before the program listens to signals, it ends by the signal and its children by that.
        self.expect_nothing_left(at_once=process.returncode == 130)

    def test_ctrl_c_typed_at_a_terminal_ends_it(self):
        def type_ctrl_c(process, terminal):
            wait_for_workers(process)
            os.write(terminal, b"\x03")

        output, status = self.on_terminal(*ENDLESS, meanwhile=type_ctrl_c, TERM="xterm", NO_COLOR="1")
        self.assertEqual(status, 130)
        self.assertRegex(output, r"(?m)^  sequential .* same\r?$")
        self.assertIn("fourfold: stopped", output)
        self.expect_nothing_left(at_once=True)

    def test_kill_9_leaves_no_process(self):
        process = start(*ENDLESS)
        wait_for_workers(process.pid)
        process.kill()
        finish(process)
        self.expect_nothing_left(at_once=False)

    def test_kill_9_leaves_no_page_server(self):
        process = start("compare", "fetch", "--latency", "60000")
        wait_until(lambda: children_of(process.pid), "the page server")
        process.kill()
        finish(process)
        self.expect_nothing_left(at_once=False)

    def test_a_reader_that_goes_away_ends_it(self):
        process = start("compare", "squares", "--repeat", "1")
        process.stdout.close()
        self.assertEqual(process.wait(timeout=LIMIT), 2)
        self.assertRegex(process.stderr.read().decode(), r"\Afourfold: [^\n]+\n\Z")
        process.stderr.close()
        self.expect_nothing_left(at_once=True)

    def on_terminal(self, *arguments, meanwhile=None, **environment):
        """Runs the program on a terminal of its own; what it wrote there, and its exit status."""
        process, terminal = pty.fork()
        if process == 0:
            try:
                os.execve(FOURFOLD, ["fourfold", *arguments], dict(os.environ, **environment))
            finally:
                os._exit(127)
        self.addCleanup(os.close, terminal)
        output = b""
        deadline = time.monotonic() + LIMIT
        if meanwhile:
            meanwhile(process, terminal)
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 0.1)[0]:
                continue
            try:
                more = os.read(terminal, 65536)
            except OSError as error:  # EIO: the last process that had the terminal has ended
                if error.errno != errno.EIO:
                    raise
                break
            output += more
        else:
            os.kill(process, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        return output.decode(errors="replace"), status


if __name__ == "__main__":
    unittest.main()
