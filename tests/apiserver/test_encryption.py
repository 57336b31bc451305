"""Secrets are encrypted where they are kept: on a real store, with keys that change while everything runs."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from steersman import errors
from steersman.client import Api
from steersman.core.v1 import Secret
from steersman.pki import Authority
from steersman.service.tls import TLSFiles

from apiserver import encryption
from apiserver import errors as domain
from apiserver.bootstrap import Apiserver, Settings, node_channels
from apiserver.storage.encrypted import EncryptedStorage, Keyring
from apiserver.storage.etcd import EtcdStorage, open_channels
from apiserver.storage.memory import MemoryStorage
from tests.apiserver.conftest import Served
from tests.apiserver.objects import config_map
from tests.store.running import StoreProcess
from tests.waiting import eventually

PLACE = "/registry/secrets/default/s"
WORD = b"swordfish-in-the-store"


def configuration(path: Path, *keys: str, identity: bool = True, resources: tuple[str, ...] = ("secrets",)) -> Path:
    """Writes a configuration; a key's material is its name, repeated."""
    listed = [{"name": key, "secret": base64.b64encode((key * 32)[:32].encode()).decode()} for key in keys]
    providers: list[Any] = [{"aesgcm": {"keys": listed}}] if keys else []
    providers += [{"identity": {}}] if identity else []
    entry = {"resources": list(resources), "providers": providers}
    path.write_text(yaml.safe_dump({"kind": "EncryptionConfiguration", "resources": [entry]}))
    return path


def secret(name: str = "s") -> Secret:
    made = Secret(data={"password": WORD})
    made.metadata.name, made.metadata.namespace = name, "default"
    return made


@asynccontextmanager
async def serving(storage: Any, folder: Path, authority: Authority, config: Path | None) -> AsyncIterator[Api]:
    """An apiserver on a storage, and the administrator's client of it."""
    tls = TLSFiles(folder / "apiserver.crt", folder / "apiserver.key", folder / "ca.crt")
    settings = Settings(addresses=["localhost:0"], tls=tls, encryption=config)
    apiserver = Apiserver(settings, storage, node_channel=node_channels(tls))
    await apiserver.start()
    await apiserver.ready()
    served = Served(apiserver, storage, folder, authority)
    try:
        yield served.as_user("admin", "system:masters")
    finally:
        for api in served.opened:
            await api.close()
        await apiserver.stop(grace_s=0)


async def test_a_dump_of_a_real_store_shows_no_secret(identities: tuple[Path, Authority], tmp_path: Path) -> None:
    folder, authority = identities
    config = configuration(tmp_path / "encryption.yaml", "one")
    data = tmp_path / "data"
    process = StoreProcess(data).start()
    try:
        channels = open_channels([f"http://{process.target}"], authority=None, certificate=None, key=None)
        storage = EtcdStorage(channels)
        async with serving(storage, folder, authority, config) as api:
            await api.secrets.create(secret())
            shown = config_map("plain")
            shown.data["word"] = WORD.decode() + "-shown"
            await api.configmaps.create(shown)
            assert (await api.secrets.get("s")).data["password"] == WORD
            event = await anext(api.secrets.watch(namespace="default"))
            assert event.object is not None
            assert event.object.data["password"] == WORD
        raw = await storage.get(PLACE)
        assert raw is not None
        assert raw.value.startswith(b"k8s:enc:aesgcm:v1:one:")
        for channel in channels:
            await channel.close()
    finally:
        process.kill()
    content = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    # The same word is found where it was not encrypted, so that not finding it means something.
    assert content.count(WORD) == content.count(WORD + b"-shown") > 0


async def test_keys_change_while_everything_runs(identities: tuple[Path, Authority], tmp_path: Path) -> None:
    folder, authority = identities
    storage = MemoryStorage()
    config = tmp_path / "encryption.yaml"
    async with serving(storage, folder, authority, None) as api:
        for index in range(5):
            await api.secrets.create(secret(f"s{index}"))

    async def all_begin_with(prefix: bytes) -> bool:
        page = await storage.list("/registry/secrets/")
        return len(page.items) == 5 and all(item.value.startswith(prefix) for item in page.items)

    async with serving(storage, folder, authority, configuration(config, "one")) as api:
        await eventually(lambda: all_begin_with(b"k8s:enc:aesgcm:v1:one:"))
        watch = api.secrets.watch(namespace="default")
        while not (await anext(watch)).initial_state_end:
            pass
        config.write_text("kind: Nonsense")
        configuration(config, "two", "one")
        await eventually(lambda: all_begin_with(b"k8s:enc:aesgcm:v1:two:"))
        event = await anext(watch)
        assert event.object is not None
        assert event.object.data["password"] == WORD
        await watch.aclose()
        configuration(config, "two", identity=False)
        assert [each.data["password"] for each in await api.secrets.list(namespace="default")] == [WORD] * 5
    async with serving(storage, folder, authority, configuration(config, "three")) as api:
        with pytest.raises(errors.ServerError, match="there is no key 'two'"):
            await api.secrets.get("s0")
        with pytest.raises(errors.ServerError, match="cannot be decrypted"):
            await api.secrets.list(namespace="default")
    # And back to plain text.
    listed = {"aesgcm": {"keys": [{"name": "two", "secret": base64.b64encode(("two" * 32)[:32].encode()).decode()}]}}
    entry = {"resources": ["secrets"], "providers": [{"identity": {}}, listed]}
    config.write_text(yaml.safe_dump({"kind": "EncryptionConfiguration", "resources": [entry]}))
    async with serving(storage, folder, authority, config) as api:

        async def all_plain() -> bool:
            page = await storage.list("/registry/secrets/")
            return all(not item.value.startswith(b"k8s:enc:") and WORD in item.value for item in page.items)

        await eventually(all_plain)


async def test_a_value_cannot_be_moved_or_changed() -> None:
    below = MemoryStorage()
    ring = Keyring([("k", b"0" * 32)], plain=False)
    storage = EncryptedStorage(below, {"/registry/secrets/": ring}, lambda count: bytes(range(count)))
    await storage.create(PLACE, b"content")
    sealed = await below.get(PLACE)
    assert sealed is not None
    await below.create(f"{PLACE}2", sealed.value)
    await below.create(f"{PLACE}3", sealed.value[:-1] + bytes([sealed.value[-1] ^ 1]))
    await below.create(f"{PLACE}4", b"plain")
    for place, why in (("2", "damaged"), ("3", "damaged"), ("4", "not encrypted")):
        with pytest.raises(domain.Undecipherable, match=why):
            await storage.get(PLACE + place)
    assert (await storage.get(PLACE)) == (PLACE, b"content", sealed.revision)
    await storage.create("/registry/configmaps/default/c", b"shown")
    assert (await below.get("/registry/configmaps/default/c")) is not None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "kind"),
        ("kind: EncryptionConfiguration", "resources must be a list"),
        (
            "{kind: EncryptionConfiguration, resources: [{resources: [bananas], providers: [{identity: {}}]}]}",
            "bananas",
        ),
        ("{kind: EncryptionConfiguration, resources: [{resources: [secrets], providers: [{kms: {}}]}]}", "'kms'"),
        (
            "{kind: EncryptionConfiguration, resources: [{resources: [secrets], providers: "
            "[{aesgcm: {keys: [{name: a, secret: YQ==}]}}]}]}",
            "1 bytes",
        ),
        ("a: [", "while parsing"),
    ],
)
def test_a_configuration_that_makes_no_sense(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "encryption.yaml"
    path.write_text(text)
    with pytest.raises(encryption.EncryptionFileError, match=why):
        encryption.read(path)
