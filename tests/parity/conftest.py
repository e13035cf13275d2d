"""Fixtures of the parity tests: numbers that the released network computed, and the rule that
regenerates its weights.

`tests/data/parity/README.md` says what each file holds and how the weights follow from the released
parameter names.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from htcl.checkpoint.key_rules import KeyRenamer, KeyRule

PARITY_DIR = Path(__file__).resolve().parents[1] / "data" / "parity"
CONSTANTS = {"dx", "bx", "nx", "frustum", "id_coords", "ones", "pix_coords"}


def released_value(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The weight that the fixtures' rule gives to the released entry ``name``."""
    leaf = name.rsplit(".", 1)[-1]
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf == "alpha":
        return np.full(shape, 0.5, np.float32)
    values = rng.standard_normal(shape)
    if leaf == "running_var":
        values = 1 + 0.1 * np.abs(values)
    elif leaf in ("running_mean", "bias"):
        values = 0.1 * values
    elif leaf == "weight" and len(shape) == 1:
        values = 1 + 0.1 * values
    elif leaf == "weight":
        values = values * np.sqrt(2.0 / np.prod(shape[1:]))
        if ".se." in name:
            values = values * 0.25
    return values.astype(np.float32)


@pytest.fixture(scope="session")
def load_fixture() -> Callable[[str], SimpleNamespace]:
    """Returns a reader of one parity file: tensors as attributes, ``meta`` as a dict."""

    def load(stem: str) -> SimpleNamespace:
        with np.load(PARITY_DIR / f"{stem}.npz") as file:
            entries = {k: torch.from_numpy(file[k]) for k in file.files if k != "meta"}
            return SimpleNamespace(meta=json.loads(file["meta"].item()), **entries)

    return load


@pytest.fixture(scope="session")
def released_weight() -> Callable[[str, tuple[int, ...]], np.ndarray]:
    """Returns :func:`released_value`, for tests."""
    return released_value


@pytest.fixture(scope="session")
def load_manifest() -> Callable[[], list[list]]:
    """Returns a reader of every entry of a released checkpoint: name, shape, dtype, kind, whether
    it is trainable."""

    def load() -> list[list]:
        return json.loads((PARITY_DIR / "checkpoint_manifest.json").read_text())["entries"]

    return load


@pytest.fixture(scope="session")
def load_released_weights() -> Callable[..., None]:
    """Returns ``load(module, meta, released_root, our_root, rules)`` that fills a component with
    the rule's weights.

    ``released_root`` and ``our_root`` are the dotted prefixes under which the component lives in
    the released and in our full model ('' for none), so that the same full-name rules serve these
    tests and the checkpoint converter. Missing and unexpected keys fail.
    """

    def load(
        module: nn.Module,
        meta: dict,
        released_root: str,
        our_root: str,
        rules: list[KeyRule],
        overrides: dict[str, Tensor] | None = None,
    ) -> None:
        renamer = KeyRenamer(rules)
        state: dict[str, Tensor] = {}
        for name, shape in meta["state"]:
            if name.rsplit(".", 1)[-1] in CONSTANTS:
                continue
            value = torch.from_numpy(released_value(name, tuple(shape)))
            if overrides and name in overrides:
                value = overrides[name]
            full = f"{released_root}.{name}" if released_root else name
            ours = renamer(full)
            if ours is None:
                raise AssertionError(f"no rule renames {full}")
            prefix = f"{our_root}." if our_root else ""
            assert ours.startswith(prefix), f"{full} -> {ours} lies outside {prefix}"
            state[ours[len(prefix) :]] = value
        module.load_state_dict(state, strict=True)
        module.eval()

    return load


def relative_l2(actual: Tensor, expected: Tensor) -> float:
    """||actual - expected|| / ||expected||, in float64."""
    actual, expected = actual.detach().double(), expected.detach().double()
    return float((actual - expected).norm() / expected.norm())


@pytest.fixture(scope="session")
def assert_parity() -> Callable[..., None]:
    """Returns ``check(actual, expected, bound=1e-5)`` on the relative L2 error."""

    def check(actual: Tensor, expected: Tensor, bound: float = 1e-5) -> None:
        assert tuple(actual.shape) == tuple(expected.shape)
        error = relative_l2(actual, expected)
        assert error <= bound, f"relative L2 error {error:.2e} > {bound:.0e}"

    return check
