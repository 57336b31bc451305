"""Which values are encrypted with what: Kubernetes' EncryptionConfiguration, read again whenever its file changes."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog
import yaml
from steersman import kinds

from apiserver import errors
from apiserver.registry import ROOT
from apiserver.storage.encrypted import EncryptedStorage, Keyring
from apiserver.storage.port import Compacted

log = structlog.get_logger(__name__)

KEY_BYTES = (16, 24, 32)
LOOK_EVERY_S = 1.0


class EncryptionFileError(Exception):
    """The configuration cannot be used; the message says where and why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"cannot use the encryption configuration {path}: {reason}")
        self.path = path


def read(path: Path) -> dict[str, Keyring]:
    """Keys by prefix in the store.

    Raises:
        EncryptionFileError: the file is missing or makes no sense.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise EncryptionFileError(path, str(error)) from error
    if not isinstance(document, dict) or document.get("kind") != "EncryptionConfiguration":
        raise EncryptionFileError(path, "its kind is not EncryptionConfiguration")
    rings: dict[str, Keyring] = {}
    for index, entry in enumerate(_list(path, document, "resources")):
        at = f"resources[{index}]"
        ring = _ring(path, at, _list(path, entry, "providers", at))
        for name in _list(path, entry, "resources", at):
            for prefix in _prefixes(path, f"{at}.resources", str(name)):
                rings.setdefault(prefix, ring)
    return rings


def _list(path: Path, holder: Any, name: str, at: str = "") -> list[Any]:
    value = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(value, list) or not value:
        where = f"{at}.{name}" if at else name
        raise EncryptionFileError(path, f"{where} must be a list that is not empty")
    return value


def _prefixes(path: Path, at: str, name: str) -> list[str]:
    known = {kind.qualified_plural for kind in kinds.every()}
    if name == "*.*":
        return [f"{ROOT}{each}/" for each in sorted(known)]
    if name not in known:
        raise EncryptionFileError(path, f"{at}: {name!r} is no kind that is served")
    return [f"{ROOT}{name}/"]


def _ring(path: Path, at: str, providers: list[Any]) -> Keyring:
    keys: list[tuple[str, bytes]] = []
    plain = plain_first = False
    for index, provider in enumerate(providers):
        where = f"{at}.providers[{index}]"
        if not isinstance(provider, dict) or len(provider) != 1:
            raise EncryptionFileError(path, f"{where} must name one provider")
        ((kind, content),) = provider.items()
        if kind == "identity":
            plain, plain_first = True, index == 0
            continue
        if kind != "aesgcm":
            raise EncryptionFileError(path, f"{where}: {kind!r} is not one of aesgcm, identity")
        for number, key in enumerate(_list(path, content, "keys", f"{where}.aesgcm")):
            keys.append(_key(path, f"{where}.aesgcm.keys[{number}]", key))
    if len({name for name, _ in keys}) != len(keys):
        raise EncryptionFileError(path, f"{at}: two keys have the same name")
    return Keyring(keys, plain=plain, plain_first=plain_first)


def _key(path: Path, at: str, key: Any) -> tuple[str, bytes]:
    name, secret = (key.get("name"), key.get("secret")) if isinstance(key, dict) else (None, None)
    if not isinstance(name, str) or not name or ":" in name:
        raise EncryptionFileError(path, f"{at}.name must be a name without ':'")
    try:
        material = base64.b64decode(str(secret), validate=True)
    except (binascii.Error, ValueError) as error:
        raise EncryptionFileError(path, f"{at}.secret is not base64") from error
    if len(material) not in KEY_BYTES:
        raise EncryptionFileError(path, f"{at}.secret is {len(material)} bytes, not one of {KEY_BYTES}")
    return name, material


async def follow(storage: EncryptedStorage, path: Path, sleep: Callable[[float], Awaitable[None]]) -> None:
    """Seals what is not sealed as the configuration says, now and whenever it changes; until cancelled."""
    version = _version(path)
    sealed = False
    while True:
        if not sealed:
            try:
                count = await storage.seal_anew()
                sealed = True
                log.info("values are encrypted as configured", written=count)
            except (errors.ApiserverError, Compacted) as error:
                log.warning("values were not encrypted anew, trying again", error=str(error))
        await sleep(LOOK_EVERY_S)
        latest = _version(path)
        if latest == version:
            continue
        try:
            storage.replace_rings(read(path))
        except EncryptionFileError as error:
            # Half written, or wrong: what was read before still holds.
            log.error("the encryption configuration is not taken over", error=str(error))
        else:
            sealed = False
        version = latest


def _version(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
