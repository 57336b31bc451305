"""Files and folders that become entries of ConfigMaps and Secrets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from steersman.cli.failures import USAGE, CommandError
from steersman.cli.generators.configuration import Entries, key_of_file, literal, merged, named_file, variables


def read(path: str, flag: str) -> bytes:
    """A file's content.

    Raises:
        CommandError: it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CommandError(f"{flag} {path}: {error.strerror}") from error


def entries(literals: Sequence[str], files: Sequence[str], env_files: Sequence[str]) -> Entries:
    """All entries that `--from-literal`, `--from-file` and `--from-env-file` name.

    Raises:
        CommandError: one cannot be read or is none, or a key is there twice.
    """
    if env_files and (literals or files):
        raise CommandError("--from-env-file goes with neither --from-file nor --from-literal", USAGE)
    groups = [(f"--from-file {word}", _of_file(word)) for word in files]
    groups += [(f"--from-literal {word.partition('=')[0]}", [literal(word)]) for word in literals]
    for path in env_files:
        try:
            content = read(path, "--from-env-file").decode()
        except UnicodeDecodeError as error:
            raise CommandError(f"--from-env-file {path}: not UTF-8 text (byte {error.start})") from error
        groups.append((path, [(key, value.encode()) for key, value in variables(content, path, os.environ)]))
    return merged(groups)


def _of_file(word: str) -> list[tuple[str, bytes]]:
    key, path = named_file(word)
    if Path(path).is_dir():
        if key:
            raise CommandError(f"--from-file {word}: a folder's files have names of their own", USAGE)
        return [(file.name, read(str(file), "--from-file")) for file in sorted(Path(path).iterdir()) if file.is_file()]
    return [(key or key_of_file(path), read(path, "--from-file"))]
