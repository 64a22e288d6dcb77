"""What a container has changed as a layer: the changes of `diff`, written as a tar in the specification's form.

    A etc/new      an entry, with its content
    C etc          an entry; a directory's without what is in it, which has entries of its own
    D etc/old      etc/.wh.old, an empty file: a whiteout

The merged root is read, not the upperdir: there a renamed directory or a file of which only the owner was changed is
not whole. What goes meanwhile is left out. See: image-spec v1.1.0 layer.md#representing-changes
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from labcontainer.errors import KernelError
from labcontainer.kernel.openat2 import Resolve, openat2
from labcontainer.runtime.diff import Kind
from labcontainer.runtime.pack import Packer

_WHITEOUT = ".wh."
_BELOW = Resolve.RESOLVE_BENEATH | Resolve.RESOLVE_NO_SYMLINKS
_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV)


def pack(packer: Packer, root: int, changes: Iterable[tuple[str, Kind]]) -> None:
    """Write `changes`, a directory before what is in it; their paths begin with a slash, which is `root`.

    Raises: KernelError (unreadable, or nobody reads the archive any more).
    """
    for path, kind in changes:
        name = path.lstrip("/")
        if kind is Kind.DELETED:
            above, _, last = name.rpartition("/")
            packer.empty(os.path.join(above, f"{_WHITEOUT}{last}"))
            continue
        try:
            fd = openat2(root, name, os.O_PATH | os.O_NOFOLLOW, _BELOW)
        except KernelError as error:
            if error.errno not in _VANISHED:
                raise
            continue
        try:
            packer.one(fd, name)
        finally:
            os.close(fd)
