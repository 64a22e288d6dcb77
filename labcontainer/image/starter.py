"""Starter images, made from the host's own files: no network, and the same digest on the same host.

    lab/base     a shell and the core tools: a static busybox where one is on PATH, or the host's own programs
    lab/python   the layer of lab/base, and above it the running Python with its standard library

Everything is readable by everybody and nothing set-user-ID, so a container of any user runs it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from labcontainer.errors import NotFound
from labcontainer.image.store import Store
from labcontainer.oci.descriptor import Platform
from labcontainer.oci.image_config import Execution, History, ImageConfig, RootFs

if TYPE_CHECKING:
    from labcontainer.image.layer import Layer

NAMES = BASE, PYTHON = "lab/base", "lab/python"

_EPOCH = "1970-01-01T00:00:00Z"


def ensure(store: Store) -> None:
    """Make those of the two images that the store does not have.

    Two processes may do so at once: they make the same bytes.

    Raises: HostError where the host has no shell, or no standard library, that can be read.
    """
    missing = {name for name in NAMES if not _has(store, name)}
    if missing:
        make(store, missing)


def make(store: Store, names: Collection[str]) -> None:
    """Make those images, whether the store has them or not: the same files give the same blobs. Raises: HostError."""
    # Imported here: once the images are there nobody needs what makes them.
    from labcontainer.image import layer, starter_base, starter_python

    tree = starter_base.tree(starter_base.static_busybox())
    with store.lease():
        base = layer.write(tree, store)
        if BASE in names:
            _add(store, BASE, [base], command="sh")
        if PYTHON in names:
            python = layer.write(starter_python.tree(below=tree), store)
            _add(store, PYTHON, [base, python], command="python3")


def _has(store: Store, name: str) -> bool:
    try:
        store.resolve(name)
    except NotFound:
        return False
    return True


def _add(store: Store, name: str, layers: Sequence[Layer], *, command: str) -> None:
    host = Platform.host()
    made = ("the host's shell and core tools", "the host's Python and its standard library")
    config = ImageConfig(
        architecture=host.architecture,
        os=host.os,
        rootfs=RootFs("layers", tuple(one.diff_id for one in layers)),
        # Not the time of making: the same files shall give the same digest tomorrow.
        created=_EPOCH,
        config=Execution(
            env=("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"), cmd=(command,)
        ),
        history=tuple(History(_EPOCH, f"labcontainer starter: {text}") for text in made[: len(layers)]),
    )
    store.add_image(config, [one.descriptor for one in layers], tag=name)
