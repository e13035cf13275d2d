"""Predictions for images, folders, videos and live cameras."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from mmdet3d.structures import Det3DDataSample
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.infer import BaseInferencer

# Not mmdet3d's registry of the same name: its look-up imports a module that version 1.4.0 lacks.
from mmengine.registry import INFERENCERS
from tqdm import tqdm

from htcl.apis.camera_file import CameraCalibration
from htcl.apis.clip_reader import ClipReader
from htcl.apis.output_files import check_formats, write_outputs
from htcl.apis.rig_guard import RigGuard, config_of, meta_of, trained_rigs
from htcl.apis.stream import InferenceStream
from htcl.config import load_config
from htcl.datasets.history_spacing import HistorySpacing
from htcl.datasets.rig_range import LIDAR_HEIGHT
from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.engine.runner import load_predictor
from htcl.errors import InvalidValueError
from htcl.models.temporal import FrameMemory
from htcl.shipped import MODELS, find_file
from htcl.visualization import FrameResult, build_frame_result, render_overview

_INPUT_KEYS = ({"left", "calib"}, {"right", "poses", "name"})
_RIG_KEYS = ({"rig"}, {"poses", "name"})
_SPACING_KEYS = ("history_stride", "history_metres", "history_max_frames")
# Inputs that come from other files than images, calibration and poses.
_ONLY_IN_DATA_SETS = frozenset({"depth_prior", "history_depth_prior"})


class Prediction(NamedTuple):
    """What the network says about one frame: all that a picture needs, and the model's output."""

    result: FrameResult
    data_sample: Det3DDataSample


@INFERENCERS.register_module()
class HTCLInferencer(BaseInferencer):
    """Predicts the voxels around a user's own cameras.

    An input is a dict with ``left`` and, for stereo models, ``right`` (an image, a video, a folder,
    or a list of images), ``calib`` (a file, see ``docs/inference.md``, or a
    :class:`~htcl.apis.camera_file.CameraCalibration`), and optionally ``poses`` (a file like
    KITTI's ``poses.txt``, or an (N, 4, 4) array) and ``name`` (of the sequence). For several
    cameras around the car it is a dict with ``rig`` (a file, see ``docs/inference.md``) in place of
    images and calibration; then ``poses`` are those of the frame of the voxels.

    Args:
        model: A config, the path of one, or ``'mini'``: the network that comes with the package.
            None takes the shipped config that the checkpoint names.
        weights: Checkpoint, ours or a released one; None keeps random weights, but for ``'mini'``.
        device: Such as 'cpu' or 'cuda:0'; None takes a GPU if there is one.
        scope: Scope of the registries.
        show_progress: Show a progress bar.
        cfg_options: Overrides of config keys.
        precision: 'auto', 'fp32', 'fp16' or 'bf16', see :class:`~htcl.engine.predictor.Predictor`.

    Attributes:
        predictor: The network ready to predict.

    Raises:
        MissingFileError: If config or checkpoint do not exist.
        InvalidValueError: If the checkpoint does not fit, the config has no test_dataloader, the
            network needs external depth, or neither config nor checkpoint say which network it is.
    """

    preprocess_kwargs: ClassVar[set] = {*_SPACING_KEYS, "static", "every", "max_frames"}
    visualize_kwargs: ClassVar[set] = {"return_vis", "row_height"}
    postprocess_kwargs: ClassVar[set] = {"out_dir", "formats"}

    def __init__(
        self,
        model: Config | str | Path | None = None,
        weights: str | Path | None = None,
        device: str | None = None,
        scope: str = "mmengine",
        show_progress: bool = True,
        cfg_options: dict[str, Any] | None = None,
        precision: str = "auto",
    ) -> None:
        self.precision = precision
        if isinstance(model, str) and model in MODELS:
            model, shipped = (find_file(path) for path in MODELS[model])
            weights = shipped if weights is None else weights
        if model is None:
            if weights is None:
                raise InvalidValueError("give a config, a checkpoint, or both")
            model = config_of(weights)
        if isinstance(model, str | Path):
            cfg = load_config(model, cfg_options)
        elif cfg_options:
            cfg = model.copy()
            cfg.merge_from_dict(cfg_options)
        else:
            cfg = model
        super().__init__(cfg, None if weights is None else str(weights), device, scope)
        self.show_progress = show_progress
        # Only in KITTI's frame of the voxels is the height of the road known.
        kitti = self.model.specification.stored_grid == SEMANTICKITTI.stored_grid
        road_z = -LIDAR_HEIGHT if kitti else float("nan")
        self.rig_guard = RigGuard(trained_rigs(meta_of(weights)), road_z)

    def _init_model(self, cfg: Config, weights: str | None, device: str = "cpu") -> torch.nn.Module:
        self.predictor = load_predictor(cfg, weights, device, self.precision)
        return self.predictor.module

    def _init_visualizer(self, cfg: Config) -> None:
        """Makes none: htcl.visualization draws, and a training's visualizer opens log files."""

    def _init_collate(self, cfg: Config) -> Callable:
        return pseudo_collate

    def _init_pipeline(self, cfg: Config) -> Compose:
        if "test_dataloader" not in cfg:
            raise InvalidValueError(
                f"config {cfg.filename!r} has no test_dataloader, whose data set says how images "
                "are loaded"
            )
        dataset, inputs = cfg.test_dataloader.dataset, self.model.required_inputs
        if missing := inputs & _ONLY_IN_DATA_SETS:
            raise InvalidValueError(
                f"this network needs external depth ({', '.join(sorted(missing))}), which is read "
                "from the files of a data set, not given with images: arrange both as docs/data.md "
                "describes and use tools/test.py or tools/save_vis.py, or choose another network"
            )
        history = dataset.num_history if "history" in inputs else 0
        said = {key: dataset[key] for key in _SPACING_KEYS if key in dataset}
        self.clips = ClipReader(self.model.specification, inputs, HistorySpacing(history, **said))
        return Compose(dataset.pipeline)

    def _inputs_to_list(self, inputs: Mapping | Sequence[Mapping]) -> list[Mapping[str, Any]]:
        listed = [inputs] if isinstance(inputs, Mapping) else list(inputs)
        for item in listed:
            items = item.items() if isinstance(item, Mapping) else ()
            given = {key for key, value in items if value is not None}
            forms = (_INPUT_KEYS, _RIG_KEYS)
            if not any(need <= given <= need | more for need, more in forms):
                raise InvalidValueError(
                    "an input is a dict with left and calib, and optionally right, poses and name, "
                    "or with rig, and optionally poses and name; found "
                    f"{sorted(item) if isinstance(item, Mapping) else item!r}"
                )
        return listed

    def preprocess(
        self,
        inputs: Sequence[Mapping[str, Any]],
        batch_size: int = 1,
        history_stride: int | Sequence[int] | None = None,
        history_metres: float | None = None,
        history_max_frames: int | None = None,
        static: bool = False,
        every: int = 1,
        max_frames: int | None = None,
        **kwargs: Any,
    ) -> Iterator[list[dict[str, Any]]]:
        """Makes batches of samples for the pipeline; nothing is read before it is needed.

        Args:
            inputs: As in the class description.
            batch_size: Samples in a batch.
            history_stride: Distance of the history frames, in numbers of frames where their names
                are numbers, else in frames, or a list of distances. This and the next two are
                explained at :class:`~htcl.datasets.history_spacing.HistorySpacing`; what is None is
                as in the config.
            history_metres: Their distance in metres, in place of the stride.
            history_max_frames: How many frames back that looks at most.
            static: The camera does not move, so no poses are needed.
            every: Predict every n-th frame only; the others still serve as history.
            max_frames: Predict at most so many frames of each input.
            **kwargs: None.
        """
        spacing = self.clips.spacing.changed(history_stride, history_metres, history_max_frames)
        samples = (
            sample
            for item in inputs
            for sample in self.clips.samples(item, spacing, static, every, max_frames)
        )
        yield from self._get_chunk_data(samples, batch_size)

    @torch.inference_mode()
    def forward(
        self,
        inputs: Sequence[dict[str, Any]],
        memory: FrameMemory | None = None,
        **kwargs: Any,
    ) -> list[Prediction]:
        """Predicts one batch that :meth:`preprocess` made, by pipeline and model.

        Args:
            inputs: Samples.
            memory: Of earlier frames, among which each name of a frame means one image. It serves
                batches of one sample.
            **kwargs: None.
        """
        packed = [self.pipeline(sample) for sample in inputs]
        for sample in packed:
            self.rig_guard.look(sample["inputs"])
        predicted = self.predictor.predict(self.collate_fn(packed), memory)
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
        """Draws the pictures of ``docs/visualization.md``, RGB uint8; none without ``return_vis``.

        Rows are ``row_height`` pixels high. The inputs are not used: predictions carry images.
        """
        drawn = preds if return_vis else ()
        return [render_overview(pred.result, row_height=row_height) for pred in drawn]

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
        pictures: list[Any] = visualization if visualization else [None] * len(preds)
        for pred, picture in zip(preds, pictures, strict=True):
            result, files = pred.result, {}
            if out_dir is not None:
                files = write_outputs(result, self.model.specification, out_dir, formats, picture)
            counts = np.bincount(result.prediction.ravel(), minlength=len(result.class_names))
            voxels = {k: int(n) for k, n in zip(result.class_names, counts, strict=True) if n}
            summary = {"sequence": result.sequence, "frame": result.frame, "voxels": voxels}
            summaries.append(pred.data_sample if return_datasample else summary | {"files": files})
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
            batch_size: Frames predicted at once; one at a time, features of the history are those
                computed for earlier frames.
            **kwargs: Arguments of :meth:`preprocess`, :meth:`visualize` and :meth:`postprocess`.

        Returns:
            What :meth:`postprocess` returns, of all frames.

        Raises:
            InvalidValueError: If an input or a format is not what it must be.
        """
        before, _, drawing, after = self._dispatch_kwargs(**kwargs)
        check_formats(after.get("formats", ()))
        listed = self._inputs_to_list(inputs)
        said = {key: before[key] for key in _SPACING_KEYS if key in before}
        memory = _memory(self.clips.spacing.changed(**said))
        collected: dict[str, list] = {"predictions": [], "visualization": []}
        chosen = before.get("every", 1), before.get("max_frames")
        counts = [self.clips.count(item, *chosen) for item in listed]
        total = None if None in counts else sum(filter(None, counts))
        quiet = not self.show_progress
        batches = self.preprocess(listed, batch_size, **before)
        # What is wrong with calibration or paths shows here, before there is a bar.
        first = list(itertools.islice(batches, 1))
        with tqdm(desc="frames", unit="frame", total=total, disable=quiet) as bar:
            for batch in itertools.chain(first, batches):
                preds = self.forward(batch, memory)
                pictures = self.visualize(listed, preds, **drawing)
                part = self.postprocess(preds, pictures, return_datasamples, **after)
                for key, values in part.items():
                    collected[key] += values
                bar.update(len(batch))
        return collected

    def stream(
        self,
        calib: str | Path | CameraCalibration,
        history_stride: int | Sequence[int] | None = None,
        static: bool = False,
        name: str = "stream",
        history_metres: float | None = None,
        history_max_frames: int | None = None,
    ) -> InferenceStream:
        """Opens a stream for a live camera; its ``step`` takes one frame after another.

        Args:
            calib: The calibration.
            history_stride: Distance of the history frames, in frames given, or a list of distances.
                Without it and ``history_metres``, the config's metres, or else consecutive frames:
                a camera may have another rate than the training's.
            static: The camera does not move, so no poses are needed.
            name: Of the sequence.
            history_metres: Distance in metres, in place of the stride.
            history_max_frames: How many frames back that looks at most; None: as in the config.
        """
        spacing = self.clips.spacing
        if history_stride is None and history_metres is None and spacing.history_metres is None:
            history_stride = 1
        spacing = spacing.changed(history_stride, history_metres, history_max_frames)
        builder = self.clips.builder(calib, spacing, name)
        memory = _memory(spacing)

        def predict(sample: dict[str, Any]) -> FrameResult:
            return self.forward([sample], memory)[0].result

        return InferenceStream(predict, builder, static)


def _memory(spacing: HistorySpacing) -> FrameMemory:
    """An empty memory of as many frames as a clip with its history covers."""
    return FrameMemory(spacing.reach + 1)
