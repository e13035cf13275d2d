"""What drives the network: runner set-up, hooks, distributed runs."""

from htcl.engine import distributed, hooks

__all__ = ["distributed", "hooks"]
