"""One way to a configured mmengine runner, shared by all command-line tools."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.registry import MODELS, RUNNERS, build_functions, init_default_scope
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from htcl.checkpoint.fit import (
    MIN_FIT,
    check_fit,
    load_weights,
    register_pretrained_check,
    say_other_data,
)
from htcl.checkpoint.loading import register_checkpoint_loader
from htcl.checkpoint.pretrained_files import check_pretrained_files
from htcl.checkpoint.resuming import checkpoints_of, newest_checkpoint
from htcl.engine.distributed import set_up_launcher
from htcl.engine.loaders import prepare_loader, seed_by_pass
from htcl.engine.predictor import Predictor, compile_forward
from htcl.engine.sharded_optimizer import gather_state
from htcl.errors import InvalidValueError, MissingFileError, UserError
from htcl.models.interfaces import required_inputs

# Messages for the log file alone: those that fill a screen or that every run has, and scores that a
# table shows.
_FOR_THE_FILE = (
    "Config:\n", "System environment:", "Hooks will be executed", "paramwise_options",
    "Distributed training is not used", '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias', "Checkpoints will be saved to", "Load checkpoint from",
    "Saving checkpoint at",
)  # fmt: skip
_SCORES = re.compile(r"\w+\(test\) .* mIoU: ")


@RUNNERS.register_module()
class OccupancyRunner(Runner):
    """mmengine's runner; it loads no more than the network asks for and prints what a person reads.

    The log file holds everything. Arguments of the methods are mmengine's.
    """

    _train_dataloader: DataLoader | dict[str, Any]
    _load_from: str | None
    _resume: bool
    # The file whose weights are scored; None in a training.
    evaluated_checkpoint: str | Path | None = None

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """A logger whose console leaves out what fills a screen."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(_is_for_the_console)
        return logger

    def build_train_loop(self, loop: BaseLoop | dict[str, Any]) -> BaseLoop:
        """Builds the training loop, whose loader also gives what only a training needs."""
        if isinstance(self._train_dataloader, dict):
            needed = required_inputs(self.model, training=True)
            loader = prepare_loader(self._train_dataloader, needed)
            self._train_dataloader = seed_by_pass(loader) if _goes_by_epochs(loop) else loader
        return super().build_train_loop(loop)

    def build_dataloader(
        self, dataloader: DataLoader | dict[str, Any], *args: Any, **kwargs: Any
    ) -> DataLoader:
        """Builds a loader that gives what the network needs for a prediction."""
        if isinstance(dataloader, dict):
            dataloader = prepare_loader(dataloader, required_inputs(self.model))
        return Runner.build_dataloader(dataloader, *args, **kwargs)

    def build_param_scheduler(self, scheduler: Any) -> Any:
        """Builds the schedules; InvalidValueError for a decay that ends before it begins."""
        try:
            return super().build_param_scheduler(scheduler)
        except ValueError as error:
            hint = ""
            if "larger than begin" in str(error):
                # mini configs: max_iters is also the end of the schedule.
                hint = (
                    " (steps or epochs). To stop a training early and keep its schedule, set "
                    "train_cfg.max_iters (train_cfg.max_epochs) in place of max_iters (max_epochs)"
                )
            raise InvalidValueError(f"param_scheduler: {error}{hint}") from error

    def load_or_resume(self) -> None:
        """Starts from weights, or goes on: without a file from the newest whole one, if any.

        Raises:
            InvalidValueError: If the work dir has checkpoints and none can be gone on from.
        """
        if self._resume and self._load_from is None and not self._has_loaded:
            newest = newest_checkpoint(self.work_dir)
            self._resume = newest is not None
            self._load_from = None if newest is None else str(newest)
        super().load_or_resume()

    def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Loads a checkpoint from wherever; its config text stays behind.

        mmengine's ``resume`` would run that text as Python, and the file may be a stranger's.
        """
        content: dict[str, Any] = super().load_checkpoint(filename, *args, **kwargs)
        if isinstance(content.get("meta"), dict):
            content["meta"].pop("config", None)
        say_other_data(content, self.model, filename)
        return content

    def save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """Saves a checkpoint; every process calls this, the first one writes."""
        gather_state(self.optim_wrapper)
        super().save_checkpoint(*args, **kwargs)

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Goes on from a checkpoint.

        Raises:
            InvalidValueError: If it holds weights alone, or the state of another network.
        """
        try:
            super().resume(filename, *args, **kwargs)
        except UserError:
            raise
        except ValueError as error:
            raise InvalidValueError(
                f"--resume {filename!r}: the state in the file does not fit config "
                f"{self.cfg.filename!r}: {error}"
            ) from error
        except KeyError as error:
            if error.args[0] not in ("meta", "epoch", "iter", "message_hub"):
                raise
            raise InvalidValueError(
                f"--resume {filename!r}: the file holds weights alone, without the state of a "
                "training to go on with; start from them with --load-from"
            ) from error
        if self.iter >= self.max_iters:
            self.logger.info(f"{filename} ends the schedule ({self.iter} steps): nothing to train")
            # mmengine's loop would read all samples again to skip them.
            if hasattr(self.train_loop, "dataloader_iterator"):
                self.train_loop.dataloader_iterator = itertools.repeat(None)

    def _maybe_compile(self, target: str) -> None:
        """Before a training: the key ``compile`` names its target itself."""
        network = self.model.module if is_model_wrapper(self.model) else self.model
        compile_forward(network, self.cfg.get("compile"))

    def _init_model_weights(self) -> None:
        try:
            super()._init_model_weights()
        except URLError as error:
            raise InvalidValueError(
                f"pretrained weights cannot be fetched ({error.reason}): fetch the file elsewhere "
                "and name its path as init_cfg.checkpoint, or set that part's init_cfg=None"
            ) from error


def _goes_by_epochs(loop: BaseLoop | dict[str, Any]) -> bool:
    if isinstance(loop, dict):
        return loop.get("type") == "EpochBasedTrainLoop" or bool(loop.get("by_epoch"))
    return isinstance(loop, EpochBasedTrainLoop)


def _is_for_the_console(record: logging.LogRecord) -> bool:
    text = record.getMessage().lstrip("\n-")
    return not text.startswith(_FOR_THE_FILE) and not _SCORES.match(text)


def build_runner(
    cfg: Config,
    *,
    work_dir: str | Path | None = None,
    launcher: str = "none",
    checkpoint: str | Path | None = None,
    precision: str | None = None,
) -> OccupancyRunner:
    """Builds the runner of a config.

    Args:
        cfg: The config, changed in place.
        work_dir: Where logs and checkpoints go; default: see :func:`choose_work_dir`.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.
        checkpoint: Weights to load at once, every key of which must fit.
        precision: Makes the model a :class:`~htcl.engine.predictor.Predictor` of this precision,
            for a runner that does nothing but predict; None leaves it as it is.

    Raises:
        MissingFileError: If the checkpoint, or a pretrained part to start from, does not exist.
        InvalidValueError: If a class or an argument of the config does not exist, or the
            checkpoint does not fit the config, or too little of the weights to start from
            (``load_from_min_fit``).
    """
    for option, file in (("checkpoint", checkpoint), ("load_from", cfg.get("load_from"))):
        if file is not None and "://" not in str(file) and not Path(file).is_file():
            raise MissingFileError(
                f"{option} {str(file)!r} does not exist; pretrain/README.md says where to get or "
                "how to train one"
            )
    register_checkpoint_loader()
    register_pretrained_check()
    cfg.work_dir = choose_work_dir(cfg, work_dir)
    set_up_launcher(cfg, launcher)
    if checkpoint is not None:
        cfg.load_from, cfg.resume = None, False
    goes_on = cfg.get("resume") and bool(checkpoints_of(cfg.work_dir))
    replaced = checkpoint is not None or cfg.get("load_from") is not None or goes_on
    check_pretrained_files(cfg.model, replaced)
    with config_errors(cfg):
        runner = OccupancyRunner.from_cfg(cfg)
    if cfg.get("load_from") is not None and not cfg.get("resume"):
        # Before the data are read and the run begins.
        check_fit(runner.model, cfg.load_from, cfg.get("load_from_min_fit", MIN_FIT), "load_from")
    set_up_convolutions(cfg)
    _choose_deterministic_operators()
    if checkpoint is not None:
        # Not the runner's method: it calls EMAHook, which is not ready before the run.
        load_weights(runner.model, checkpoint, cfg.filename)
        runner.evaluated_checkpoint = checkpoint
    if precision is not None:
        runner.model = Predictor(runner.model, precision, cfg.get("compile"))
    return runner


@contextlib.contextmanager
def config_errors(cfg: Config) -> Iterator[None]:
    """Turns what a registry says of unknown classes and arguments into InvalidValueError.

    That is an error that the registry itself met; errors inside classes pass.
    """
    try:
        yield
    except (KeyError, TypeError) as error:
        frames = traceback.extract_tb(error.__traceback__)
        if frames[-1].filename != build_functions.__file__:
            raise
        # mmengine's advice to read its manual follows.
        reason = str(error.args[0]).split(" Please check")[0]
        raise InvalidValueError(f"config {cfg.filename!r}: {reason}") from error


def load_model(
    cfg: Config, checkpoint: str | Path | None, device: torch.device | str = "cpu"
) -> nn.Module:
    """Builds the model of a config, in evaluation mode.

    Pretrained files of its parts (``init_cfg``) are not looked for: the checkpoint has all weights.

    Args:
        cfg: A config with the key ``model``.
        checkpoint: Weights, ours or released ones, every key of which must fit; None keeps the
            random ones.
        device: Where the model goes.

    Raises:
        MissingFileError: If the checkpoint does not exist.
        InvalidValueError: If the config names what does not exist, or the checkpoint does not fit.
    """
    init_default_scope(cfg.get("default_scope", "mmengine"))
    with config_errors(cfg):
        model: nn.Module = MODELS.build(cfg.model)
    if checkpoint is not None:
        load_weights(model, checkpoint, cfg.filename)
    return model.to(device).eval()


def set_up_convolutions(cfg: Config) -> None:
    """Sets cuDNN's limit of workspace (``cudnn_workspace_mb``) and ``env_cfg.cudnn_benchmark``.

    cuDNN reads its limit from the environment, when the first convolution runs on a GPU; a limit
    that is there already stays.
    """
    limit = cfg.get("cudnn_workspace_mb")
    if limit is not None:
        os.environ.setdefault("CUDNN_CONV_WSCAP_DBG", str(int(limit)))
    torch.backends.cudnn.benchmark = bool(cfg.get("env_cfg", {}).get("cudnn_benchmark", False))


def load_predictor(
    cfg: Config,
    checkpoint: str | Path | None,
    device: torch.device | str = "cpu",
    precision: str = "auto",
) -> Predictor:
    """Builds the model of a config by :func:`load_model` and makes it ready to predict.

    The config's key ``compile`` counts, see :func:`~htcl.engine.predictor.compile_forward`.

    Raises:
        MissingFileError: As :func:`load_model`.
        InvalidValueError: As :func:`load_model` and :class:`~htcl.engine.predictor.Predictor`.
    """
    set_up_convolutions(cfg)
    return Predictor(load_model(cfg, checkpoint, device), precision, cfg.get("compile"))


def choose_work_dir(cfg: Config, work_dir: str | Path | None = None) -> str:
    """``work_dir``, else ``cfg.work_dir``, else ``work_dirs/<config folder>/<config name>``."""
    chosen = cfg.get("work_dir") if work_dir is None else work_dir
    if chosen is not None:
        return str(chosen)
    # The folder too: configs of the same name exist at full and at mini size.
    config = Path(cfg.filename).resolve()
    return os.path.join("work_dirs", config.parent.name, config.stem)


def _choose_deterministic_operators() -> None:
    """Makes CPU runs repeatable to the bit, in whatever order the threads work.

    CUDA has no deterministic version of some operators (the backward passes of sampling and of
    trilinear resizing), so that the same switch would end or slow down a run there.
    """
    if not torch.cuda.is_available():
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Filling fresh memory only serves to find code that reads it unwritten.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
