"""A network as a program that runs without this package: ``torch.export`` and ONNX.

Shape letters: B batch, N camera, T frame, H W network image, h w feature map, X Y Z voxel.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from htcl.errors import InvalidValueError, MissingFileError
from htcl.files import atomic_write
from htcl.geometry import Camera
from htcl.models.fast_layers import fold_batch_norms
from htcl.models.htcl import HTCL
from htcl.ops import gpu_operators, standard_operators

ExportFormat = Literal["torch", "onnx"]
OUTPUTS = ("semantics", "score", "depth")
# Prefix of the calibration of each rig among the inputs of a program.
_RIGS = {"cameras": "", "history_cameras": "history_"}
_CALIBRATION = ("intrinsics", "reference_from_camera", "image_transform")
# Of all voxels, those that may get another class by rounding.
_FLIPS = 1e-4
# The lowest with 3D resizing, sampling and additions to places as the programs need them.
_OPSET = 20


@dataclass(frozen=True)
class Deviation:
    """How far an exported program is from the network.

    Attributes:
        voxels: Share of the voxels that have another class.
        score: Largest difference of the scores of voxels.
        depth: Largest difference of the depths, metres; a step of the bins where rounding decides
            between two as probable.
    """

    voxels: float
    score: float
    depth: float


class ExportableNetwork(nn.Module):
    """A network whose inputs and outputs are tensors by name.

    Batch norms are folded in place. Images are grey values 0..255 (uint8) at the network's size:
    ``images`` and ``right`` (B, N, 3, H, W), ``history`` and ``history_right``
    (B, T-1, N, 3, H, W). ``current_from_history`` is (B, T-1, N, 4, 4), ``focal_baseline`` (B, N).
    The calibration is ``intrinsics`` and ``reference_from_camera`` (B, N, 4, 4) and
    ``image_transform`` (B, N, 3, 3), see :class:`~htcl.geometry.Camera`; with the prefix
    ``history_`` where the history is resized otherwise than the present. Which inputs there are
    depends on the network. The outputs:

    * ``semantics`` (B, X, Y, Z) uint8, the class of each voxel;
    * ``score`` (B, X, Y, Z) float32, its logit;
    * ``depth`` (B, N, h, w) float32, the most probable depth of each cell, metres.

    Args:
        network: The network, with its weights.
        sample: Inputs of a sample before the data preprocessor, no more than the network requires:
            says the cameras' image size and pixel rule, which become constants.
    """

    def __init__(self, network: HTCL, sample: Mapping[str, Any]) -> None:
        super().__init__()
        fold_batch_norms(network.eval())
        self.network = network.requires_grad_(False)
        self._rigs = {key: sample[key] for key in _RIGS if key in sample}

    def inputs(self, sample: Mapping[str, Any]) -> dict[str, Tensor]:
        """The inputs of a sample (without B) as those of the program, with a batch of one."""
        tensors: dict[str, Tensor] = {}
        for key, value in sorted(sample.items()):
            if isinstance(value, Camera):
                tensors |= {f"{_RIGS[key]}{n}": getattr(value, n)[None] for n in _CALIBRATION}
            else:
                tensors[key] = value[None]
        return tensors

    def forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Runs the network; the outputs are in the order of ``OUTPUTS``."""
        batch: dict[str, Any] = dict(inputs)
        for key, rig in self._rigs.items():
            calibration: Any = {n: batch.pop(f"{_RIGS[key]}{n}") for n in _CALIBRATION}
            shape = calibration["intrinsics"].shape
            still = torch.eye(4, device=calibration["intrinsics"].device).expand(shape)
            batch[key] = replace(rig, **calibration, augmentation=still, fingerprint=None)
        preprocessor: Any = self.network.data_preprocessor
        features = self.network.extract_feat(preprocessor.complete(batch))
        best = self.network.logits(features).max(dim=1)
        depth = self.network.view_transformer.best_depth(features.depth.prob)
        return best.indices.to(torch.uint8), best.values, depth.unflatten(0, batch["cameras"].shape)


class _ByPosition(nn.Module):
    """The same with an argument for each input, in the order of their names."""

    def __init__(self, network: ExportableNetwork, names: list[str]) -> None:
        super().__init__()
        self.network = network
        self.names = names

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return cast(
            "tuple[Tensor, Tensor, Tensor]",
            self.network(dict(zip(self.names, tensors, strict=True))),
        )


def describe(network: HTCL, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
    """What a user of a program has to know: inputs, outputs, classes, grid; plain data."""
    specification = network.specification
    return {
        "inputs": {
            name: {"shape": list(value.shape), "dtype": str(value.dtype).removeprefix("torch.")}
            for name, value in inputs.items()
        },
        "outputs": list(OUTPUTS),
        "classes": list(specification.class_names),
        "grid": asdict(specification.grid),
    }


@torch.no_grad()
def export(
    network: ExportableNetwork, inputs: dict[str, Tensor], path: Path, form: ExportFormat
) -> Deviation:
    """Writes a program and runs it beside the network.

    Args:
        network: The network.
        inputs: Inputs to trace it with and to compare by, :meth:`ExportableNetwork.inputs`.
        path: The file.
        form: ``torch`` for :func:`torch.export.load`, ``onnx`` for any ONNX runtime.

    Returns:
        How far the program's outputs are from the network's.

    Raises:
        InvalidValueError: If they are farther apart than rounding explains; no file is written.
        MissingFileError: If the packages for ONNX are missing.
    """
    expected = network(inputs)
    facts = json.dumps(describe(network.network, inputs))
    content = {"torch": _to_torch, "onnx": _to_onnx}[form](network, inputs, facts)
    deviation = compare(expected, run_program(content, form, inputs))
    if deviation.voxels > _FLIPS:
        raise InvalidValueError(
            f"{path.name}: the exported program disagrees with the network in "
            f"{100 * deviation.voxels:.3f} % of the voxels (allowed: {100 * _FLIPS} %), its scores "
            f"by {deviation.score:.3g}; nothing was written. Please report config and versions"
        )
    with atomic_write(path) as file:
        file.write(content)
    return deviation


def compare(expected: tuple[Tensor, ...], found: tuple[Tensor, ...]) -> Deviation:
    """Differences of two sets of outputs in the order of ``OUTPUTS``."""
    classes, score, depth = (
        (one.double() - two.double()).abs() for one, two in zip(expected, found, strict=True)
    )
    return Deviation(
        voxels=float((classes > 0).double().mean()),
        score=float(score.max()),
        depth=float(depth.max()),
    )


def run_program(
    content: bytes, form: ExportFormat, inputs: Mapping[str, Tensor]
) -> tuple[Tensor, ...]:
    """Runs the content of a program's file on the CPU; outputs in the order of ``OUTPUTS``."""
    if form == "torch":
        program = torch.export.load(io.BytesIO(content)).module()
        return cast("tuple[Tensor, ...]", program(dict(inputs)))
    runtime = _onnx_package("onnxruntime")
    arrays = {name: value.numpy() for name, value in inputs.items()}
    try:
        session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
        made = session.run(list(OUTPUTS), arrays)
    except Exception as error:  # the runtime's errors have no other base
        raise InvalidValueError(
            f"onnxruntime cannot run the exported program, so nothing was written: {error}. Please "
            "report config and versions; --format torch may serve meanwhile"
        ) from error
    return tuple(map(torch.from_numpy, made))


def _to_torch(network: ExportableNetwork, inputs: dict[str, Tensor], facts: str) -> bytes:
    # The operators of a GPU ask for no value, and run on a CPU too.
    with gpu_operators():
        program = torch.export.export(network, (inputs,), strict=False)
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={"htcl.json": facts})
    return file.getvalue()


def _to_onnx(network: ExportableNetwork, inputs: dict[str, Tensor], facts: str) -> bytes:
    for package in ("onnx", "onnxscript"):
        _onnx_package(package)
    with standard_operators():
        program: Any = torch.onnx.export(
            _ByPosition(network, list(inputs)).eval(),
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=list(OUTPUTS),
            opset_version=_OPSET,
            dynamo=True,
            # The runtime folds constants itself, and faster.
            optimize=False,
            custom_translation_table={torch.ops.aten.conv3d.default: _conv3d},
            verbose=False,
        )
    program.model.metadata_props["htcl"] = facts
    return cast("bytes", program.model_proto.SerializeToString())


def _conv3d(
    volume: Any,
    weight: Any,
    bias: Any = None,
    stride: Sequence[int] = (1, 1, 1),
    padding: Sequence[int] = (0, 0, 0),
    dilation: Sequence[int] = (1, 1, 1),
    groups: int = 1,
) -> Any:
    """ONNX's convolution; the one of onnxscript 0.7 makes a matrix of a bias that there is not."""
    return _onnx_package("onnxscript").opset20.Conv(
        volume,
        weight,
        bias,
        strides=list(stride),
        pads=[*padding, *padding],
        dilations=list(dilation),
        group=groups,
    )


def _onnx_package(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise MissingFileError(
            f"an export to ONNX needs the package {name}: pip install 'htcl[export]' ({error})"
        ) from error
