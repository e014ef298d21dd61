"""The harness itself, with programs that only print: /usr/bin/python3 -m unittest bench/harness/test_harness.py"""

import io
import json
import os
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness import programs, questions, report, rounds  # noqa: E402

PYTHON = "/usr/bin/python3"


class HarnessTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def program(self, name, script):
        path = self.folder / name
        path.write_text("#!/bin/sh\n" + script + "\n", encoding="utf-8")
        path.chmod(0o755)

    def sided(self, *names, aims=()):
        sides = tuple(questions.Side(name, name) for name in names)
        figure = questions.Figure("B99", "ns", "a question", "ns", questions.LOWER, aims, limit=1.0)
        return questions.Measurement(sides, (figure,))

    def measure(self, measurement, count=3):
        runner = programs.Programs([self.folder], PYTHON, [0])
        progress = rounds.Progress([measurement], count, stream=io.StringIO())
        return rounds.measure(measurement, count, runner, progress)

    def test_sides_run_in_turn(self):
        log = self.folder / "log"
        for name in ("fourfold", "peer"):
            self.program(name, f'echo {name} >> {log}; echo \'{{"ns": 1}}\'')
        self.measure(self.sided("fourfold", "peer"))
        self.assertEqual(log.read_text(encoding="utf-8").split(), ["fourfold", "peer"] * 3)

    def test_entry_has_the_fields_of_the_specification(self):
        self.program("fourfold", "echo '{\"ns\": 2}'")
        self.program("peer", "echo '{\"ns\": 8}'")
        result = self.measure(self.sided("fourfold", "peer", aims=(questions.times_faster(3, "peer", ["peer"]),)))
        report.write_json(self.folder / "results.json", [result], [0])
        (entry,) = json.loads((self.folder / "results.json").read_text(encoding="utf-8"))
        expected = {"name": "B99", "unit": "ns", "better": "lower", "fourfold": 2.0, "peers": {"peer": 8.0}, "limit": 1.0,
                    "cpus": 1, "runs": 3, "mad": 0.0}  # fmt: skip
        self.assertEqual({key: entry[key] for key in expected}, expected)
        self.assertTrue(entry["aim_reached"])

    def test_a_figure_that_is_not_reached_is_printed_as_such(self):
        self.program("fourfold", "echo '{\"ns\": 2}'")
        self.program("peer", "echo '{\"ns\": 8}'")
        aims = (questions.times_faster(3, "peer", ["peer"]), questions.at_most(1, "ns"))
        text = report.table([self.measure(self.sided("fourfold", "peer", aims=aims))], [0])
        self.assertIn("no, 1 of 2", text)
        self.assertIn("4 ×", text)

    def test_a_side_that_fails_is_named_and_the_others_go_on(self):
        self.program("fourfold", "echo '{\"ns\": 2}'")
        self.program("peer", "echo out of luck >&2; exit 3")
        result = self.measure(self.sided("fourfold", "peer"))
        self.assertEqual(result.failures, {"peer": "peer failed (exit status 3): out of luck"})
        self.assertEqual(result.runs("fourfold"), 3)
        self.assertIn("failed", report.table([result], [0]))

    def test_what_is_not_there_is_told_before_the_first_run(self):
        runner = programs.Programs([self.folder], PYTHON, [0])
        side = questions.Side("peer", "nothing", needs=("no_such_module",))
        with self.assertRaisesRegex(programs.Failure, "(?s)nothing has not been built.*no_such_module"):
            runner.check([side])

    def test_leaves_no_process_behind(self):
        note = self.folder / "pid"
        self.program("fourfold", f"sleep 300 >/dev/null 2>&1 & echo $! > {note}; echo '{{\"ns\": 2}}'")
        self.measure(self.sided("fourfold"), 1)
        pid = int(note.read_text(encoding="utf-8"))
        with self.assertRaises(ProcessLookupError):
            os.kill(pid, 0)

    def test_slow_sides_take_part_in_fewer_rounds(self):
        self.program("fourfold", "echo '{\"ns\": 2}'")
        self.program("peer", "sleep 0.05; echo '{\"ns\": 2}'")
        usual = rounds.SLOW
        rounds.SLOW = 0.04
        self.addCleanup(setattr, rounds, "SLOW", usual)
        result = self.measure(self.sided("fourfold", "peer"), 5)
        self.assertEqual(result.runs("peer"), rounds.SLOW_ROUNDS)

    def test_median_absolute_deviation(self):
        self.assertEqual(rounds.median_and_deviation([1, 2, 3, 4, 100]), (3, 1))

    def test_selection_by_id_part_and_figure(self):
        names = lambda only: [one.name for one in questions.selected(only)]
        self.assertEqual(names(["B01"]), ["B01"])
        self.assertEqual(names(["B10.across"]), ["B10.across.p50"])
        self.assertEqual(names(["B11.map"]), ["B11.submits"])
        with self.assertRaises(KeyError):
            questions.selected(["B1"])

    def test_a_server_is_handed_to_the_program_that_measures_it(self):
        self.program("load", 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"')
        self.program("server", 'echo "{\\"ns\\": $2$MODE}"')
        side = questions.Side("fourfold", "load", server=("server", "--value", "4"), environment=(("MODE", "2"),))
        figure = questions.Figure("B99", "ns", "a question", "ns", questions.LOWER)
        result = self.measure(questions.Measurement((side,), (figure,)), 1)
        self.assertEqual(result.median(figure, "fourfold"), (42, 0))

    def test_a_server_that_is_not_there_is_told_before_the_first_run(self):
        self.program("load", "true")
        runner = programs.Programs([self.folder], PYTHON, [0])
        with self.assertRaisesRegex(programs.Failure, "nothing has not been built"):
            runner.check([questions.Side("peer", "load", server=("nothing",))])

    def test_another_mode_of_fourfold_is_no_peer(self):
        self.program("fourfold", "echo '{\"ns\": 2}'")
        mode = questions.Side("fourfold slow", "fourfold", variant=True)
        figure = questions.Figure("B99", "ns", "a question", "ns", questions.LOWER)
        result = self.measure(questions.Measurement((questions.ours("fourfold"), mode), (figure,)), 1)
        (entry,) = report.entries([result], [0])
        self.assertEqual(entry["peers"], {})
        self.assertEqual(entry["variants"], {"fourfold slow": 2.0})

    def test_every_python_peer_is_there(self):
        programs_of = lambda side: (side.program, *side.server[:1])
        named = {name for one in questions.ALL for side in one.sides for name in programs_of(side)}
        scripts = {name for name in named if name.endswith(".py")}
        self.assertEqual([name for name in scripts if not (programs.PEERS / name).is_file()], [])


if __name__ == "__main__":
    unittest.main()
