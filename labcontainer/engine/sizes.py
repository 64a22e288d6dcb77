"""What things take up on the disk."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from labcontainer.engine.summary import Summary
from labcontainer.errors import LabError
from labcontainer.image.image import Image
from labcontainer.kernel import tree

if TYPE_CHECKING:
    from labcontainer.engine.engine import Engine


def container_bytes(engine: Engine, each: Summary) -> tuple[int, int]:
    """What a container has written itself (``SizeRw``), and that with its image's layers (``SizeRootFs``)."""
    written = tree_bytes(each.directory / "upper")
    try:
        return written, written + unpacked_bytes(engine, engine.store.resolve(each.record.image_id))
    except LabError:
        return written, written  # its image is gone


def unpacked_bytes(engine: Engine, image: Image) -> int:
    """The layers of an image as a container sees them: unpacked, whether others share them or not."""
    return sum(tree_bytes(path) for path in engine.snapshots.lowerdirs(image, engine.store))


def tree_bytes(top: Path) -> int:
    """The content of the regular files below `top`, a hard-linked one once; what may not be read is left out."""
    total, seen = 0, set()

    def add(directory: int, names: list[str]) -> None:
        nonlocal total
        for name in names:
            with contextlib.suppress(OSError):
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    total += status.st_size

    with contextlib.suppress(OSError), tree.opened(top) as fd:
        tree.walk(fd, add)
    return total
