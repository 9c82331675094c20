"""Shipped files: where they lie, and a check of every byte before use."""

from __future__ import annotations

import re
from pathlib import Path

from memlib.files import sha256


class DataError(ValueError):
    """A data file is missing, truncated or changed."""


def read_checksums(folder: Path) -> dict[str, str]:
    """File name -> sha256 from `folder/SHA256SUMS`, the format of the `sha256sum` command.

    Raises:
        DataError: if the list is missing or has a line of another form.
    """
    listing = folder / "SHA256SUMS"
    if not listing.is_file():
        raise DataError(
            f"{listing} is missing: {folder} must hold the shipped files; "
            f"restore it with 'git checkout -- {folder}'"
        )
    checksums = {}
    for line in filter(str.strip, listing.read_text().splitlines()):
        found = re.fullmatch(r"([0-9a-f]{64}) [ *](\S.*)", line)
        if found is None:
            raise DataError(
                f"{listing} has the line {line!r}, expected a sha256, two spaces and a file name; "
                f"restore it with 'git checkout -- {listing}'"
            )
        checksums[found[2]] = found[1]
    return checksums


def verified(folder: Path, name: str) -> Path:
    """Path of the shipped file `folder/name` once its sha256 agrees with `folder/SHA256SUMS`.

    Raises:
        DataError: naming the file, the hash found and expected, and how to get it back.
    """
    path, expected = folder / name, read_checksums(folder).get(name)
    remedy = f"restore it with 'git checkout -- {path}' (its origin is in {folder / 'README.md'})"
    if expected is None:
        raise DataError(f"{name} is not listed in {folder / 'SHA256SUMS'}; {remedy}")
    if not path.is_file():
        raise DataError(f"{path} is missing; expected a file with sha256 {expected}; {remedy}")
    found = sha256(path)
    if found != expected:
        size = path.stat().st_size
        raise DataError(
            f"{path} ({size:,} bytes) has sha256 {found}, expected {expected}: "
            f"it is truncated or changed; {remedy}"
        )
    return path
