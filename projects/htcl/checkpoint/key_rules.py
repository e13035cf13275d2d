"""Two-way renaming of state-dict keys by templates.

A rule is a pair of dotted prefixes, the released name and ours. ``#`` stands for one run of digits
and must occur equally often on both sides, so that every rule can be read in either direction. A
rule applies to a key that equals the prefix or continues it with a dot; of several rules that
apply, the longest prefix wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

KeyRule = tuple[str, str]


def rules_below(released: str, ours: str, rules: Iterable[KeyRule]) -> list[KeyRule]:
    """The rules for the names below two prefixes, which have no final dot."""
    return [(f"{released}.{theirs}", f"{ours}.{own}") for theirs, own in rules]


class KeyRenamer:
    """Applies rules to keys, forwards or backwards.

    Args:
        rules: The rules; their order does not matter.
        reverse: Rename ours -> released instead of released -> ours.

    Raises:
        ValueError: If a rule has a different number of ``#`` on its two sides.
    """

    def __init__(self, rules: Iterable[KeyRule], reverse: bool = False) -> None:
        self._patterns: list[tuple[re.Pattern[str], str]] = []
        pairs = [(rule[1], rule[0]) if reverse else rule for rule in rules]
        for source, target in sorted(pairs, key=lambda pair: -len(pair[0])):
            if source.count("#") != target.count("#"):
                raise ValueError(f"rule {source!r} -> {target!r}: the number of '#' differs")
            pattern = re.escape(source).replace(r"\#", r"(\d+)")
            self._patterns.append((re.compile(rf"{pattern}(?=\.|$)"), target))

    def __call__(self, key: str) -> str | None:
        """Returns the new name of ``key``, or None if no rule applies."""
        for pattern, target in self._patterns:
            match = pattern.match(key)
            if match:
                prefix = target.replace("#", "{}").format(*match.groups())
                return prefix + key[match.end() :]
        return None
