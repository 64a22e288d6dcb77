"""A file system that is put together by descriptor is the one that mount(2) mounts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from labcontainer.kernel.mount import MountFlag

pytestmark = pytest.mark.usefixtures("needs_userns")

BOTH = """
import sys
from pathlib import Path
from labcontainer.kernel import mount
from labcontainer.kernel.mount import MountFlag
from labcontainer.runtime import new_tree
old, new, flags, data = sys.argv[1], sys.argv[2], MountFlag(int(sys.argv[3])), sys.argv[4]
mount.mount("source", old, "tmpfs", flags, data or None)
tree = new_tree.create("tmpfs", "source", flags, data)
mount.move_mount(tree, new)
rows = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
for place in old, new:
    print(*[row[5:] for row in rows if row[4] == place])
"""


@pytest.mark.parametrize("data", ["", "size=1m,mode=700", "mpol=bind:0,nr_inodes=10"])
@pytest.mark.parametrize(
    "flags",
    [
        MountFlag(0),
        MountFlag.MS_RDONLY | MountFlag.MS_NOSUID | MountFlag.MS_NODEV | MountFlag.MS_NOEXEC,
        MountFlag.MS_NOATIME | MountFlag.MS_NODIRATIME | MountFlag.MS_NOSYMFOLLOW,
        MountFlag.MS_NOATIME | MountFlag.MS_STRICTATIME,
        MountFlag.MS_SYNCHRONOUS | MountFlag.MS_DIRSYNC | MountFlag.MS_LAZYTIME | MountFlag.MS_SILENT,
    ],
    ids=lambda flags: f"{int(flags):#x}",
)
def test_it_has_every_flag_and_option(tmp_path: Path, flags: MountFlag, data: str) -> None:
    places = [tmp_path / "old", tmp_path / "new"]
    for place in places:
        place.mkdir()
    script = [sys.executable, "-c", BOTH, *map(str, places), str(int(flags)), data]
    done = subprocess.run(["unshare", "-Urm", *script], check=True, stdout=subprocess.PIPE, text=True)
    old, new = done.stdout.splitlines()
    assert "tmpfs" in old
    assert new == old
