"""What is used, as the Linux kernel counts it."""

from __future__ import annotations

import pytest

from labcontainer.kernel.cgroup import Cgroup
from tests.disks import Disk
from tests.kernel.conftest import Inside, eventually, line, reads

pytestmark = pytest.mark.usefixtures("needs_root")

MIB = 1 << 20


def test_an_empty_cgroup_uses_next_to_nothing(group: Cgroup) -> None:
    used = group.usage()
    assert used.memory_bytes is not None
    assert used.memory_bytes < MIB
    assert used.pids == 0
    assert used.cpu_usec == 0
    assert used.block_io == ()


def test_cache_that_is_given_up_first_does_not_count_as_work(group: Cgroup, start: Inside, disk: Disk) -> None:
    reader = start(reads(disk, 48 * MIB))
    assert line(reader) == "read"
    used = group.usage()
    assert used.memory_bytes is not None
    assert used.memory_working_bytes is not None
    assert used.memory_bytes > 48 * MIB
    assert used.memory_working_bytes < 40 * MIB
    assert used.memory_working_bytes == used.memory_bytes - (used.memory_inactive_file_bytes or 0)


def test_time_in_user_and_in_kernel_mode_is_the_whole(group: Cgroup, start: Inside) -> None:
    start("import os\nwhile True:\n    [os.stat('/') for _ in range(1000)]; sum(range(10000))")

    def both() -> bool:
        used = group.usage()
        return min(used.cpu_user_usec or 0, used.cpu_system_usec or 0) > 20_000

    assert eventually(both)
    group.freeze()
    used = group.usage()
    assert abs((used.cpu_user_usec or 0) + (used.cpu_system_usec or 0) - (used.cpu_usec or 0)) < 20_000
    group.thaw()


def test_reads_and_writes_of_a_disk_are_counted(group: Cgroup, start: Inside, disk: Disk) -> None:
    process = start(
        f"import os, mmap; fd = os.open({str(disk.path)!r}, os.O_RDWR | os.O_DIRECT)\n"
        "block = mmap.mmap(-1, 1 << 16)\n"
        "for _ in range(16): os.write(fd, block)\n"
        "os.lseek(fd, 0, 0)\n"
        "for _ in range(8): os.readv(fd, [block])\n"
        "print('done', flush=True)"
    )
    assert line(process) == "done"
    used = [one for one in group.usage().block_io or () if (one.major, one.minor) == (disk.major, disk.minor)]
    if not used:
        pytest.skip("belongs to another run: where version 1 counts the I/O of a disk that nobody has limited")
    assert (used[0].write_bytes, used[0].read_bytes) == (MIB, MIB // 2)


def test_swap_is_counted_apart_from_memory(group: Cgroup) -> None:
    used = group.usage()
    assert used.memory_swap_bytes in (0, None)  # None where the Linux kernel does not count it
