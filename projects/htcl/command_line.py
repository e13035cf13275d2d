"""What all command-line tools share: arguments, exit codes, a user's mistakes in one line.

Exit codes: 0 done, 1 failed, 2 misuse of the command line, 130 stopped by Ctrl-C. Nothing heavy is
imported here, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import errno
import math
import os
import sys
import time
import traceback
from collections.abc import Callable

from htcl.errors import UserError

# What the operating system refuses for reasons outside the program: rights, space, wrong kind.
_REFUSALS = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO,
    errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG,
}  # fmt: skip

# How PyTorch says that a process of a data loader died.
_DEAD_WORKER = "DataLoader worker (pid"

PRECISIONS = ("auto", "fp32", "fp16", "bf16")


def tool_parser(text: str | None) -> argparse.ArgumentParser:
    """A parser that shows ``text``, a tool's docstring with its examples, as it stands."""
    return argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_cfg_options(parser: argparse.ArgumentParser, example: str) -> None:
    """Adds ``--cfg-options``, words for :func:`htcl.config.load_config`, with a tool's example."""
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action="extend",
        type=_assignment,
        default=[],
        metavar="KEY=VALUE",
        help=f"overrides of config keys, e.g. {example}",
    )


def add_precision(parser: argparse.ArgumentParser) -> None:
    """Adds ``--precision``, words for :class:`htcl.engine.predictor.Predictor`."""
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="numbers inside the network (default: auto, fp16 on a GPU and fp32 on a CPU); what "
        "leaves fp16's range is predicted again in fp32",
    )


def _assignment(word: str) -> str:
    if not word.partition("=")[0].strip() or "=" not in word:
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, got {word!r}")
    return word


def count(word: str) -> int:
    """Argument type: a whole number from 1 on."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {word!r}")
    return int(word)


def positive(word: str) -> float:
    """Argument type: a number above 0."""
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {word!r}")
    return value


def run_tool(
    name: str, function: Callable[[argparse.Namespace], int | None], args: argparse.Namespace
) -> int:
    """Runs a tool and turns a user's mistakes into one line; faults of the program pass.

    Args:
        name: What the line begins with.
        function: The tool's work; it returns the exit status, None is 0.
        args: Its arguments.
    """
    try:
        return _run_to_the_end(function, args) or 0
    except UserError as error:
        # A data loader's process wraps what it raised in the text of a traceback.
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        message = str(error).rpartition(f"\n{kind}: ")[2].rstrip()
    except KeyboardInterrupt:
        print(f"\n{name}: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has seen enough; nothing may be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        message = f"{error.filename or 'output'}: {error.strerror}"
    except RuntimeError as error:
        if not str(error).startswith(_DEAD_WORKER):
            raise
        message = (
            f"a process that loads samples is gone ({str(error).strip()}). Most often memory ran "
            "out: fewer of them (num_workers) need less. A training goes on with --resume"
        )
    print(f"{name}: {message}", file=sys.stderr)
    return 1


def _run_to_the_end(
    function: Callable[[argparse.Namespace], int | None], args: argparse.Namespace
) -> int | None:
    """Calls ``function``; a connection that a dead process left behind is PyTorch's dead worker.

    The connection to a data loader's process can be gone before the system reports the process's
    end, so that the reader sees a reset, a refusal or an end of file where PyTorch, a moment later,
    raises RuntimeError from the signal's handler.
    """
    try:
        return function(args)
    except (ConnectionError, FileNotFoundError, EOFError) as error:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if not frame.f_globals.get("__name__", "").startswith("multiprocessing."):
            raise
        time.sleep(0.5)  # the signal ends it
        raise RuntimeError(f"{_DEAD_WORKER} unknown) is gone: {error}") from error
