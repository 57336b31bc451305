"""The file of contexts as it is read, changed and shown by `steer config`."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steersman import config
from steersman.cli.failures import USAGE, CommandError
from steersman.cli.nearest import meant
from steersman.config import ConfigError

# What nobody is to read over a shoulder.
SECRETS = ("token", "client-key-data")
LONG = ("certificate-authority-data", "client-certificate-data")


def read(path: Path, *, may_be_new: bool = False) -> dict[str, Any]:
    """The file as plain data.

    Raises:
        ConfigError: it is not there, or not such a file.
    """
    import yaml

    if may_be_new and not path.exists():
        return {"contexts": {}}
    try:
        document = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise ConfigError(path, "there is no such file; `steer up` starts a cluster and writes it") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path, str(error)) from error
    except yaml.YAMLError as error:
        raise ConfigError(path, f"not YAML: {error}") from error
    document = document if document is not None else {}
    if not isinstance(document, dict) or not isinstance(document.setdefault("contexts", {}), dict):
        raise ConfigError(path, "it is not a configuration")
    return document


def entry(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A context of the file.

    Raises:
        CommandError: there is none.
    """
    found = document["contexts"].get(name)
    if not isinstance(found, dict):
        known = ", ".join(sorted(map(str, document["contexts"]))) or "none"
        raise CommandError(
            f"there is no context {name!r}{meant(name, document['contexts']) or f' (there are: {known})'}", USAGE
        )
    return found


def shown(document: Mapping[str, Any], *, raw: bool, only: str = "") -> dict[str, Any]:
    """The file for eyes: without keys and tokens, unless they are wanted.

    Args:
        document: the file.
        raw: with keys and tokens.
        only: this context alone.
    """
    contexts = {}
    for name, one in document["contexts"].items():
        if only and name != only:
            continue
        contexts[name] = dict(one) if isinstance(one, dict) else one
        if not raw and isinstance(one, dict):
            contexts[name] |= {key: "REDACTED" for key in SECRETS if key in one}
            contexts[name] |= {key: "DATA+OMITTED" for key in LONG if key in one}
    return {"current-context": document.get("current-context", ""), "contexts": contexts}


def put(one: dict[str, Any], values: Mapping[str, str | None], *, embed: bool) -> None:
    """Changes a context; None leaves a value, "" takes it away. Files are named from where the caller stands.

    Args:
        one: the context.
        values: by the names of the file's fields.
        embed: put the content of files into the context.

    Raises:
        CommandError: a file to embed cannot be read.
    """
    for name, value in values.items():
        if value is None:
            continue
        one.pop(name, None)
        one.pop(f"{name}-data", None)
        if not value:
            continue
        if name in ("certificate-authority", "client-certificate", "client-key"):
            path = Path(value).expanduser().resolve()
            if embed:
                try:
                    one[f"{name}-data"] = base64.b64encode(path.read_bytes()).decode()
                except OSError as error:
                    raise CommandError(f"{value}: {error.strerror}") from error
                continue
            value = str(path)
        elif name == "token-file":
            value = str(Path(value).expanduser().resolve())
        one[name] = value


def save(path: Path, document: dict[str, Any]) -> None:
    """Writes the file as a whole."""
    config.write(path, document)
