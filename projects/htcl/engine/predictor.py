"""A network that only predicts: folded, at a precision, with a memory of frames, compiled."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from types import MethodType
from typing import Any, cast

import torch
from mmdet3d.structures import Det3DDataSample
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.registry import MODEL_WRAPPERS
from torch import nn

from htcl.command_line import PRECISIONS
from htcl.errors import InvalidValueError, NonFiniteError, check_choice
from htcl.models.fast_layers import fold_batch_norms
from htcl.models.interfaces import FrameReuser
from htcl.models.temporal import FrameMemory, RecalledClip

_DTYPES = {"fp32": None, "fp16": torch.float16, "bf16": torch.bfloat16}


@MODEL_WRAPPERS.register_module()
class Predictor(nn.Module):
    """Wraps a network for predictions alone; its state dict is no checkpoint.

    Batch norms are folded into convolutions in place, so load weights before.

    Args:
        model: The network, on its device, alone or in a wrapper that is taken off.
        precision: ``fp32``, ``fp16`` or ``bf16`` for the layers that gain from it; ``auto`` is fp16
            on a GPU, whose digits are those of TF32, and fp32 on a CPU. A batch whose logits leave
            fp16's range (65,504) is predicted again in fp32.
        compile: The config's key ``compile``, see :func:`compile_forward`.

    Attributes:
        module: The network.
        memory: Frames that :meth:`test_step` reuses, None without a use for it: enough for samples
            of a data set in order whose distance is that of their history.

    Raises:
        InvalidValueError: If the precision is unknown or ``compile`` is wrong.
    """

    def __init__(
        self,
        model: nn.Module,
        precision: str = "auto",
        compile: Mapping[str, Any] | bool | None = None,
    ) -> None:
        super().__init__()
        check_choice("precision", precision, PRECISIONS)
        network = cast("nn.Module", model.module) if is_model_wrapper(model) else model
        self.module = fold_batch_norms(network.eval())
        compile_forward(self.module, compile)
        self._device = next(network.parameters()).device.type
        if precision == "auto":
            precision = "fp32" if self._device == "cpu" else "fp16"
        self._dtype = _DTYPES[precision]
        self._warned = False
        parts = [part for part in self.module.modules() if isinstance(part, FrameReuser)]
        self._reusers: list[FrameReuser] = [part for part in parts if part.reuses_frames]
        num_history: Any = getattr(self.module, "num_history", 0)
        self.memory = FrameMemory(num_history + 1) if self._reusers else None
        self.eval()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the network computes, at the precision."""
        with self._autocast():
            return self.module(*args, **kwargs)

    def test_step(self, data: dict[str, Any]) -> list[Det3DDataSample]:
        """Predicts a batch of a data loader, whose image paths name frames that never change."""
        return self.predict(data, self.memory)

    val_step = test_step

    @torch.no_grad()
    def predict(
        self, data: dict[str, Any], memory: FrameMemory | None = None
    ) -> list[Det3DDataSample]:
        """Predicts a batch.

        Args:
            data: ``inputs`` and ``data_samples`` before the data preprocessor.
            memory: Frames of earlier predictions by this predictor, for a batch of one sample with
                ``history_paths`` and ``image_paths``, which tell frames apart. None computes all
                frames.

        Raises:
            NonFiniteError: If the prediction is no number, in fp32 too.
        """
        keys = [] if memory is None else self._frame_keys(data.get("data_samples"))
        clip = memory.recall(keys) if memory is not None and keys else None
        with self._autocast(), self._recalling(clip):
            samples = self.module.test_step(data)  # type: ignore[operator]  # a BaseModel
        if not all(_finite(samples)):
            if self._dtype is not torch.float16:
                raise _not_finite(samples)
            self._warn(samples)
            with torch.autocast(self._device, enabled=False):
                samples = self.module.test_step(data)  # type: ignore[operator]
            if not all(_finite(samples)):
                raise _not_finite(samples)
            return cast("list[Det3DDataSample]", samples)
        # Only now: frames of a prediction that failed may be wrong too.
        if memory is not None and clip is not None:
            memory.remember(keys, clip)
        return cast("list[Det3DDataSample]", samples)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device, self._dtype, enabled=self._dtype is not None)

    def _frame_keys(self, samples: list[Det3DDataSample] | None) -> list[Hashable]:
        """What tells the T frames of one sample apart: the paths of all cameras at each time.

        Empty for anything else, or if the network has no use for it.
        """
        if self.memory is None or not samples or len(samples) != 1:
            return []
        meta = samples[0].metainfo
        if not {"history_paths", "image_paths"} <= set(meta):
            return []
        return [tuple(paths) for paths in (*meta["history_paths"], meta["image_paths"])]

    @contextmanager
    def _recalling(self, clip: RecalledClip | None) -> Iterator[None]:
        for part in self._reusers:
            part.recalled = clip
        try:
            yield
        finally:
            for part in self._reusers:
                part.recalled = None

    def _warn(self, samples: list[Det3DDataSample]) -> None:
        if self._warned:
            return
        self._warned = True
        print_log(
            f"sample {_first_bad(samples)}: the network leaves the range of "
            "fp16, so the batch was predicted again in fp32, as all later ones will be that do; "
            "if there are many, fp32 or bf16 as precision (--precision) saves the first try",
            logger="current",
            level=logging.WARNING,
        )


def compile_forward(model: nn.Module, options: Mapping[str, Any] | bool | None) -> None:
    """Compiles a method of a network, in place, by the config key ``compile``.

    Args:
        model: The network.
        options: ``target``, the name of the method (``extract_feat``, all but head and resampling,
            if left out), and arguments of :func:`torch.compile`. True stands for an empty dict,
            None and False do nothing.

    Raises:
        InvalidValueError: If there is no such method or argument.
    """
    if options is None or options is False:
        return
    if options is not True and not isinstance(options, Mapping):
        raise InvalidValueError(
            f"compile={options!r}: give True, or a dict such as "
            "dict(target='extract_feat', mode='reduce-overhead')"
        )
    arguments = {} if options is True else dict(options)
    target = arguments.pop("target", "extract_feat")
    method = getattr(type(model), target, None) if isinstance(target, str) else None
    if not callable(method):
        raise InvalidValueError(
            f"compile.target={target!r}: {type(model).__name__} has no such method; give the name "
            "of one, such as 'extract_feat'"
        )
    try:
        compiled = torch.compile(method, **arguments)
    except (TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidValueError(f"compile={arguments}: torch.compile refuses: {reason}") from error
    # Bound to the model, so that a deep copy of the model calls its own.
    setattr(model, target, MethodType(compiled, model))
    transformer: Any = getattr(model, "view_transformer", None)
    if transformer is not None:
        # The geometry that it keeps for the next call must not lie in the memory of a recorded GPU
        # graph, nor the graph be made again for each calibration.
        plain = torch.compiler.disable(type(transformer).index)
        transformer.index = MethodType(plain, transformer)


def _finite(samples: list[Det3DDataSample]) -> list[bool]:
    return cast("list[bool]", torch.stack([sample.finite for sample in samples]).tolist())


def _first_bad(samples: list[Det3DDataSample]) -> str:
    bad = next(s for s, fine in zip(samples, _finite(samples), strict=True) if not fine)
    return f"{bad.get('sequence')}/{bad.get('frame')}"


def _not_finite(samples: list[Det3DDataSample]) -> NonFiniteError:
    return NonFiniteError(
        f"sample {_first_bad(samples)}: what the network computes is not finite (NaN or infinite); "
        "the checkpoint is that of a training that diverged, or damaged, or the frame's inputs are"
    )
