"""Reading config files: overrides that must exist, references, and errors that name the file.

A value that is the text ``"${a.b.c}"`` stands for the value at that key. References are resolved
last, after all files and ``--cfg-options`` are merged, so that a fact said once at the top of a
file can be changed from outside and everything that refers to it follows.
"""

from __future__ import annotations

import argparse
import re
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.logging import MMLogger
from mmengine.utils import import_modules_from_strings

from htcl.config_keys import check_new_key, closest, find
from htcl.errors import InvalidValueError, MissingFileError
from htcl.shipped import find_file

_REFERENCE = re.compile(r"\$\{([^{}]+)\}")


def load_config(
    path: str | Path, cfg_options: Sequence[str] | Mapping[str, Any] | None = None
) -> Config:
    """Reads a config file, applies overrides and resolves references.

    Args:
        path: A Python config; a shipped one is found from any folder.
        cfg_options: Overrides: the words ``KEY=VALUE`` of ``--cfg-options``, or values by key.

    Raises:
        MissingFileError: If the file does not exist.
        InvalidValueError: If the file or one of its bases cannot be read, a reference leads nowhere
            or in a circle, or an override names a key that does not exist.
    """
    path = find_file(path)
    if not path.is_file():
        raise MissingFileError(
            f"config {str(path)!r} does not exist; the shipped ones lie in "
            "projects/configs/occupancy/{semantickitti,kitti360,mini}"
        )
    cfg = _read(path)
    if cfg.get("custom_imports"):
        # Registers the classes by whose arguments new keys are checked.
        import_modules_from_strings(**cfg.custom_imports)
    options = parse_options(cfg_options or {})
    # Types first: they decide which keys beside them there are.
    for key in sorted(options, key=lambda key: not key.endswith(".type")):
        # What a reference stands for can be overridden in one place alone, but only afterwards.
        if not find(cfg, key)[1]:
            _override(cfg, key, options.pop(key))
    cfg = _resolve(cfg)
    for key in sorted(options, key=lambda key: not key.endswith(".type")):
        check_new_key(cfg, key)
        _override(cfg, key, options[key])
    return _resolve(cfg)


def _override(cfg: Config, key: str, value: Any) -> None:
    segments = key.split(".")
    for depth in range(1, len(segments)):
        parent = ".".join(segments[:depth])
        found = find(cfg, parent)[0]
        if isinstance(found, tuple):
            raise InvalidValueError(f"config key {key!r}: {parent} is a tuple; give it as a whole")
        if found is None:
            cfg.merge_from_dict({parent: {"_delete_": True}})
    cfg.merge_from_dict({key: value})


def parse_options(words: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted key of ``KEY=VALUE`` words, read by the rules of mmengine."""
    if isinstance(words, Mapping):
        return dict(words)
    found = argparse.Namespace(options={})
    action = DictAction(option_strings=[], dest="options")
    try:
        action(argparse.ArgumentParser(), found, words)
    except AssertionError as error:
        raise InvalidValueError(f"--cfg-options: {error}") from error
    return found.options


def _read(path: str | Path) -> Config:
    """Reads a config with its bases; whatever goes wrong there is the file's fault."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    # mmengine reports every environment variable of every file; the config has their values.
    logger.setLevel("WARNING")
    try:
        return Config.fromfile(str(path), import_custom_modules=False)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        files, line = _files_read(error.__traceback__)
        if isinstance(error, RecursionError):
            reason = "the bases lead back to " + " -> ".join(dict.fromkeys(map(str, files)))
        elif isinstance(error, FileNotFoundError) and files and not files[-1].exists():
            reason = "the file does not exist"
        elif isinstance(error, SyntaxError):
            reason, line = f"syntax error: {error.msg}", error.lineno
        elif isinstance(error, NameError):
            reason = str(error)
        place = f"config {str(path)!r}"
        if files and files[-1] != Path(path).resolve() and not isinstance(error, RecursionError):
            place += f": base {str(files[-1])!r}"
        raise InvalidValueError(f"{place}{f', line {line}' if line else ''}: {reason}") from error
    finally:
        logger.setLevel(level)


def _files_read(trace: TracebackType | None) -> tuple[list[Path], int | None]:
    """The files that mmengine was reading when it failed, and the line that it had reached."""
    files, line = [], None
    for frame, number in traceback.walk_tb(trace):
        if frame.f_code.co_name == "_file2dict":
            files.append(Path(frame.f_locals["filename"]).resolve())
        elif files and frame.f_code.co_filename == str(files[-1]):
            line = number
    return files, line


def _resolve(cfg: Config) -> Config:
    """Puts values in the place of references."""
    tree = cfg.to_dict()

    def value_at(key: str, path: tuple[str, ...]) -> Any:
        if key in path:
            raise InvalidValueError(
                f"config {cfg.filename!r}: circular reference {' -> '.join([*path, key])}"
            )
        found, rest = find(tree, key)
        # The way may lead through another reference.
        while rest and isinstance(found, str) and (match := _REFERENCE.fullmatch(found)):
            found, rest = find(value_at(match[1], (*path, key)), ".".join(rest))
        if rest:
            message = f"config {cfg.filename!r}: the reference ${{{key}}} leads nowhere"
            if likely := closest(found, rest[0]):
                known = ".".join([*key.split(".")[: -len(rest)], likely])
                message += f"; did you mean ${{{known}}}?"
            raise InvalidValueError(message)
        return replaced(found, (*path, key))

    def replaced(value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, dict):
            return {key: replaced(entry, path) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(replaced(entry, path) for entry in value)
        if isinstance(value, str) and "${" in value:
            match = _REFERENCE.fullmatch(value)
            if match is None:
                raise InvalidValueError(
                    f"config {cfg.filename!r}: {value!r} is text around a reference; a reference "
                    "must be a whole value"
                )
            return value_at(match[1], path)
        return value

    return Config(replaced(tree, ()), cfg_text=cfg.text, filename=cfg.filename)
