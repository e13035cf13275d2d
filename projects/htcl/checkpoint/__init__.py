"""Checkpoints: safe reading, and the way between the released names and ours."""
