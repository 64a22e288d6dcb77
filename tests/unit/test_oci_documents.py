from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainer.errors import SpecError
from labcontainer.oci import fields, media_types
from labcontainer.oci.descriptor import Descriptor, Platform
from labcontainer.oci.digest import Digest
from labcontainer.oci.image_config import ImageConfig
from labcontainer.oci.manifest import Index, Manifest

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
DESCRIPTOR = {"mediaType": media_types.CONFIG, "digest": A, "size": 7}
LAYER = {"mediaType": media_types.LAYER_GZIP, "digest": B, "size": 9}
MANIFEST = {"schemaVersion": 2, "mediaType": media_types.MANIFEST, "config": DESCRIPTOR, "layers": [LAYER]}
INDEX = {
    "schemaVersion": 2,
    "mediaType": media_types.INDEX,
    "manifests": [
        {
            **DESCRIPTOR,
            "mediaType": media_types.MANIFEST,
            "platform": {"architecture": "arm64", "os": "linux", "variant": "v8"},
        }
    ],
}
CONFIG = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2024-05-06T07:08:09.123456789Z",
    "config": {
        "Env": ["PATH=/bin"],
        "Cmd": ["sh"],
        "WorkingDir": "/w",
        "ExposedPorts": {"80/tcp": {}},
        "StopSignal": "SIGINT",
    },
    "rootfs": {"type": "layers", "diff_ids": [A, B]},
    "history": [{"created_by": "ADD x", "empty_layer": True}],
}


@pytest.mark.parametrize(("cls", "document"), [(Manifest, MANIFEST), (Index, INDEX), (ImageConfig, CONFIG)])
def test_what_is_read_is_written_again_the_same(cls: Any, document: dict[str, Any]) -> None:
    assert cls.from_json(document).to_json() == document
    assert json.loads(fields.dump(cls.from_json(document))) == document


def test_digests_are_parsed_where_they_come_in() -> None:
    manifest = Manifest.from_json(MANIFEST)
    assert manifest.layers[0].digest == Digest.parse(B)
    assert ImageConfig.from_json(CONFIG).rootfs.diff_ids == (Digest.parse(A), Digest.parse(B))


def test_the_chain_id_of_a_layer_covers_everything_below_it() -> None:
    chain = ImageConfig.from_json(CONFIG).chain_ids
    assert chain == (Digest.parse(A), Digest.of(f"{A} {B}".encode()))


def test_a_time_in_nanoseconds_is_read() -> None:
    assert ImageConfig.from_json(CONFIG).created_at == datetime(2024, 5, 6, 7, 8, 9, 123456, UTC)
    assert ImageConfig.from_json({**CONFIG, "created": "yesterday"}).created_at is None


@pytest.mark.parametrize(
    ("cls", "change", "message"),
    [
        (Manifest, {"schemaVersion": 1}, "manifest.schemaVersion"),
        (Manifest, {"config": None}, "manifest.config: is missing"),
        (Manifest, {"layers": {}}, "manifest.layers: expected an array"),
        (Manifest, {"layers": [7]}, r"manifest.layers\[0\]: expected an object, found a number"),
        (Manifest, {"layers": [{**LAYER, "digest": "sha256:abc"}]}, r"manifest.layers\[0\].digest"),
        (Manifest, {"layers": [{**LAYER, "digest": 5}]}, r"manifest.layers\[0\].digest: expected a digest"),
        (Manifest, {"layers": [{**LAYER, "size": "9"}]}, r"manifest.layers\[0\].size: expected int, found a string"),
        (Manifest, {"layers": [{**LAYER, "size": True}]}, r"manifest.layers\[0\].size"),
        (Manifest, {"layers": [{**LAYER, "size": -1}]}, "size: -1"),
        (Manifest, {"layers": [{**LAYER, "size": 1 << 70}]}, r"manifest.layers\[0\].size: the number does not fit"),
        (Manifest, {"layers": [{**LAYER, "urls": ["a\0b"]}]}, r"manifest.layers\[0\].urls\[0\]: the text has a NUL"),
        (Manifest, {"manifests": []}, "manifest.manifests: has no place here"),
        (Manifest, {"mediaType": media_types.INDEX}, "manifest.mediaType"),
        (Index, {"layers": []}, "index.layers: has no place here"),
        (Index, {"manifests": [{}]}, r"index.manifests\[0\].mediaType: is missing"),
        (ImageConfig, {"rootfs": {"type": "tar", "diff_ids": []}}, "image.rootfs.type"),
        (ImageConfig, {"rootfs": {"type": "layers", "diff_ids": ["x"]}}, r"image.rootfs.diff_ids\[0\]"),
        (ImageConfig, {"config": {"Env": "PATH=/bin"}}, "image.config.Env: expected an array"),
        (ImageConfig, {"architecture": None}, "image.architecture: is missing"),
    ],
)
def test_what_breaks_the_specification_is_refused_with_its_place(cls: Any, change: Any, message: str) -> None:
    documents: dict[Any, dict[str, Any]] = {Manifest: MANIFEST, Index: INDEX, ImageConfig: CONFIG}
    with pytest.raises(SpecError, match=message):
        cls.from_json({**documents[cls], **change})


def test_null_is_nothing_as_older_dockers_wrote_it() -> None:
    config = ImageConfig.from_json(
        {**CONFIG, "config": {"Env": None, "Cmd": None, "Entrypoint": None}, "history": None}
    )
    assert (config.config.env, config.config.cmd, config.history) == ((), (), ())


def test_unknown_fields_are_ignored() -> None:
    assert Manifest.from_json({**MANIFEST, "future": {"x": 1}}) == Manifest.from_json(MANIFEST)


def test_a_platform_runs_on_a_host_of_its_kind() -> None:
    host = Platform("amd64", "linux")
    assert Platform("amd64", "linux", variant="v2").runs_on(host)
    assert not Platform("arm64", "linux").runs_on(host)
    assert not Platform("amd64", "windows").runs_on(host)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000 + b"e"])
def test_what_is_no_json_is_a_spec_error(data: bytes) -> None:
    with pytest.raises(SpecError, match="where"):
        Descriptor.from_json(fields.parse(data, "where"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["config", "layers", "manifests", "digest", "size"]), inner)
    ),
    max_leaves=10,
)


@given(JSON)
def test_any_json_is_a_document_or_a_spec_error(value: Any) -> None:
    for cls in (Manifest, Index, ImageConfig, Descriptor):
        document = {**(MANIFEST if cls is Manifest else {}), **value} if isinstance(value, dict) else value
        try:
            cls.from_json(document)
        except SpecError:
            continue
