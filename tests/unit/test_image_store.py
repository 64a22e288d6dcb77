from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainer.errors import Conflict, DigestMismatch, InvalidReference, NotFound, SpecError
from labcontainer.image.image import Image
from labcontainer.image.store import Store
from labcontainer.oci import fields, media_types
from labcontainer.oci.descriptor import Descriptor, Platform
from labcontainer.oci.digest import Digest
from labcontainer.oci.image_config import Execution, ImageConfig, RootFs
from labcontainer.oci.manifest import Index

HELLO = Digest.of(b"hello")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "images")


def add(store: Store, tag: str | None = None, *, command: str = "sh", architecture: str = "amd64") -> Image:
    layer = store.add_blob(media_types.LAYER, [b"not really ", command.encode()])
    config = ImageConfig(architecture, "linux", RootFs("layers", (layer.digest,)), config=Execution(cmd=(command,)))
    return store.add_image(config, [layer], tag=tag)


def index(store: Store) -> list[dict[str, object]]:
    return list(json.loads((store.root / "index.json").read_text())["manifests"])


def test_a_blob_is_found_under_its_digest(store: Store) -> None:
    descriptor = store.add_blob("text/plain", [b"hel", b"lo"])
    assert (descriptor.digest, descriptor.size) == (HELLO, 5)
    with store.open_blob(HELLO) as file:
        assert file.read() == b"hello"
    assert store.add_blob("text/plain", [b"hello"]) == descriptor


def test_content_that_is_not_what_was_announced_leaves_nothing(store: Store) -> None:
    with pytest.raises(DigestMismatch):
        store.add_blob("text/plain", [b"hullo"], expected=HELLO)
    assert not store.blobs.has(HELLO)
    assert list((store.root / "partial").iterdir()) == []


def test_a_writer_that_fails_half_way_leaves_nothing(store: Store) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.add_blob("text/plain", chunks())
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


def test_what_a_killed_writer_has_left_is_cleared_by_the_next(store: Store) -> None:
    (store.root / "partial").mkdir(parents=True)
    (store.root / "partial" / "left").write_bytes(b"half")
    store.add_blob("text/plain", [b"hello"])
    assert list((store.root / "partial").iterdir()) == []


def test_a_writer_does_not_clear_what_another_one_is_writing(store: Store) -> None:
    with store.blobs.writer() as one:
        one.write(b"hello")
        store.add_blob("text/plain", [b"other"])
    assert one.digest == HELLO
    assert store.blobs.has(HELLO)


def test_an_empty_store_has_no_images(store: Store) -> None:
    assert store.images() == ()
    with pytest.raises(NotFound) as missing:
        store.resolve("lab/base")
    assert (missing.value.kind, missing.value.name) == ("image", "lab/base")


def test_an_image_is_found_by_every_way_of_naming_it(store: Store) -> None:
    image = add(store, "lab/base")
    assert image.tags == ("lab/base:latest",)
    names = ["lab/base", "lab/base:latest", "docker.io/lab/base", f"lab/base@{image.descriptor.digest}"]
    names += [str(image.id), image.id.hex, image.id.short, image.id.hex[:4]]
    assert [store.resolve(name).id for name in names] == [image.id] * len(names)


def test_another_process_sees_what_was_added(store: Store) -> None:
    other = Store(store.root)
    assert other.images() == ()
    image = add(store, "lab/base")
    assert other.images() == (image,)


@pytest.mark.parametrize("name", ["lab/other", "lab/base:v2", "0123456789ab", "sha256:" + "0" * 64])
def test_what_is_not_there_is_not_found(store: Store, name: str) -> None:
    add(store, "lab/base")
    with pytest.raises(NotFound):
        store.resolve(name)


@pytest.mark.parametrize("name", ["", "lab/BASE", "lab/base:", "../x", "a b"])
def test_what_is_no_name_is_said_to_be_none(store: Store, name: str) -> None:
    with pytest.raises(InvalidReference):
        store.resolve(name)


def test_a_name_comes_before_an_id(store: Store) -> None:
    first = add(store, "lab/base")
    named = add(store, first.id.hex[:8], command="other")
    assert store.resolve(first.id.hex[:8]).id == named.id


def test_an_id_that_is_the_beginning_of_two_is_refused(store: Store) -> None:
    ids: dict[str, int] = {}
    for number in range(2000):
        prefix = add(store, command=str(number)).id.hex[:4] if number < 1 else _id_of(str(number))[:4]
        if prefix in ids:
            break
        ids[prefix] = number
    else:
        pytest.fail("no two ids begin alike")
    for command in (str(ids[prefix]), str(number)):
        add(store, command=command)
    with pytest.raises(Conflict, match="several ids"):
        store.resolve(prefix)


def _id_of(command: str) -> str:
    layer = Digest.of(f"not really {command}".encode())
    config = ImageConfig("amd64", "linux", RootFs("layers", (layer,)), config=Execution(cmd=(command,)))
    return Digest.of(fields.dump(config)).hex


def test_a_tag_that_moves_leaves_the_old_image_without_one(store: Store) -> None:
    old = add(store, "lab/base", command="old")
    new = add(store, "docker.io/lab/base:latest", command="new")
    assert store.resolve("lab/base").id == new.id
    assert {image.id: image.tags for image in store.images()} == {old.id: (), new.id: ("lab/base:latest",)}


def test_an_image_of_two_tags_is_one_image(store: Store) -> None:
    image = add(store, "lab/base")
    store.tag(image.descriptor, "lab/base:v1")
    store.tag(image.descriptor, "lab/base:v1")
    assert [one.tags for one in store.images()] == [("lab/base:latest", "lab/base:v1")]
    store.tag(add(store, command="new").descriptor, "lab/base")
    assert store.resolve("lab/base:v1").tags == ("lab/base:v1",)
    assert len(index(store)) == 2


def test_the_layout_is_the_one_that_the_specification_draws(store: Store) -> None:
    image = add(store, "lab/base")
    assert json.loads((store.root / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = index(store)
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": "lab/base"}
    assert entry["platform"] == {"architecture": "amd64", "os": "linux"}
    assert (store.root / "blobs" / "sha256" / image.descriptor.digest.hex).is_file()


def test_names_that_other_tools_gave_are_understood(store: Store) -> None:
    image = add(store, "lab/base")
    text = (store.root / "index.json").read_text()
    (store.root / "index.json").write_text(text.replace('"lab/base"', '"docker.io/library/alpine:3.20"'))
    assert store.resolve("alpine:3.20").id == image.id
    (store.root / "index.json").write_text(text.replace('"lab/base"', '"no name"'))
    assert store.images()[0].tags == ()


def test_a_blob_that_was_changed_on_disk_is_not_believed(store: Store) -> None:
    image = add(store, "lab/base")
    store.blobs.path(image.descriptor.digest).write_bytes(b"{}")
    with pytest.raises(DigestMismatch):
        Store(store.root).resolve("lab/base")


def test_a_damaged_image_does_not_hide_the_others(store: Store) -> None:
    os.unlink(store.blobs.path(add(store, "lab/broken", command="x").id))
    whole = add(store, "lab/base")
    fresh = Store(store.root)
    assert fresh.images() == (whole,)
    assert fresh.resolve(whole.id.short).id == whole.id
    with pytest.raises(NotFound, match="no such blob"):
        fresh.resolve("lab/broken")


@pytest.mark.parametrize("data", [b"", b"[]", b'{"schemaVersion":2}', b'{"schemaVersion":2,"manifests":[1]}'])
def test_a_damaged_index_is_a_spec_error(store: Store, data: bytes) -> None:
    add(store, "lab/base")
    (store.root / "index.json").write_bytes(data)
    with pytest.raises(SpecError):
        store.images()


def test_of_an_index_the_manifest_for_this_machine_is_taken(store: Store) -> None:
    host = Platform.host()
    ours = add(store, command="ours", architecture=host.architecture)
    other = add(store, command="other", architecture="s390x" if host.architecture != "s390x" else "amd64")
    document = Index(2, (other.descriptor, ours.descriptor), media_types.INDEX)
    store.tag(store.add_blob(media_types.INDEX, [fields.dump(document)]), "lab/multi")
    assert store.resolve("lab/multi").id == ours.id
    alone = Index(2, (other.descriptor,), media_types.INDEX)
    store.tag(store.add_blob(media_types.INDEX, [fields.dump(alone)]), "lab/foreign")
    with pytest.raises(NotFound, match=f"linux/{host.architecture}"):
        store.resolve("lab/foreign")


def test_layers_and_diff_ids_must_pair_up(store: Store) -> None:
    config = ImageConfig("amd64", "linux", RootFs("layers", ()))
    with pytest.raises(SpecError, match="1 layers in the manifest, but 0 diff_ids"):
        store.add_image(config, [store.add_blob(media_types.LAYER, [b"x"])])


def test_a_tag_needs_its_manifest(store: Store) -> None:
    with pytest.raises(NotFound):
        store.tag(Descriptor(media_types.MANIFEST, HELLO, 5), "lab/base")


def blobs(store: Store) -> set[Digest]:
    return {digest for digest, _ in store.blobs.all()}


def test_a_collection_leaves_what_names_lead_to_and_takes_the_rest(store: Store) -> None:
    kept, gone = add(store, "a/kept:1"), add(store, "a/gone:1", command="other")
    store.add_blob("text/plain", [b"stray"])
    store.untag("a/gone:1")
    count, size_bytes = store.collect()
    assert count == 4  # the stray one; and a manifest, a config and a layer
    assert size_bytes > len("stray")
    assert blobs(store) == {kept.descriptor.digest, kept.id, *(layer.digest for layer in kept.layers)}
    assert store.resolve("a/kept:1").id == kept.id
    with pytest.raises(NotFound):
        store.resolve(str(gone.id))


def test_what_a_lease_has_brought_is_spared_until_the_lease_ends(store: Store) -> None:
    add(store, "a/kept:1")
    old = store.add_blob("text/plain", [b"old"])
    os.utime(store.blobs.path(old.digest), (1, 1))
    again = store.add_blob("text/plain", [b"wanted again"])
    os.utime(store.blobs.path(again.digest), (1, 1))
    with store.lease():
        new = store.add_blob("text/plain", [b"new"])
        assert store.blobs.keep(again.digest)
        assert not store.blobs.keep(HELLO)
        store.collect()
        assert {new.digest, again.digest} < blobs(store)
        assert old.digest not in blobs(store)
    store.collect()
    assert not {new.digest, again.digest} & blobs(store)
    assert os.listdir(store.root / "leases") == []


def test_the_lease_of_a_dead_process_holds_nothing(store: Store) -> None:
    add(store, "a/kept:1")
    (store.root / "leases").mkdir(exist_ok=True)
    (store.root / "leases" / "left").touch()
    stray = store.add_blob("text/plain", [b"stray"])
    store.collect()
    assert stray.digest not in blobs(store)
    assert os.listdir(store.root / "leases") == []


def test_an_index_keeps_all_that_it_leads_to(store: Store) -> None:
    image = add(store)
    document = fields.dump(Index(2, (image.descriptor,), media_types.INDEX))
    store.tag(store.add_blob(media_types.INDEX, [document]), "a/many:1")
    store.unlist(image.descriptor.digest)
    store.collect()
    assert image.id in blobs(store)


def test_untagging_takes_one_name_and_the_last_one_takes_the_entry(store: Store) -> None:
    image = add(store, "a/b:1")
    store.tag(image.descriptor, "a/b:2")
    store.untag("a/b:1")
    assert store.resolve("a/b:2").tags == ("a/b:2",)
    store.untag("a/b:2", keep=True)
    assert store.resolve(str(image.id)).tags == ()
    with pytest.raises(NotFound):
        store.untag("a/b:2")
