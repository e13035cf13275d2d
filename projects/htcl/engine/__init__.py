"""What drives the network: runner set-up, hooks, mixed precision, distributed runs."""

from htcl.engine import bfloat16, distributed, hooks, runner, sharded_optimizer

__all__ = ["bfloat16", "distributed", "hooks", "runner", "sharded_optimizer"]
