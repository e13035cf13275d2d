"""Matching features of frames that several clips share, as the clips of a stream do.

Shape letters: M image, T frame, C channel, H W image, h w matching map.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from htcl.errors import InvalidValueError


@dataclass
class RecalledClip:
    """What is known of the T frames of a clip before its prediction.

    Keys of frames stay outside, and frames that stand in for others count like these: a compiled
    forward pass is specialised to the numbers here, which are the same for every clip of a stream
    but the first.

    Attributes:
        known: Maps (M, K, C, h, w) of the K of the T frames that are known; None without any.
        missing: Those of the T frames that have to be computed, each once.
        order: For each of the T frames its place among the known and then the missing ones.
        computed: Maps (M, number of missing ones, C, h, w), when :meth:`complete` has made them.
    """

    known: Tensor | None
    missing: tuple[int, ...]
    order: tuple[int, ...]
    computed: Tensor | None = None

    def complete(self, frames: Tensor, matching: Callable[[Tensor], Tensor]) -> Tensor:
        """Maps (M, T, C, h, w) of frames (M, T, 3, H, W); ``matching`` sees the missing ones."""
        parts = [] if self.known is None else [self.known]
        if self.missing:
            # An index made of numbers would be copied to a GPU and waited for.
            chosen = torch.stack([frames[:, place] for place in self.missing], dim=1)
            self.computed = matching(chosen)
            parts.append(self.computed)
        maps = torch.cat(parts, dim=1)
        return torch.stack([maps[:, place] for place in self.order], dim=1)


class FrameMemory:
    """Keeps the matching features of the frames computed last, on the device of the network.

    Clips whose frames are T - 1 history frames at a stride and the present find all of their
    history again if ``size`` is ``(T - 1) * stride + 1``. What was skipped or dropped is computed.
    At full size (maps of 64 x 96 x 320) a frame takes 7.9 MB in float32 and half of that in 16
    bits.

    Args:
        size: Number of frames.

    Raises:
        InvalidValueError: If it is not positive.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise InvalidValueError(f"FrameMemory(size={size}): give 1 or more frames")
        self.size = size
        self._maps: dict[Hashable, Tensor] = {}

    def __len__(self) -> int:
        """Number of frames at present."""
        return len(self._maps)

    def recall(self, keys: Sequence[Hashable]) -> RecalledClip:
        """Looks for the frames of a clip.

        Args:
            keys: What tells each of the T frames from all other ones; equal for equal frames.
        """
        known = [place for place, key in enumerate(keys) if key in self._maps]
        missing = [key for key in dict.fromkeys(keys) if key not in self._maps]
        order = [
            known.index(place) if place in known else len(known) + missing.index(key)
            for place, key in enumerate(keys)
        ]
        return RecalledClip(
            known=torch.stack([self._maps[keys[i]] for i in known], dim=1) if known else None,
            missing=tuple(keys.index(key) for key in missing),
            order=tuple(order),
        )

    def remember(self, keys: Sequence[Hashable], clip: RecalledClip) -> None:
        """Takes in what was computed for a clip of these keys; the frames of longest ago go."""
        if clip.computed is not None:
            for place, maps in zip(clip.missing, clip.computed.unbind(dim=1), strict=True):
                # A copy: a view would keep all frames of its clip alive, and the memory of a
                # recorded GPU graph is written again by the next prediction.
                self._maps[keys[place]] = maps.clone()
        while len(self._maps) > self.size:
            del self._maps[next(iter(self._maps))]
