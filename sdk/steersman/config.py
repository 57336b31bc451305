"""The client's configuration file: which cluster, who am I.

    current-context: lab
    contexts:
      lab:
        server: unix:/run/steersman/lab/apiserver.sock     # or host:port
        server-name: apiserver                             # the name in the server's certificate
        certificate-authority: /run/steersman/lab/pki/ca.crt
        client-certificate: /run/steersman/lab/pki/admin.crt
        client-key: /run/steersman/lab/pki/admin.key
        token: ...                                         # instead of a certificate; or token-file: its path
        namespace: default

A program in a pod that has no such file is the pod's service account: its token, the authority and the namespace are
mounted, and the environment says where the apiserver is.

Each of the three files may be given inline instead, as `certificate-authority-data` and so on (base64 of PEM).
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

ENVIRONMENT = "STEERCONFIG"
DEFAULT = Path("~/.steer/config")
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
APISERVER_NAME = "kubernetes.default.svc"


class ConfigError(Exception):
    """The configuration cannot be used.

    Attributes:
        path: the file.
        reason: why, in words.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"cannot use the configuration {path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class Context:
    """How to reach one cluster, and as whom.

    Attributes:
        name: name of the context.
        server: "host:port" or "unix:/path"; several apiservers with commas between, of which one that answers is used.
        server_name: name that the server's certificate must carry; empty: the host of `server`.
        authority: PEM of the authority that signed the server's certificate, or its path.
        certificate: PEM of the client's certificate, or its path; None without one.
        key: PEM of the client's key, or its path; None without one.
        token: bearer token; empty without one.
        token_file: file with the bearer token, read again as it changes; None without one.
        scheduler: where the scheduler explains its decisions; empty: nobody has said.
        namespace: namespace when none is named.
    """

    name: str
    server: str
    server_name: str = ""
    authority: Path | bytes | None = None
    certificate: Path | bytes | None = None
    key: Path | bytes | None = None
    token: str = ""
    namespace: str = "default"
    token_file: Path | None = None
    scheduler: str = ""


def default_path() -> Path:
    """Where the configuration is: $STEERCONFIG or ~/.steer/config."""
    return Path(os.environ.get(ENVIRONMENT) or DEFAULT).expanduser()


def _material(path: Path, entry: dict[str, Any], name: str) -> Path | bytes | None:
    inline = entry.get(f"{name}-data")
    if inline is not None:
        try:
            return base64.b64decode(str(inline), validate=True)
        except binascii.Error as error:
            raise ConfigError(path, f"{name}-data is not base64") from error
    file = entry.get(name)
    return (path.parent / str(file)) if file is not None else None


def load(path: Path | None = None, context: str | None = None) -> Context:
    """Reads a context; the current one when none is named.

    Raises:
        ConfigError: the file is missing or unreadable, is not such a file, or has no such context.
    """
    if path is None and context is None and not default_path().exists():
        inside = in_pod(os.environ, ACCOUNT)
        if inside is not None:
            return inside
    path = path or default_path()
    try:
        document = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise ConfigError(path, "there is no such file; `steer up` starts a cluster and writes it") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path, str(error)) from error
    except yaml.YAMLError as error:
        raise ConfigError(path, f"not YAML: {error}") from error
    contexts = document.get("contexts") if isinstance(document, dict) else None
    if not isinstance(contexts, dict):
        raise ConfigError(path, "it has no contexts")
    name = context or document.get("current-context") or ""
    entry = contexts.get(name)
    if not isinstance(entry, dict):
        known = ", ".join(sorted(map(str, contexts))) or "none"
        import difflib

        close = difflib.get_close_matches(str(name), list(map(str, contexts)), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigError(path, f"it has no context {name!r} (it has: {known}){hint}")
    if not isinstance(entry.get("server"), str):
        raise ConfigError(path, f"context {name!r} names no server")
    return Context(
        name=str(name),
        server=entry["server"],
        server_name=str(entry.get("server-name", "")),
        authority=_material(path, entry, "certificate-authority"),
        certificate=_material(path, entry, "client-certificate"),
        key=_material(path, entry, "client-key"),
        token=str(entry.get("token", "")),
        token_file=path.parent / str(entry["token-file"]) if entry.get("token-file") else None,
        scheduler=str(entry.get("scheduler", "")),
        namespace=str(entry.get("namespace", "default")),
    )


def in_pod(environment: Mapping[str, str], account: Path) -> Context | None:
    """The context of a program in a pod; None when this is none, or one without a token.

    Args:
        environment: the program's environment.
        account: folder that the service account is mounted at.
    """
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "")
    token, authority = account / "token", account / "ca.crt"
    if not host or not port or not token.exists() or not authority.exists():
        return None
    namespace = account / "namespace"
    return Context(
        name="pod",
        server=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        server_name=APISERVER_NAME,
        authority=authority,
        namespace=namespace.read_text().strip() if namespace.exists() else "default",
        token_file=token,
    )


def save(path: Path, context: Context) -> None:
    """Adds or replaces a context in a file and makes it the current one; the file is readable by its owner only.

    Files are written whole and renamed, so a reader never sees half of one.

    Raises:
        ConfigError: a file exists there that is not a configuration.
    """
    document: dict[str, Any] = {}
    if path.exists():
        try:
            loaded = yaml.safe_load(path.read_text())
        except yaml.YAMLError as error:
            raise ConfigError(path, f"not YAML: {error}") from error
        if loaded is not None and not isinstance(loaded, dict):
            raise ConfigError(path, "it is not a configuration; not overwritten")
        document = loaded or {}
    entry: dict[str, str] = {"server": context.server}
    if context.server_name:
        entry["server-name"] = context.server_name
    for name, value in (
        ("certificate-authority", context.authority),
        ("client-certificate", context.certificate),
        ("client-key", context.key),
    ):
        if isinstance(value, Path):
            entry[name] = str(value)
        elif value is not None:
            entry[f"{name}-data"] = base64.b64encode(value).decode()
    if context.token:
        entry["token"] = context.token
    if context.token_file is not None:
        entry["token-file"] = str(context.token_file)
    if context.scheduler:
        entry["scheduler"] = context.scheduler
    entry["namespace"] = context.namespace
    document.setdefault("contexts", {})[context.name] = entry
    document["current-context"] = context.name
    write(path, document)


def remove(path: Path, name: str) -> None:
    """Takes a context out of a file; the file goes with its last context. Idempotent."""
    if not path.exists():
        return
    try:
        document = yaml.safe_load(path.read_text())
    except yaml.YAMLError:
        return
    if not isinstance(document, dict) or not isinstance(document.get("contexts"), dict):
        return
    document["contexts"].pop(name, None)
    if not document["contexts"]:
        path.unlink()
        if path.parent == DEFAULT.expanduser().parent:
            # The folder came with the file; it stays when anything else is in it.
            with suppress(OSError):
                path.parent.rmdir()
        return
    if document.get("current-context") == name:
        document["current-context"] = next(iter(document["contexts"]))
    write(path, document)


def write(path: Path, document: dict[str, Any]) -> None:
    """Replaces a file as a whole; it is readable by its owner only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        yaml.safe_dump(document, file, sort_keys=False)
    fresh.replace(path)


def with_namespace(context: Context, namespace: str | None) -> Context:
    """The same context with another default namespace, when one is given."""
    return replace(context, namespace=namespace) if namespace else context
