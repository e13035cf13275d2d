"""Which keys a config may be given: those that it has, and the arguments of its classes."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import mmengine.registry
from mmengine.registry import Registry
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from htcl.errors import InvalidValueError

# Keys that mmengine takes out of a dict before it calls the class, by registry.
_TAKEN_OUT = {
    "hook": {"priority"},
    "parameter scheduler": {"convert_to_iter_based"},
    "optim_wrapper": {"constructor", "paramwise_cfg"},
}
# Keys at the top that only parts of mmengine, or a launcher, read.
_READ_ELSEWHERE = {
    "runner_type", "custom_imports", "find_unused_parameters", "model_wrapper_cfg", "sync_bn",
    "compile",
}  # fmt: skip
# Dicts without a type whose keys are the user's own.
_OPEN = (
    "default_hooks", "optim_wrapper.paramwise_cfg.custom_keys", "env_cfg.dist_cfg", "compile",
    "specification", "specification.*",
)  # fmt: skip
# Names of facts that parts of a model once took on their own -> the one place that says them now.
_OF_SPECIFICATION = ("num_classes", "class_names", "point_cloud_range", "grid_size", "ignore_index")
_SAID_ONCE = {**dict.fromkeys(_OF_SPECIFICATION, "specification"), "input_size": "input_size"}


def find(tree: Any, key: str) -> tuple[Any, list[str]]:
    """Follows a dotted key through nested dicts and lists.

    Returns:
        The value where the way ends, and the segments that are left then: none if the key exists.
    """
    segments = key.split(".")
    for depth, segment in enumerate(segments):
        if hasattr(tree, "keys") and segment in tree:
            tree = tree[segment]
        elif isinstance(tree, list | tuple) and segment.isdecimal() and int(segment) < len(tree):
            tree = tree[int(segment)]
        else:
            return tree, segments[depth:]
    return tree, []


def closest(known: Any, name: str) -> str:
    """The name in a dict or set that is most like ``name``; empty if none is like it."""
    names = list(known) if isinstance(known, Mapping | set) else []
    return next(iter(difflib.get_close_matches(name, names, n=1)), "")


def check_new_key(cfg: Any, key: str) -> None:
    """Checks that an override has an effect.

    A key that exists may be overridden. A new one must be an argument of the class that the dict's
    ``type`` names, or be read by mmengine.

    Raises:
        InvalidValueError: If nothing would read the key.
    """
    found, rest = find(cfg, key)
    if not rest or rest[0] in ("type", "_delete_"):
        return
    place = key.split(".")[: -len(rest)]
    path, name = ".".join(place), rest[0]
    whole = ".".join([*place, name])
    start = f"config key {key!r} does not exist: "
    if found is None:
        raise InvalidValueError(f"{start}{path} is None; give {path}.type first")
    if isinstance(found, list | tuple):
        raise InvalidValueError(
            f"{start}{path} is a {type(found).__name__} with the indices 0 to {len(found) - 1}"
        )
    if not hasattr(found, "keys"):
        raise InvalidValueError(f"{start}{path} is the value {found!r} and has no keys")
    known = _readable_keys(found, path)
    if known is None:
        return
    if name in known:
        if len(rest) == 1 or rest[1] == "type" or any(p.startswith(whole) for p in _OPEN):
            return
        raise InvalidValueError(f"{start}give {whole}.type first")
    owner = f"{path} ({found['type']})" if "type" in found else path or "the config"
    message = f"{start}{owner} has no {name!r}"
    likely = closest(known, name)
    if name in _SAID_ONCE:
        message += f"; it follows from the key {_SAID_ONCE[name]!r} of the data set"
    elif likely:
        message += f"; did you mean {'.'.join([*place, likely])!r}?"
    else:
        message += f"; there are {', '.join(sorted(known)[:30])}"
    raise InvalidValueError(message)


def _readable_keys(part: Any, path: str) -> set[str] | None:
    """Keys of a dict that something reads, whether they are there or not; None for any."""
    known = set(part.keys())
    if "type" in part:
        found = list(constructors(part["type"], path))
        for registry, constructor in found:
            known |= arguments(constructor) | _TAKEN_OUT.get(registry, set())
        # Unknown classes are reported where they are built.
        return known if found else None
    if any(fnmatchcase(path, pattern) for pattern in _OPEN):
        return None
    if path.endswith("_dataloader"):
        known |= arguments(DataLoader) | {"num_batch_per_epoch"}
    if not path:
        known |= arguments(Runner.__init__) | _READ_ELSEWHERE
    return known


def constructors(name: Any, path: str) -> Iterable[tuple[str, Callable[..., Any]]]:
    """Registry's name and class of everything that is registered under a name."""
    if not isinstance(name, str):
        yield "", name
        return
    scope, _, bare = name.rpartition(".")
    if scope and path.startswith("model"):
        # Other libraries register their classes when the first one is looked up.
        mmengine.registry.MODELS.get(name)
    roots = [entry for entry in vars(mmengine.registry).values() if isinstance(entry, Registry)]
    while roots:
        registry = roots.pop()
        roots += registry.children.values()
        if bare in registry.module_dict:
            yield registry.name, registry.module_dict[bare]


def arguments(function: Callable[..., Any]) -> set[str]:
    """Names that a function or a constructor takes, through ``**kwargs`` to the base classes."""
    chain = [function]
    if inspect.isclass(function):
        chain = [vars(cls)["__init__"] for cls in function.__mro__ if "__init__" in vars(cls)]
    names: set[str] = set()
    for step in chain:
        parameters = inspect.signature(step).parameters.values()
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        names |= {entry.name for entry in parameters if entry.kind in named}
        if not any(entry.kind is inspect.Parameter.VAR_KEYWORD for entry in parameters):
            break
    return names - {"self"}
