"""The command-line tools, which the command ``htcl`` runs too (``htcl.tools`` when installed)."""
