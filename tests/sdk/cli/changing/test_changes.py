"""`steer replace patch edit diff` on a real apiserver."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from steersman.client import Api

from tests.apiserver.objects import config_map, deployment, pod
from tests.sdk.cli.changing.conftest import Done, Steer
from tests.waiting import eventually

MANIFEST = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {%s}\n"


# --- replace --------------------------------------------------------------------------------------------------------


async def test_a_manifest_replaces_everything(api: Api, steer: Steer) -> None:
    await api.configmaps.create(config_map("a", x="1", y="2"))
    assert await steer.ok("replace", "-f", "-", stdin=MANIFEST % ("a", "y: '3'")) == "configmap/a replaced\n"
    assert dict((await api.configmaps.get("a")).data) == {"y": "3"}
    assert (await steer("replace", "-f", "-", stdin=MANIFEST % ("b", ""))).code == 4
    text = await steer.ok("get", "cm", "a", "-o", "yaml")
    await api.configmaps.patch("a", b'{"data":{"z":"9"}}')
    stale = await steer("replace", "-f", "-", stdin=text)
    assert (stale.code, stale.err.count("\n")) == (1, 1)
    assert "resource version" in stale.err


async def test_an_object_is_made_anew(api: Api, steer: Steer) -> None:
    old = await api.pods.create(pod("p"))
    manifest = await steer.ok("get", "pod", "p", "-o", "yaml")
    path = steer.write("p.yaml", manifest.replace("a:1", "b:2"))
    assert (await steer("replace", "-f", path, "--grace-period=0")).code == 2
    assert await steer.ok("replace", "-f", path, "--force", "--grace-period=0") == "pod/p replaced\n"
    new = await api.pods.get("p")
    assert new.metadata.uid != old.metadata.uid
    assert new.spec.containers[0].image == "b:2"


# --- patch ----------------------------------------------------------------------------------------------------------


async def test_patches_of_all_languages(api: Api, steer: Steer) -> None:
    await api.deployments.create(deployment("web", 1))
    strategic = "spec: {template: {spec: {containers: [{name: side, image: 'b:1'}]}}}"
    assert await steer.ok("patch", "deploy", "web", "-p", strategic) == "deployment.apps/web patched\n"
    assert len((await api.deployments.get("web")).spec.template.spec.containers) == 2
    assert "(no change)" in await steer.ok("patch", "deploy/web", "-p", strategic)
    merge = '{"spec":{"template":{"spec":{"containers":[{"name":"only","image":"c:1"}]}}}}'
    await steer.ok("patch", "deploy", "web", "--type", "merge", "-p", merge)
    operations = steer.write("p.json", '[{"op":"replace","path":"/spec/replicas","value":4}]')
    await steer.ok("patch", "deploy", "web", "--type", "json", "--patch-file", operations)
    found = await api.deployments.get("web")
    assert [c.name for c in found.spec.template.spec.containers] == ["only"]
    assert found.spec.replicas == 4


async def test_patches_of_parts(api: Api, steer: Steer) -> None:
    await api.deployments.create(deployment("web", 1))
    await steer.ok("patch", "deploy", "web", "--subresource", "scale", "--type", "merge", "-p", "spec: {replicas: 3}")
    await steer.ok("patch", "deploy", "web", "--subresource=status", "--type=merge", "-p", '{"status":{"replicas":7}}')
    found = await api.deployments.get("web")
    assert (found.spec.replicas, found.status.replicas) == (3, 7)


async def test_a_patch_of_several_and_in_a_dry_run(api: Api, steer: Steer) -> None:
    for name in ("a", "b"):
        await api.configmaps.create(config_map(name))
    out = await steer.ok("patch", "cm", "a", "b", "--type", "merge", "-p", "data: {x: y}", "--dry-run")
    assert out == "configmap/a patched (server dry run)\nconfigmap/b patched (server dry run)\n"
    shown = await steer.json("patch", "cm/a", "--type", "merge", "-p", "data: {x: y}", "--dry-run=client")
    assert shown["data"] == {"x": "y"}
    assert not (await api.configmaps.get("a")).data


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["patch", "cm", "a"], "which patch?"),
        (["patch", "cm", "a", "-p", "[1"], "neither JSON nor YAML"),
        (["patch", "cm", "a", "-p", "[]"], "is a mapping"),
        (["patch", "cm", "a", "--type", "json", "-p", "{}"], "a list of operations"),
        (["patch", "-p", "{}"], "patch what?"),
        (["patch", "cm", "-p", "{}"], "patch which?"),
        (["patch", "cm", "a", "--patch-file", "/nonexistent"], "No such file"),
        (["patch", "cm", "nope", "-p", "{}"], "nope"),
        (["replace"], "replace by what?"),
        (["diff"], "compare with what?"),
        (["edit", "cm"], "edit which?"),
    ],
)
async def test_words_that_change_nothing(steer: Steer, words: list[str], says: str) -> None:
    done = await steer(*words)
    assert done.code in (1, 2, 4), done
    assert says in done.err, done
    assert done.err.count("\n") == 1, done


async def test_a_patch_that_does_not_fit(api: Api, steer: Steer) -> None:
    await api.deployments.create(deployment("web"))
    for patch in ('{"spec":{"replicas":"many"}}', '{"spec":{"replicas":-1}}', '{"spec":{"selector":null}}'):
        done = await steer("patch", "deploy", "web", "-p", patch)
        assert done.code == 1, done
        assert "spec." in done.err


# --- diff -----------------------------------------------------------------------------------------------------------


async def test_how_applying_would_differ(api: Api, steer: Steer) -> None:
    path = steer.write("a.yaml", MANIFEST % ("a", "x: '1', y: '2'"))
    fresh = await steer("diff", "-f", path)
    assert fresh.code == 1
    assert "+  x: '1'" in fresh.out
    await steer.ok("apply", "-f", path)
    same = await steer("diff", "-f", path)
    assert (same.code, same.out) == (0, "")
    steer.write("a.yaml", MANIFEST % ("a", "x: '1', y: '3'"))
    done = await steer("diff", "-f", path)
    assert done.code == 1
    assert "-  y: '2'\n+  y: '3'\n" in done.out
    assert "\x1b" not in done.out
    assert "managedFields" not in done.out
    assert dict((await api.configmaps.get("a")).data)["y"] == "2"


async def test_a_program_of_ones_own_compares(steer: Steer) -> None:
    path = steer.write("a.yaml", MANIFEST % ("a", "x: '1'"))
    program = steer.write("compare", '#!/bin/sh\necho "$@" > "$OUT"; ls "$2" >> "$OUT"; exit 1\n')
    Path(program).chmod(0o755)
    out = steer.folder / "out"
    done = await steer("diff", "-f", path, env={"STEER_DIFF": f"{program} --flag", "OUT": str(out)})
    assert done.code == 1
    assert "--flag" in out.read_text()
    missing = await steer("diff", "-f", path, env={"STEER_DIFF": "/nonexistent/diff"})
    assert (missing.code, "cannot be run" in missing.err) == (2, True)


async def test_what_cannot_be_compared_is_more_than_a_difference(steer: Steer) -> None:
    path = steer.write("p.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: Bad_}\nspec: {containers: []}\n")
    done = await steer("diff", "-f", path)
    assert done.code > 1


# --- edit -----------------------------------------------------------------------------------------------------------


def editor(steer: Steer, script: str) -> dict[str, str]:
    """An editor that runs a shell script with the file as $1, and counts its runs in the file `runs`."""
    path = steer.write("editor", f'#!/bin/sh\necho x >> {steer.folder}/runs\ncp "$1" {steer.folder}/last\n{script}\n')
    Path(path).chmod(0o755)
    return {"STEER_EDITOR": path}


def runs(steer: Steer) -> int:
    return (steer.folder / "runs").read_text().count("x")


async def test_an_object_is_edited(api: Api, steer: Steer) -> None:
    await api.configmaps.create(config_map("a", x="1", y="2"))
    changed = await steer("edit", "cm", "a", env=editor(steer, "sed -i 's/x: .1./x: one/; /y:/d' $1"))
    assert (changed.code, changed.out) == (0, "configmap/a edited\n"), changed
    assert dict((await api.configmaps.get("a")).data) == {"x": "one"}
    assert "managedFields" not in (steer.folder / "last").read_text()
    assert (await steer("edit", "cm/a", "-o", "json", env=editor(steer, "sed -i 's/one/two/' $1"))).code == 0
    assert dict((await api.configmaps.get("a")).data) == {"x": "two"}


async def test_an_edit_that_changes_nothing(api: Api, steer: Steer) -> None:
    before = await api.configmaps.create(config_map("a", x="1"))
    for script in ("true", ": > $1", "echo '# only notes' > $1"):
        done = await steer("edit", "cm", "a", env=editor(steer, script))
        assert (done.code, done.out) == (0, "")
        assert "cancelled, nothing changed" in done.err
    assert (await api.configmaps.get("a")).metadata.resource_version == before.metadata.resource_version


async def test_what_is_wrong_is_opened_again_with_the_reason(api: Api, steer: Steer) -> None:
    await api.deployments.create(deployment("web"))
    # First a typing error, then a value that the server refuses, then a good one.
    script = f"""case $(wc -l < {steer.folder}/runs) in
1) sed -i 's/replicas: 1/replicaz: 2/' $1;;
2) sed -i 's/replicaz: 2/replicas: -2/' $1;;
*) sed -i 's/replicas: -2/replicas: 5/' $1;;
esac"""
    done = await steer("edit", "deploy", "web", env=editor(steer, script))
    assert (done.code, done.out) == (0, "deployment.apps/web edited\n"), done
    assert runs(steer) == 3
    assert "spec.replicas" in "".join(
        line for line in (steer.folder / "last").read_text().splitlines() if line.startswith("#")
    )
    assert (await api.deployments.get("web")).spec.replicas == 5


async def test_what_stays_wrong_is_given_up_and_kept(api: Api, steer: Steer) -> None:
    await api.configmaps.create(config_map("a", x="1"))
    done = await steer("edit", "cm", "a", env=editor(steer, "sed -i 's/kind: ConfigMap/kind: Secret/' $1"))
    assert done.code == 1
    assert "what you wrote is kept in " in done.err
    kept = Path(done.err.strip().rpartition(" ")[2])
    assert "kind: Secret" in kept.read_text()
    kept.unlink()


async def test_an_editor_that_fails(api: Api, steer: Steer) -> None:
    await api.configmaps.create(config_map("a"))
    for program, says in (("/nonexistent/vi", "cannot be started"), ("false", "ended with 1")):
        done = await steer("edit", "cm", "a", env={"STEER_EDITOR": program})
        assert (done.code, done.err.count("\n")) == (1, 1)
        assert says in done.err


async def started(steer: Steer, change: str) -> asyncio.Task[Done]:
    """An edit whose editor is open: it goes on when the file `go` is there."""
    wait = f"touch {steer.folder}/open; until [ -e {steer.folder}/go ]; do sleep 0.01; done"
    task = asyncio.create_task(steer("edit", "cm", "a", env=editor(steer, f"{wait}; {change}")))
    await eventually((steer.folder / "open").exists)
    return task


async def test_what_others_change_elsewhere_meanwhile_stays(api: Api, steer: Steer) -> None:
    await api.configmaps.create(config_map("a", x="1", y="2"))
    editing = await started(steer, "sed -i 's/x: .1./x: mine/' $1")
    await api.configmaps.patch("a", b'{"data":{"y":"theirs"}}')
    (steer.folder / "go").touch()
    assert (await editing).code == 0
    assert dict((await api.configmaps.get("a")).data) == {"x": "mine", "y": "theirs"}


async def test_what_others_change_in_the_same_place_is_asked_about(api: Api, steer: Steer) -> None:
    await api.configmaps.create(config_map("a", x="1"))
    editing = await started(steer, "grep -q 'changed by somebody else' $1 || sed -i 's/x: .1./x: mine/' $1")
    await api.configmaps.patch("a", b'{"data":{"x":"theirs"}}')
    (steer.folder / "go").touch()
    done = await editing
    # It was opened again, saved as it was, and so given up.
    assert (done.code, runs(steer)) == (1, 2)
    assert "data.x" in done.err
    Path(done.err.strip().rpartition(" ")[2]).unlink()
    assert dict((await api.configmaps.get("a")).data) == {"x": "theirs"}


async def test_the_patch_of_an_edit(api: Api, steer: Steer) -> None:
    await api.configmaps.create(config_map("a", x="1"))
    out = await steer.ok("edit", "cm", "a", "--output-patch", env=editor(steer, "sed -i 's/x: .1./x: two/' $1"))
    assert json.loads(out.splitlines()[0].removeprefix("Patch: ")) == {"data": {"x": "two"}}
