"""What a checkpoint says of the training that made it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from htcl.datasets.rig_range import Ranges, joined, rig_of, road_height
from htcl.provenance import program_facts
from htcl.shipped import shipped_name


@HOOKS.register_module()
class TrainingFactsHook(Hook):
    """Adds to the ``meta`` of each checkpoint what its user has to know.

    mmengine's own has the config's text, the seed and the data set's specification. This adds
    ``config``, the path of the config if it is one that comes with the project; ``git``, the state
    of the code; and ``rigs``, the ranges of :mod:`htcl.datasets.rig_range` over all samples that
    this process trained on, those before a resume included.
    """

    priority = "LOW"

    def __init__(self) -> None:
        self._rigs: Ranges = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Goes on where a resumed training was; other weights are those of other cameras."""
        if getattr(runner, "_resume", False):
            self._rigs = joined(self._rigs, (checkpoint.get("meta") or {}).get("rigs") or {})

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Looks at the cameras of a step."""
        for inputs, sample in samples_of(data_batch):
            self._rigs = joined(self._rigs, rig_of(inputs, _road_of(sample)))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Writes the facts."""
        facts = {"config": shipped_name(runner.cfg.filename), "git": program_facts()["revision"]}
        checkpoint["meta"].update(facts, rigs=self._rigs)


def samples_of(data_batch: Any) -> Iterator[tuple[Mapping[str, Any], Any]]:
    """Inputs and data sample of each sample of a batch that ``pseudo_collate`` made.

    Samples without cameras, and batches of another form, are left out.
    """
    if not isinstance(data_batch, Mapping) or not isinstance(data_batch.get("inputs"), Mapping):
        return
    inputs, samples = data_batch["inputs"], data_batch.get("data_samples")
    for index in range(len(inputs.get("cameras", ()))):
        own = {
            key: inputs[key][index]
            for key in ("cameras", "focal_baseline", "current_from_history")
            if key in inputs
        }
        yield own, samples[index] if isinstance(samples, Sequence) else None


def _road_of(sample: Any) -> float:
    if sample is None or "gt_voxels" not in sample or "specification" not in sample.metainfo:
        return float("nan")
    return road_height(sample.gt_voxels.semantics, sample.metainfo["specification"])
