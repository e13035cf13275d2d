"""What the network keeps of frames that several clips share, as the clips of a stream do.

Shape letters: M image, T frame.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from torch import Tensor

from htcl.errors import InvalidValueError

# Tensors (M, ...) of one frame by the name of what they are.
FrameRecord = dict[str, Tensor]


@dataclass
class RecalledClip:
    """What is known of the T frames of a clip.

    Keys of frames stay outside, and known frames that stand in for others count like these: a
    compiled forward pass is specialised to the numbers here, which are the same for every clip of a
    stream but the first.

    Attributes:
        first: For each of the T frames the place of its record: its own, or for one of which
            nothing is known that of the first frame with its key.
        known: What is known of each of the T frames before the prediction.
        computed: What :meth:`complete` has added.
    """

    first: tuple[int, ...]
    known: list[FrameRecord]
    computed: list[FrameRecord]

    def complete(
        self,
        name: str,
        places: Sequence[int],
        compute: Callable[[Sequence[int]], Sequence[FrameRecord]],
    ) -> list[FrameRecord]:
        """Records of the frames at ``places`` among the T, each with an entry ``name``.

        ``compute`` makes the records of places that lack it.
        """
        wanted = [self.first[place] for place in places]
        missing = [
            place
            for place in dict.fromkeys(wanted)
            if name not in self.known[place] and name not in self.computed[place]
        ]
        if missing:
            for place, record in zip(missing, compute(missing), strict=True):
                self.computed[place] |= record
        return [self.known[place] | self.computed[place] for place in wanted]


class FrameMemory:
    """Keeps what was computed last of frames, on the device of the network.

    Clips whose frames are T - 1 history frames at a stride and the present find all of their
    history again if ``size`` is ``(T - 1) * stride + 1``. What was skipped or dropped is computed.
    At full size the matching features of a frame (64 x 96 x 320) take 7.9 MB in float32, its points
    (128 x 48 x 160 features, one depth) 4.0 MB; half of that in 16 bits.

    Args:
        size: Number of frames.

    Raises:
        InvalidValueError: If it is not positive.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise InvalidValueError(f"FrameMemory(size={size}): give 1 or more frames")
        self.size = size
        self._records: dict[Hashable, FrameRecord] = {}

    def __len__(self) -> int:
        """Number of frames at present."""
        return len(self._records)

    def recall(self, keys: Sequence[Hashable]) -> RecalledClip:
        """Looks for the frames of a clip.

        Args:
            keys: What tells each of the T frames from all other ones; equal for equal frames.
        """

        def known(key: Hashable) -> FrameRecord:
            # Tensors of their own, since a compiled forward pass also notes which are the same.
            return {name: value[:] for name, value in self._records.get(key, {}).items()}

        return RecalledClip(
            first=tuple(
                place if key in self._records else keys.index(key) for place, key in enumerate(keys)
            ),
            known=[known(key) for key in keys],
            computed=[{} for _ in keys],
        )

    def remember(self, keys: Sequence[Hashable], clip: RecalledClip) -> None:
        """Takes in what was computed for a clip of these keys; the frames of longest ago go."""
        for key, record in zip(keys, clip.computed, strict=True):
            # A copy: a view would keep all frames of its clip alive, and the memory of a recorded
            # GPU graph is written again by the next prediction.
            kept = {name: value.clone() for name, value in record.items()}
            if kept:
                self._records[key] = self._records.get(key, {}) | kept
        while len(self._records) > self.size:
            del self._records[next(iter(self._records))]
