"""Mistakes of a user: what the tools report in one line, in place of a traceback."""

from __future__ import annotations

from collections.abc import Sequence


class UserError(Exception):
    """Something that the user can mend: a file, a config key, an argument.

    Its message names the file or key, the value found, what was expected and what to do. The tools
    catch this class and no other, so that a fault of the program keeps its traceback.
    """


class InvalidValueError(UserError, ValueError):
    """A file's content, a config's value or an argument is not what it must be."""


class MissingFileError(UserError, FileNotFoundError):
    """A file or folder that is needed does not exist."""


class NonFiniteError(UserError, ArithmeticError):
    """Numbers of the network are NaN or infinite: a training that diverged, damaged weights."""


def listed(lines: Sequence[object], limit: int = 20) -> str:
    """The first of many lines for the end of a message, and how many more there are."""
    more = [f"... and {len(lines) - limit} more"] if len(lines) > limit else []
    return "".join(f"\n  {line}" for line in [*lines[:limit], *more])


def check_choice(key: str, value: str, choices: Sequence[str]) -> None:
    """Raises InvalidValueError if the value of a config key is none of its choices."""
    if value not in choices:
        raise InvalidValueError(f"{key}={value!r} is unknown: choose one of {tuple(choices)}")
