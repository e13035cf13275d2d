"""Two checks of a GPU for benchmarks/gpu_check.sh: its numbers against the CPU's, its kernels.

  parity   the same weights and noise on the CPU in fp32 and on the device in each precision: share
           of voxels with the same class, relative L2 error of the logits
  kernels  the heaviest kernels of a prediction

Examples:
  python benchmarks/gpu_check.py parity --precision fp32 fp16 bf16 --size 192 640
  python benchmarks/gpu_check.py kernels --precision bf16 --top 10
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from htcl.command_line import count, run_tool, tool_parser

FULL = "projects/configs/occupancy/semantickitti/htcl_plus.py"
# Share of equal classes that is asked for: random weights decide narrowly, so rounding flips some.
BOUNDS = {"fp32": 0.99, "tf32": 0.98, "fp16": 0.98, "bf16": 0.9}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument("what", choices=("parity", "kernels"))
    parser.add_argument("--config", default=FULL, help="default: %(default)s")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda", help="default: cuda")
    parser.add_argument("--precision", nargs="+", choices=tuple(BOUNDS), default=["fp32"])
    parser.add_argument(
        "--size", type=count, nargs=2, metavar=("H", "W"), help="of the network image"
    )
    parser.add_argument("--top", type=count, default=10, help="kernels to list (default: 10)")
    return parser.parse_args(argv)


def work(args: argparse.Namespace) -> int:
    """Checks; returns the exit status."""
    import torch
    from environment import describe_environment
    from mmengine.registry import init_default_scope

    from htcl.config import load_config
    from htcl.engine.synthetic_input import set_input_size
    from htcl.errors import InvalidValueError

    if args.device == "cuda" and not torch.cuda.is_available():
        raise InvalidValueError("--device cuda: this machine has no GPU that PyTorch can use")
    print(describe_environment(), flush=True)
    cfg = load_config(args.config)
    init_default_scope(cfg.get("default_scope", "mmengine"))
    if args.size:
        set_input_size(cfg, tuple(args.size))
    if args.what == "parity":
        return parity(cfg, args)
    for precision in args.precision:
        print(f"\n{kernels(cfg, precision, args)}", flush=True)
    return 0


def parity(cfg: Any, args: argparse.Namespace) -> int:
    """Compares logits; returns 1 if too few classes are equal."""
    import torch
    from bench_child import build_model, fold, logits_of
    from bench_inputs import synthetic_batch, to_device

    # Trying convolutions takes longer than all that is compared.
    cfg.env_cfg.cudnn_benchmark = False
    cpu, device = torch.device("cpu"), torch.device(args.device)
    model = build_model(cfg, "fp32", cpu).eval()
    batch = synthetic_batch(model, cfg, 1, training=False)
    expected = logits_of(model, batch, "fp32")
    classes, norm = expected.argmax(dim=1), expected.norm()
    # The device's own copy of the same weights: seed 0 in each.
    batch = to_device(batch, device)
    failed = 0
    print("| precision | equal classes | relative L2 error of the logits | at least |")
    print("| --- | --- | --- | --- |", flush=True)
    for precision in args.precision:
        model = build_model(cfg, precision, device).eval()
        # The device's network as it predicts, against the CPU's as it was trained.
        fold(model)
        found = logits_of(model, batch, precision).cpu().float()
        equal = float((found.argmax(dim=1) == classes).float().mean())
        error = float((found - expected).norm() / norm)
        bound = BOUNDS[precision]
        failed += not equal >= bound
        print(f"| {precision} | {equal:.3%} | {error:.2e} | {bound:.0%} |", flush=True)
    return 1 if failed else 0


def kernels(cfg: Any, precision: str, args: argparse.Namespace) -> str:
    """Profiles a prediction; returns a table of the heaviest kernels (operators on a CPU)."""
    import torch
    from bench_child import build_model, fold, prediction_step
    from bench_inputs import synthetic_batch, to_device
    from torch.profiler import ProfilerActivity, profile

    device = torch.device(args.device)
    model = build_model(cfg, precision, device).eval()
    fold(model)
    batch = to_device(synthetic_batch(model, cfg, 1, training=False), device)
    step = prediction_step(model, batch, precision)
    cuda = device.type == "cuda"
    for _ in range(3 if cuda else 1):
        step()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with profile(activities=activities) as profiler:
        step()
        if cuda:
            torch.cuda.synchronize()
    found = []
    for event in profiler.key_averages():
        on_device = event.device_type.name != "CPU"
        if on_device == cuda:
            time = event.self_device_time_total if cuda else event.self_cpu_time_total
            found.append((time / 1000, event.count, event.key))
    whole = sum(time for time, *_ in found)
    lines = [
        f"{args.config}, {precision}: {whole:.1f} ms in {sum(n for _, n, _ in found)} "
        f"{'kernels' if cuda else 'operators'}",
        "",
        f"| {'kernel' if cuda else 'operator'} | calls | ms | share |",
        "| --- | --- | --- | --- |",
    ]
    for time, calls, name in sorted(found, reverse=True)[: args.top]:
        short = name.replace("|", "/")[:90]
        lines.append(f"| {short} | {calls} | {time:.2f} | {time / whole:.1%} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Runs the tool; returns the exit status."""
    return run_tool("gpu_check", work, parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
