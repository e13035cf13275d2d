from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import time
from multiprocessing.connection import Client, Listener

import pytest
from torch.utils.data import DataLoader

from htcl.command_line import add_cfg_options, count, positive, run_tool, tool_parser
from htcl.commands import COMMANDS
from htcl.errors import InvalidValueError, MissingFileError

# A generous second for a slow machine; an import of torch alone takes longer.
HELP_SECONDS = 2.0


def run(function):
    return run_tool("tool", function, argparse.Namespace())


def raising(error):
    def function(args):
        raise error

    return function


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InvalidValueError("size=0: expected 1 or more"), "tool: size=0: expected 1 or more\n"),
        (MissingFileError("no 'a.pth'"), "tool: no 'a.pth'\n"),
    ],
)
def test_a_users_mistake_is_one_line(error, said, capsys):
    assert run(raising(error)) == 1
    assert capsys.readouterr().err == said


def test_a_killed_data_loader_is_one_line(capsys):
    def load(args):
        loader = DataLoader(range(100), num_workers=1)
        for _ in loader:
            multiprocessing.active_children()[0].kill()

    assert run(load) == 1
    # Python itself may add that it ignored the signal's exception in a destructor.
    *_, said = capsys.readouterr().err.splitlines()
    assert said.startswith("tool: a process that loads samples is gone (DataLoader worker (pid")


def read_from_the_dead(_):
    ours, theirs = multiprocessing.Pipe()
    theirs.close()
    ours.recv()


def write_to_the_dead(_):
    ours, theirs = multiprocessing.Pipe()
    theirs.close()
    ours.send("word")


def call_the_dead(_):
    with Listener() as listener:
        address = listener.address
    Client(address)


@pytest.mark.parametrize("use", [read_from_the_dead, write_to_the_dead, call_the_dead])
def test_a_connection_to_a_dead_process_is_one_line(use, capsys):
    """What a killed data loader leaves until the system reports its end."""
    assert run(use) == 1
    said = capsys.readouterr().err
    assert said.startswith("tool: a process that loads samples is gone (DataLoader worker (pid")
    assert said.count("\n") == 1


FAULTS = [
    ConnectionResetError("x"),
    EOFError("x"),
    ValueError("x"),
    KeyError("x"),
    TypeError("x"),
    OSError("x"),
    RuntimeError("x"),
]


@pytest.mark.parametrize("error", FAULTS)
def test_a_fault_of_the_program_keeps_its_traceback(error):
    with pytest.raises(type(error)):
        run(raising(error))


def test_a_refusal_of_the_system_is_one_line(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert run(lambda args: (tmp_path / "file" / "folder").mkdir()) == 1
    said = capsys.readouterr().err
    assert said == f"tool: {tmp_path / 'file' / 'folder'}: Not a directory\n"


def test_status():
    assert run(lambda args: None) == 0
    assert run(lambda args: 3) == 3
    assert run(raising(KeyboardInterrupt())) == 130


def test_a_reader_that_stops_reading(repo_root):
    """What `tool | head -1` does."""
    program = (
        "import sys; from htcl.command_line import run_tool\n"
        "def talk(args):\n    while True: print('word' * 999)\n"
        "sys.exit(run_tool('tool', talk, None))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 1


class TestTypes:
    @pytest.mark.parametrize("word", ["0", "-1", "1.5", "two", ""])
    def test_count(self, word):
        assert count("12") == 12
        with pytest.raises(argparse.ArgumentTypeError, match=f"from 1 on, got {word!r}"):
            count(word)

    @pytest.mark.parametrize("word", ["0", "-0.5", "nan", "inf", "two"])
    def test_positive(self, word):
        assert positive("0.25") == 0.25
        with pytest.raises(argparse.ArgumentTypeError, match=f"above 0, got {word!r}"):
            positive(word)


class TestCfgOptions:
    @pytest.fixture
    def parser(self):
        parser = tool_parser("A tool.\n\nExample:\n  tool x")
        add_cfg_options(parser, "a.b=1")
        return parser

    def test_words_of_all_occurrences(self, parser):
        args = parser.parse_args(["--cfg-options", "a=1", "b.c=x=y", "--cfg-options", "d="])
        assert args.cfg_options == ["a=1", "b.c=x=y", "d="]
        assert parser.parse_args([]).cfg_options == []

    @pytest.mark.parametrize("word", ["foo", "=1", " =1"])
    def test_misuse(self, parser, word, capsys):
        with pytest.raises(SystemExit, match="2"):
            parser.parse_args(["--cfg-options", word])
        assert f"expected KEY=VALUE, got {word!r}" in capsys.readouterr().err

    def test_help_keeps_the_lines_of_the_docstring(self, parser):
        assert "Example:\n  tool x" in parser.format_help()
        assert "e.g. a.b=1" in parser.format_help()


TOOLS = [module.replace(".", "/") for module in COMMANDS.values()]


def test_every_tool_is_listed(repo_root):
    found = {path.relative_to(repo_root / "tools") for path in repo_root.glob("tools/**/*.py")}
    names = {path.with_suffix("").as_posix() for path in found if path.name != "__init__.py"}
    assert names == set(TOOLS)


@pytest.mark.parametrize("tool", TOOLS)
def test_help_answers_at_once(tool, repo_root):
    """The best of a few: other processes may have the machine at the moment."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, f"tools/{tool}.py", "--help"],
            cwd=repo_root, env={**os.environ, "COLUMNS": "100"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        seconds.append(time.perf_counter() - start)
        assert done.returncode == 0, done.stderr
        assert "xample" in done.stdout
        if seconds[-1] < HELP_SECONDS:
            return
    pytest.fail(f"--help took {min(seconds):.1f} s; what does {tool}.py import at the top?")
