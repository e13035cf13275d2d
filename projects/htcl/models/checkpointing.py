"""Activation checkpointing of chosen modules, from outside of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from htcl.errors import InvalidValueError


def checkpoint_modules(model: nn.Module, patterns: Sequence[str]) -> None:
    """Lets modules compute their activations again in the backward pass instead of storing them.

    Only a training does so. Numbers, names of weights and classes (for ``isinstance``) stay as
    they are; copies of the model do the same.

    The patterns are dotted paths from ``model`` on, each segment a shell pattern (``*``, ``?``,
    ``[1-5]``) for one segment: ``voxel_encoder.stages.*.*`` are all blocks of all stages.

    Raises:
        InvalidValueError: If a pattern matches no module that is called.
    """
    # Lists and dictionaries of modules are never called themselves.
    modules = {
        name: module
        for name, module in model.named_modules()
        if not isinstance(module, nn.ModuleList | nn.ModuleDict)
    }
    for pattern in patterns:
        matched = [module for name, module in modules.items() if _matches(name, pattern)]
        if not matched:
            near = difflib.get_close_matches(pattern, modules, n=3, cutoff=0.4)
            raise InvalidValueError(
                f"model.checkpointing: {pattern!r} matches no module that is called; give paths "
                f"like {near or list(modules)[1:4]}, segment by segment"
            )
        for module in matched:
            if not isinstance(module, _Recomputing):
                module.__class__ = _recomputing(type(module))


class _Recomputing(nn.Module):
    """Goes in front of a module's own class."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if not (self.training and torch.is_grad_enabled()):
            return super().forward(*args, **kwargs)
        # A plain checkpoint moves the running statistics of every batch norm twice a step.
        kwargs |= {"context_fn": lambda: (nullcontext(), _frozen_statistics(self))}
        # Reading a GPU's random state waits for the GPU.
        kwargs["preserve_rng_state"] = any(map(_is_random, self.modules()))
        return checkpoint(super().forward, *args, use_reentrant=False, **kwargs)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickles by the module's own class, since the subclass has no name to be found under."""
        own = type(self).__mro__[2]
        return _restore, (own,), self.__getstate__()


def _recomputing(own: type[nn.Module]) -> type[nn.Module]:
    """The subclass of a module's class that recomputes."""
    return type(own.__name__, (_Recomputing, own), {"__module__": own.__module__})


def _restore(own: type[nn.Module]) -> nn.Module:
    cls = _recomputing(own)
    return cls.__new__(cls)


def _is_random(module: nn.Module) -> bool:
    """Whether a module draws random numbers: by its class's name, dropout of any library."""
    rate = getattr(module, "p", getattr(module, "drop_prob", None))
    return "Drop" in type(module).__name__ and rate != 0


def _matches(name: str, pattern: str) -> bool:
    segments, parts = name.split("."), pattern.split(".")
    return len(segments) == len(parts) and all(map(fnmatchcase, segments, parts))


@contextmanager
def _frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Stops the batch norms of ``module`` from updating their running statistics."""
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.training]
    saved = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm, (_, count) in zip(norms, saved, strict=True):
        norm.momentum = 0.0
        norm.num_batches_tracked = None if count is None else count.clone()
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, saved, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
