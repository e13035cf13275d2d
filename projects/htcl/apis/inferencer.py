"""Predictions for images, folders, videos and live cameras."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from mmdet3d.registry import INFERENCERS
from mmdet3d.structures import Det3DDataSample
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.infer import BaseInferencer
from tqdm import tqdm

from htcl.apis.camera_file import CameraCalibration, read_calibration
from htcl.apis.clip_builder import ClipBuilder
from htcl.apis.frame_source import FrameSource, check_pair, frame_numbers, frame_step
from htcl.apis.model_loading import load_model
from htcl.apis.output_files import check_formats, write_outputs
from htcl.apis.stream import InferenceStream
from htcl.datasets.calibration import read_poses
from htcl.datasets.transforms import LoadCalibrationAndPoses, LoadStereoImages
from htcl.engine.runner import load_config
from htcl.models.temporal.ego_pose import EgoPose
from htcl.visualization import FrameResult, build_frame_result, render_overview

# Steps of a test pipeline that read ground truth, which a user's own images do not have.
_LABEL_STEPS = ("LoadVoxelLabels", "LoadLidarPoints")
_INPUT_KEYS = {"left", "right", "calib", "poses", "name"}
NEEDS_POSES = (
    "this model needs to know how the camera moved between the frames: give the poses "
    "(--poses, a file in the format of KITTI's poses.txt), or say that the camera does not move "
    "(--static)"
)


class Prediction(NamedTuple):
    """What the network says about one frame.

    Attributes:
        result: Labels, images, calibration: all that a picture needs.
        data_sample: The model's own output.
    """

    result: FrameResult
    data_sample: Det3DDataSample


@INFERENCERS.register_module()
class HTCLInferencer(BaseInferencer):
    """Predicts the voxels around a user's own cameras.

    An input is a dict with ``left`` and, for stereo models, ``right`` (an image, a video, a folder,
    or a list of images), ``calib`` (a file, see ``docs/inference.md``, or a
    :class:`~htcl.apis.camera_file.CameraCalibration`), and optionally ``poses`` (a file like KITTI's
    ``poses.txt``, or an (N, 4, 4) array) and ``name`` (of the sequence).

    Args:
        model: A config, or the path of one.
        weights: Checkpoint, ours or a released one; None keeps random weights.
        device: Such as 'cpu' or 'cuda:0'; None takes a GPU if there is one.
        scope: Scope of the registries.
        show_progress: Show a progress bar.
        cfg_options: Overrides of config keys.

    Raises:
        FileNotFoundError: If config or checkpoint do not exist.
        ValueError: If the checkpoint does not fit, or the config has no test pipeline.
    """

    preprocess_kwargs: ClassVar[set] = {"history_stride", "static", "every", "max_frames"}
    forward_kwargs: ClassVar[set] = set()
    visualize_kwargs: ClassVar[set] = {"return_vis", "row_height"}
    postprocess_kwargs: ClassVar[set] = {"out_dir", "formats"}

    def __init__(
        self,
        model: Config | str | Path,
        weights: str | Path | None = None,
        device: str | None = None,
        scope: str = "mmdet3d",
        show_progress: bool = True,
        cfg_options: dict[str, Any] | None = None,
    ) -> None:
        if isinstance(model, str | Path):
            model = load_config(model, cfg_options)
        elif cfg_options:
            model = model.copy()
            model.merge_from_dict(cfg_options)
        super().__init__(model, None if weights is None else str(weights), device, scope)
        self.show_progress = show_progress

    def _init_model(self, cfg: Config, weights: str | None, device: str = "cpu") -> torch.nn.Module:
        return load_model(cfg, weights, device)

    def _init_visualizer(self, cfg: Config) -> None:
        """Pictures are drawn by htcl.visualization; a training's visualizer would open log files."""

    def _init_collate(self, cfg: Config) -> Callable:
        return pseudo_collate

    def _init_pipeline(self, cfg: Config) -> Compose:
        """The config's test pipeline, without labels; finds out what the model needs."""
        dataset = cfg.get("test_dataloader", {}).get("dataset", {})
        if "pipeline" not in dataset:
            raise ValueError("the config has no test_dataloader.dataset.pipeline, which is used here")
        pipeline = Compose([s for s in dataset["pipeline"] if s["type"] not in _LABEL_STEPS])
        temporal = getattr(self.model, "temporal", None)
        self.num_history = 0 if temporal is None else temporal.num_history
        self.needs_poses = temporal is not None and isinstance(temporal.pose, EgoPose)
        self.history_stride = int(dataset.get("history_stride", 5))
        self.needs_right = False
        for step in pipeline.transforms:
            if isinstance(step, LoadStereoImages):
                self.needs_right = step.right
            elif isinstance(step, LoadCalibrationAndPoses):
                step.poses = self.needs_poses
        return pipeline

    def _inputs_to_list(self, inputs: Mapping | Sequence[Mapping]) -> list[Mapping[str, Any]]:
        listed = [inputs] if isinstance(inputs, Mapping) else list(inputs)
        for item in listed:
            if not isinstance(item, Mapping) or not {"left", "calib"} <= set(item) <= _INPUT_KEYS:
                raise ValueError(
                    f"an input is a dict with left and calib, and optionally right, poses and "
                    f"name; found {sorted(item) if isinstance(item, Mapping) else item!r}"
                )
        return listed

    def preprocess(
        self,
        inputs: Sequence[Mapping[str, Any]],
        batch_size: int = 1,
        history_stride: int | None = None,
        static: bool = False,
        every: int = 1,
        max_frames: int | None = None,
        **kwargs: Any,
    ) -> Iterator[list[dict[str, Any]]]:
        """Makes batches of samples; nothing is read before it is needed.

        Args:
            inputs: As in the class description.
            batch_size: Samples in a batch.
            history_stride: Distance of the history frames, in numbers of frames where their names
                are numbers, else in frames; None takes the config's.
            static: The camera does not move, so no poses are needed.
            every: Predict every n-th frame only; the others still serve as history.
            max_frames: Predict at most so many frames of each input.
            **kwargs: None.

        Yields:
            Lists of samples for the pipeline.
        """
        samples = (
            sample
            for item in inputs
            for sample in self._samples(item, history_stride, static, every, max_frames)
        )
        yield from self._get_chunk_data(samples, batch_size)

    def _samples(
        self,
        item: Mapping[str, Any],
        history_stride: int | None,
        static: bool,
        every: int,
        max_frames: int | None,
    ) -> Iterator[dict[str, Any]]:
        left = FrameSource(item["left"])
        right = self._right_source(left, item.get("right"))
        calibration = _as_calibration(item["calib"])
        stride = self._stride(left, history_stride)
        poses = self._poses(left, item.get("poses"), static)
        builder = self._builder(calibration, stride, str(item.get("name") or left.title))
        rights = iter(right) if right is not None else None
        last = None if max_frames is None else (max_frames - 1) * every
        index = -1
        for index, frame in enumerate(left):
            partner = None if rights is None else next(rights, None)
            if rights is not None and partner is None:
                raise ValueError(
                    f"{item['right']} ends after {index} frames, but {item['left']} has more: each "
                    "left frame needs its right one"
                )
            sample = builder.push(frame, partner, poses(index) if self.needs_poses else None)
            if index % every == 0:
                yield sample
            if index == last:
                return
        if index < 0:
            raise ValueError(f"{item['left']}: no frame could be read")
        if rights is not None and next(rights, None) is not None:
            raise ValueError(
                f"{item['left']} ends after {index + 1} frames, but {item['right']} has more: each "
                "left frame needs its right one"
            )

    def _right_source(self, left: FrameSource, source: Any) -> FrameSource | None:
        if not self.needs_right:
            return None
        if source is None:
            raise ValueError(
                "this stereo model needs the right images too (--right); a mono model, such as that "
                "of htcl_mono.py, takes the left ones alone"
            )
        right = FrameSource(source)
        check_pair(left, right)
        return right

    def _stride(self, left: FrameSource, wanted: int | None) -> int:
        """Distance of the history in frames given."""
        stride = self.history_stride if wanted is None else wanted
        if self.num_history == 0 or left.names is None:
            return stride
        step = frame_step(left.names) or 1
        if stride % step:
            raise ValueError(
                f"a gap in the history: the frames are numbered in steps of {step}, but the history "
                f"takes every {stride}: give the frames between them, or --history-stride {step}"
            )
        return stride // step

    def _poses(
        self, left: FrameSource, source: Any, static: bool
    ) -> Callable[[int], np.ndarray]:
        """A function from the index of a frame to its pose."""
        # The motion of a single frame to itself is none, whatever its pose.
        single = left.names is not None and len(left.names) == 1
        if not self.needs_poses or (source is None and (static or single)):
            return lambda index: np.eye(4)
        if source is None:
            raise ValueError(NEEDS_POSES)
        where = str(source) if isinstance(source, str | Path) else "poses"
        poses = read_poses(source) if isinstance(source, str | Path) else np.asarray(source)
        lines = range(len(poses))
        if left.names is not None and len(left.names) != len(poses):
            # A file of the whole sequence: line n belongs to frame n.
            lines = frame_numbers(left.names)
            if lines is None or max(lines) >= len(poses):
                raise ValueError(
                    f"{where}: {len(poses)} poses for {len(left.names)} frames: give one line a "
                    "frame, or number the frames by their line (000000 is the first)"
                )

        def pose(index: int) -> np.ndarray:
            if index >= len(lines):
                raise ValueError(
                    f"{where}: {len(poses)} poses, but the video has more frames; one line a frame "
                    "is needed"
                )
            return poses[lines[index]]

        return pose

    def _builder(self, calibration: CameraCalibration, stride: int, name: str) -> ClipBuilder:
        return ClipBuilder(
            calibration,
            self.num_history,
            stride,
            right=self.needs_right,
            poses=self.needs_poses,
            sequence=name,
        )

    def forward(self, inputs: Sequence[dict[str, Any]], **kwargs: Any) -> list[Prediction]:
        """Predicts one batch that :meth:`preprocess` made."""
        return self.predict_samples(inputs)

    @torch.inference_mode()
    def predict_samples(self, samples: Sequence[dict[str, Any]]) -> list[Prediction]:
        """Runs pipeline and model.

        Args:
            samples: Samples for the config's test pipeline.

        Returns:
            One prediction a sample.
        """
        packed = [self.pipeline(sample) for sample in samples]
        predicted = self.model.test_step(self.collate_fn(packed))
        return [
            Prediction(build_frame_result(sample["inputs"], output), output)
            for sample, output in zip(packed, predicted, strict=True)
        ]

    def visualize(
        self,
        inputs: Sequence[Mapping[str, Any]],
        preds: Sequence[Prediction],
        return_vis: bool = False,
        row_height: int = 340,
        **kwargs: Any,
    ) -> list[np.ndarray]:
        """Draws the pictures of ``docs/visualization.md``.

        Args:
            inputs: Not used: predictions carry their images.
            preds: Predictions.
            return_vis: Draw at all.
            row_height: Size of a picture's rows, pixels.
            **kwargs: None.

        Returns:
            RGB uint8 pictures; none without ``return_vis``.
        """
        if not return_vis:
            return []
        return [render_overview(pred.result, row_height=row_height) for pred in preds]

    def postprocess(
        self,
        preds: Sequence[Prediction],
        visualization: list[np.ndarray],
        return_datasample: bool = False,
        out_dir: str | Path | None = None,
        formats: Sequence[str] = ("npz", "png"),
        **kwargs: Any,
    ) -> dict[str, list]:
        """Writes files and sums up.

        Args:
            preds: Predictions.
            visualization: Their pictures, or none.
            return_datasample: Return the model's data samples in place of summaries.
            out_dir: Write ``out_dir/SEQUENCE/FRAME.*``; None writes nothing.
            formats: See :func:`htcl.apis.output_files.write_outputs`.
            **kwargs: None.

        Returns:
            ``predictions``: a dict a frame with sequence, frame, number of voxels of each class
            that occurs, and the files written (or data samples); ``visualization``: the pictures.
        """
        summaries: list[Any] = []
        pictures = visualization or [None] * len(preds)
        for pred, picture in zip(preds, pictures, strict=True):
            files = {}
            if out_dir is not None:
                files = write_outputs(pred.result, out_dir, formats, picture)
            summaries.append(
                pred.data_sample if return_datasample else _summary(pred.result, files)
            )
        return {"predictions": summaries, "visualization": visualization}

    def __call__(
        self,
        inputs: Mapping | Sequence[Mapping],
        return_datasamples: bool = False,
        batch_size: int = 1,
        **kwargs: Any,
    ) -> dict[str, list]:
        """Predicts all frames, batch by batch, so that a long video needs no more memory.

        Args:
            inputs: One input or several, see the class description.
            return_datasamples: Return data samples in place of summaries.
            batch_size: Frames predicted at once.
            **kwargs: Arguments of :meth:`preprocess`, :meth:`visualize` and :meth:`postprocess`.

        Returns:
            What :meth:`postprocess` returns, of all frames.
        """
        before, _, drawing, after = self._dispatch_kwargs(**kwargs)
        check_formats(after.get("formats", ()))
        listed = self._inputs_to_list(inputs)
        collected: dict[str, list] = {"predictions": [], "visualization": []}
        with tqdm(desc="frames", unit="frame", disable=not self.show_progress) as bar:
            for batch in self.preprocess(listed, batch_size, **before):
                preds = self.forward(batch)
                pictures = self.visualize(listed, preds, **drawing)
                part = self.postprocess(preds, pictures, return_datasamples, **after)
                for key, values in part.items():
                    collected[key] += values
                bar.update(len(batch))
        return collected

    def stream(
        self,
        calib: str | Path | CameraCalibration,
        history_stride: int = 1,
        static: bool = False,
        name: str = "stream",
    ) -> InferenceStream:
        """Opens a stream for a live camera.

        Args:
            calib: The calibration.
            history_stride: Distance of the history frames, in frames given.
            static: The camera does not move, so no poses are needed.
            name: Of the sequence.

        Returns:
            The stream; its ``step`` takes one frame after another.
        """
        builder = self._builder(_as_calibration(calib), history_stride, name)
        return InferenceStream(self, builder, static)


def _as_calibration(source: str | Path | CameraCalibration) -> CameraCalibration:
    return source if isinstance(source, CameraCalibration) else read_calibration(source)


def _summary(result: FrameResult, files: dict[str, str]) -> dict[str, Any]:
    counts = np.bincount(result.prediction.ravel(), minlength=len(result.class_names))
    voxels = {name: int(n) for name, n in zip(result.class_names, counts, strict=True) if n}
    return {
        "sequence": result.sequence,
        "frame": result.frame,
        "voxels": voxels,
        "files": files,
    }
