"""Names of files, and of runs: folders, arguments of job schedulers and words of a shell, safe as each."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

LONGEST = 80
"""Characters: with what is put before and behind it, a name stays within the 255 of file systems."""

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=,+-]*")
_PLAIN = re.compile(r"[a-z0-9][a-z0-9.]*")


def checked(name: str) -> str:
    """Return `name` if a run may be called so, else raise `ValueError`.

    Commas and signs of equality, by which schedulers split what they are given, are not allowed.
    """
    if not _SAFE.fullmatch(name) or len(name) > LONGEST:
        shown = name if len(name) <= LONGEST else f"{name[:LONGEST]}..."
        raise ValueError(
            f"run {shown!r} ({len(name)} characters) cannot be the name of a run; "
            f"use letters, digits and . _ + -, a letter or digit first, {LONGEST} characters at most"
        )
    return name


def as_file(kind: str, name: str) -> str:
    """Return `name` if it is safe as a file name on every system, else raise `ValueError`.

    Args:
        kind: what messages call the name, such as "run".
        name: letters, digits and . _ = , + -, of which a letter or digit comes first.

    Raises:
        ValueError: another character.
    """
    if not _FILE.fullmatch(name):
        raise ValueError(
            f"{kind} {name!r} cannot be a file name; "
            "use letters, digits and . _ = , + -, a letter or digit first"
        )
    return name


def automatic(overrides: Mapping[str, Any]) -> str:
    """The name of a run by its overrides: `seed-11_starts-400`.

    Where the name does not say everything, it ends in eight digits of the sha256 of the overrides: with texts
    that hold more than small letters and digits, and where it would be too long.
    """
    name = "_".join(f"{key}-{_word(value)}" for key, value in overrides.items())
    if len(name) <= LONGEST and all(_says_all(value) for value in overrides.values()):
        return checked(name)
    content = json.dumps(overrides, sort_keys=True, default=str)
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    return checked(f"{name[: LONGEST - 9].rstrip('._+-')}_{digest}")


def _word(value: Any) -> str:
    if isinstance(value, list):
        return "-".join(map(_word, value))
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", str(value).lower() if isinstance(value, bool) else str(value))


def _says_all(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_says_all(item) for item in value)
    return not isinstance(value, str) or _PLAIN.fullmatch(value) is not None
