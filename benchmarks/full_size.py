"""One training step of a full-size network on a real stereo clip: time, peak memory, losses.

Runs forward and backward of the released configuration (activation checkpointing on) with random
weights on one sample of the training pipeline, and prints what it took. Needs no checkpoint.

Example:
  python benchmarks/full_size.py --data /datasets/semantickitti --frame 000005
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "projects/configs/occupancy/semantickitti/temporal_baseline.py"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="SemanticKITTI root")
    parser.add_argument("--config", default=CONFIG, help="full-size config (default: %(default)s)")
    parser.add_argument("--sequence", default="00")
    parser.add_argument("--frame", default="000000", help="a voxel frame (default: 000000)")
    parser.add_argument("--history-stride", type=int, default=1, help="images between frames")
    parser.add_argument("--forward-only", action="store_true", help="inference instead of a step")
    parser.add_argument("--device", help="default: a GPU if there is one")
    return parser.parse_args(argv)


def peak_memory_gib(device: str) -> float:
    """Peak memory of this process: of the GPU, or resident on a CPU."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Runs the step; returns losses, seconds and peak memory in GiB."""
    args = parse_args(argv)
    data = args.data.resolve()
    os.chdir(ROOT)
    import torch
    from environment import describe_environment
    from mmengine.dataset import pseudo_collate
    from mmengine.registry import DATASETS, MODELS, init_default_scope

    from htcl.config import load_config
    from htcl.models.interfaces import required_inputs

    print(describe_environment(), flush=True)
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    facts = {"data_root": str(data), "history_stride": args.history_stride}
    cfg = load_config(args.config, {**facts, "train_sequences": (args.sequence,)})
    init_default_scope(cfg.default_scope)
    inputs = required_inputs(cfg.model, training=True)
    dataset = DATASETS.build(
        {**cfg.train_dataloader.dataset, "inputs": inputs, "check_files": False}
    )
    names = [dataset.get_data_info(index)["frame"] for index in range(len(dataset))]
    batch = pseudo_collate([dataset[names.index(args.frame)]])
    model = MODELS.build(cfg.model).to(device)
    model.train(not args.forward_only)
    result: dict[str, float] = {}
    start = time.perf_counter()
    inputs = model.data_preprocessor(batch, training=not args.forward_only)
    if args.forward_only:
        with torch.no_grad():
            model(**inputs, mode="predict")
        result["forward_s"] = time.perf_counter() - start
    else:
        loss, logged = model.parse_losses(model(**inputs, mode="loss"))
        result["forward_s"] = time.perf_counter() - start
        loss.backward()
        result["backward_s"] = time.perf_counter() - start - result["forward_s"]
        result.update({name: float(value.detach()) for name, value in logged.items()})
        missing = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
        result["parameters_without_gradient"] = len(missing)
    result["peak_memory_gib"] = peak_memory_gib(device)
    print(f"{args.config}, {args.sequence}/{args.frame}, {device}, image and grid at full size")
    for name, value in result.items():
        print(f"  {name:32s} {value:10.4f}", flush=True)
    return result


if __name__ == "__main__":
    main()
