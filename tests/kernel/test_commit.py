"""What a container has changed, as a layer: run again, it is the same tree."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import time
from typing import TYPE_CHECKING

import pytest

from labcontainer.errors import Conflict, NotFound, SpecError, UsageError
from labcontainer.image.image import Image

if TYPE_CHECKING:
    from labcontainer.engine import Engine

# Everything that a layer can say: made, changed, removed, replaced by another kind, linked, moved in and out.
CHANGES = """
set -e
mkdir -p /new/deep; echo one > /new/deep/file; ln /new/deep/file /new/hard; ln -s deep/file /new/soft; mkfifo /new/pipe
echo more >> /etc/os-release; chmod 600 /etc/group
rm /etc/passwd; rm -r /home; mkdir /home; echo fresh > /home/only
rm /etc/hosts 2>/dev/null || true; rm -rf /var; echo file > /var
touch -d @1700000000 /new/deep/file /new/deep
truncate -s 40M /new/holes; echo end >> /new/holes
"""
LISTING = 'set +e; cd / && find . -xdev ! -path "./proc*" ! -path "./sys*" ! -path "./dev*" ! -path "./etc/hosts" \
! -path "./etc/hostname" ! -path "./etc/resolv.conf" | sort | while read -r f; do stat -c "%n %f %u %g" "$f"; \
[ -f "$f" ] && [ ! -L "$f" ] && stat -c %h "$f" && md5sum < "$f"; [ -L "$f" ] && readlink "$f"; done; exit 0'


def run(engine: Engine, image: str, script: str) -> bytes:
    return bytes(engine.containers.run(image, ["sh", "-c", script], remove=True))


def committed(engine: Engine, script: str, name: str, **settings: object) -> tuple[Image, bytes]:
    """The image of a container in which `script` has run, and the whole of its tree as it was then."""
    container = engine.containers.create("lab/base", ["sh", "-c", f"{script}\n{LISTING}"])
    try:
        container.start()
        assert container.wait()["StatusCode"] == 0, container.logs()
        repository, _, tag = name.partition(":")
        return container.commit(repository, tag, **settings), container.logs(stderr=False)
    finally:
        container.remove(force=True)


def test_a_container_of_the_new_image_has_the_same_tree(apart: Engine) -> None:
    image, tree = committed(apart, CHANGES, "made/here:1", message="all kinds", author="me")
    assert image.tags == ("made/here:1",)
    assert (image.config.history[-1].comment, image.config.author) == ("all kinds", "me")
    assert run(apart, "made/here:1", LISTING).decode() == tree.decode()
    assert b"1700000000" in run(apart, "made/here:1", "stat -c %Y /new/deep/file")


def test_the_layer_has_whiteouts_links_and_holes_and_no_more_than_changed(apart: Engine) -> None:
    image, _ = committed(apart, CHANGES, "made/here:2")
    with apart.store.open_blob(image.layers[-1].digest) as blob, tarfile.open(fileobj=blob, mode="r:gz") as archive:
        members = {member.name: member for member in archive.getmembers()}
    assert members["etc/.wh.passwd"].size == 0
    assert "var" in members
    assert {"new/hard", "new/deep/file"} <= set(members)
    assert sum(member.islnk() for member in members.values()) == 1
    assert members["new/soft"].linkname == "deep/file"
    assert stat.S_IMODE(members["etc/group"].mode) == 0o600
    assert image.layers[-1].size < 100_000  # the forty megabytes of nothing are not in it
    assert not [name for name in members if name.startswith(("dev/", "proc/", "sys/"))]


def test_the_same_changes_give_the_same_layer(apart: Engine) -> None:
    script = "mkdir /d; echo x > /d/f; find /d -exec touch -d @5 {} +"
    first, _ = committed(apart, script, "same:1")
    second, _ = committed(apart, script, "same:2")
    assert first.layers == second.layers


def test_settings_of_container_and_changes_are_the_images(apart: Engine) -> None:
    container = apart.containers.create(
        "lab/base", "true", environment={"A": "1"}, labels={"l": "v"}, working_dir="/tmp", stop_signal="SIGINT"
    )
    try:
        image = container.commit(changes=['CMD ["sh", "-c", "echo $A $B; pwd"]', "ENV B=2"])
    finally:
        container.remove()
    settings = image.config.config
    assert image.tags == ()
    assert (settings.labels, settings.working_dir, settings.stop_signal) == ({"l": "v"}, "/tmp", "SIGINT")
    assert apart.containers.run(str(image.id), remove=True) == b"1 2\n/tmp\n"


def test_a_running_container_stands_still_meanwhile_and_goes_on(apart: Engine) -> None:
    container = apart.containers.create("lab/base", ["sh", "-c", "while :; do echo x >> /grows; done"])
    try:
        container.start()
        container.commit("still/here")
        assert container.status == "running"
        seen = apart.events(since=0, until=time.time(), filters={"container": container.id}, decode=True)
        told = [event["Action"] for event in seen]
        # As an ordinary user without a cgroup there is no freezer.
        assert told[-3:] == ["pause", "unpause", "commit"]
    finally:
        container.remove(force=True)


def test_a_bad_change_is_refused_before_anything_is_done(apart: Engine) -> None:
    container = apart.containers.create("lab/base", "true")
    try:
        with pytest.raises(UsageError, match="RUN"):
            container.commit("x/y", changes=["RUN make"])
        with pytest.raises(UsageError, match="repository"):
            container.commit(tag="1")
        with pytest.raises(NotFound):
            apart.store.resolve("x/y")
    finally:
        container.remove()


def test_an_image_goes_with_its_last_name_unless_a_container_stands_on_it(apart: Engine) -> None:
    image, _ = committed(apart, "echo x > /f", "going/soon:1")
    apart.images.tag("going/soon:1", "going/soon:2")
    assert apart.images.remove("going/soon:1") == [{"Untagged": "going/soon:1"}]
    container = apart.containers.create("going/soon:2", "true")
    try:
        with pytest.raises(Conflict, match=container.name):
            apart.images.remove("going/soon:2")
        done = apart.images.remove("going/soon:2", force=True)
        assert done[:2] == [{"Untagged": "going/soon:2"}, {"Deleted": str(image.id)}]
        # The container keeps the layers that it stands on.
        container.start()
        assert container.wait()["StatusCode"] == 0
    finally:
        container.remove(force=True)
    apart.images.prune()
    assert not (apart.snapshots.root / image.diff_ids[-1].hex).exists()
    assert not apart.store.blobs.has(image.layers[-1].digest)
    assert apart.images.get("lab/base").layers[0].digest in {digest for digest, _ in apart.store.blobs.all()}


def test_a_root_from_a_tar_is_an_image(apart: Engine) -> None:
    container = apart.containers.create("lab/base", ["sh", "-c", "echo whole > /kept"])
    try:
        container.start()
        container.wait()
        root = b"".join(container.export())
    finally:
        container.remove(force=True)
    image = apart.images.import_image(io.BytesIO(root), "flat", "1", changes=['CMD ["cat", "/kept"]'], message="flat")
    assert (len(image.layers), image.config.history[0].comment) == (1, "flat")
    assert apart.containers.run("flat:1", remove=True) == b"whole\n"
    with pytest.raises(SpecError, match="not a tar archive"):
        apart.images.import_image(io.BytesIO(os.urandom(3000)), "flat", "2")
    with pytest.raises(NotFound):
        apart.store.resolve("flat:2")
