"""Saves predictions as official label files during a test run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from htcl.datasets.voxel_files import write_voxel_labels


@HOOKS.register_module()
class PredictionWriterHook(Hook):
    """Writes ``<out_dir>/sequences/XX/predictions/NNNNNN.label`` for every test sample.

    The files hold the data set's raw class ids (uint16), so that the official scripts, the test
    server and ``tools/evaluate_predictions.py`` read them. A file appears under its name only when
    complete.

    Args:
        out_dir: Root of the written tree.
    """

    def __init__(self, out_dir: str) -> None:
        self.out_dir = Path(out_dir)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Writes the samples of one batch."""
        for sample in outputs or ():
            labels = sample.pred_voxels.semantics.cpu().numpy()
            folder = self.out_dir / "sequences" / sample.sequence / "predictions"
            path = folder / f"{sample.frame}.label"
            write_voxel_labels(path, sample.specification.raw_from_voxels(labels))

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Says where the predictions lie."""
        runner.logger.info(f"predictions saved below {self.out_dir}")
