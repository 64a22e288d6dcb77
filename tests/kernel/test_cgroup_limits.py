"""Each limit: read back from the Linux kernel, changed while processes run, and felt by them."""

from __future__ import annotations

import errno
import subprocess
import time
from pathlib import Path

import pytest

from labcontainer.errors import HostError, KernelError, UsageError
from labcontainer.kernel import cgroup
from labcontainer.kernel.cgroup import Cgroup, HugepageLimit, IoLimit, IoWeight, Limits, subtree
from tests.disks import Disk
from tests.kernel.conftest import Inside, eventually, line, reads

pytestmark = pytest.mark.usefixtures("needs_root")

MIB = 1 << 20
V1_ALONE = [
    Limits(memory_swappiness=0),
    Limits(memory_swappiness=100),
    Limits(oom_kill_disable=True),
    Limits(cpu_realtime_period_usec=500_000),
]
BFQ_WEIGHTS = ("io.bfq.weight", "blkio.bfq.weight")
HOLDS = """
kept = bytearray(b"x" * (96 << 20))
print("holds", flush=True)
sys.stdin.readline()
"""
FORKS_WHEN_TOLD = """
import os
for _ in sys.stdin:
    try:
        if os.fork() == 0:
            sys.stdin.close(); import time; time.sleep(60)
        print("forked", flush=True)
    except OSError as error:
        print(error.errno, flush=True)
"""


@pytest.mark.parametrize(
    "limits",
    [
        Limits(memory_bytes=64 * MIB),
        Limits(memory_bytes=64 * MIB, memory_reservation_bytes=32 * MIB),
        Limits(memory_bytes=64 * MIB, memory_swap_bytes=64 * MIB),
        Limits(memory_bytes=64 * MIB, memory_swap_bytes=96 * MIB),
        Limits(memory_bytes=64 * MIB, memory_swap_bytes=-1),
        Limits(oom_kill_disable=False),
        Limits(cpu_quota_usec=50_000, cpu_period_usec=200_000, cpu_burst_usec=20_000),
        Limits(cpu_shares=262_144),
        Limits(cpu_shares=2),
        Limits(cpu_idle=True),
        Limits(pids_max=50),
        Limits(pids_max=-1),
        *V1_ALONE,
    ],
    ids=lambda limits: " ".join(limits.given()),
)
def test_a_limit_is_read_back_from_the_kernel(group: Cgroup, limits: Limits) -> None:
    if cgroup.host().version == "v2" and (limits in V1_ALONE or limits.oom_kill_disable is False):
        pytest.skip("belongs to another run: on a cgroup v1 or hybrid machine")
    group.set(limits)
    found = cgroup.open(group.name).limits().given()
    assert {name: found.get(name) for name in limits.given()} == limits.given()


@pytest.mark.usefixtures("needs_cpuset")
@pytest.mark.parametrize("limits", [Limits(cpuset_cpus="0"), Limits(cpuset_cpus="0", cpuset_mems="0")])
def test_a_set_of_cpus_is_read_back_from_the_kernel(group: Cgroup, limits: Limits) -> None:
    group.set(limits)
    found = cgroup.open(group.name).limits().given()
    assert {name: found.get(name) for name in limits.given()} == limits.given()


@pytest.mark.usefixtures("needs_cgroup_v2")
@pytest.mark.parametrize("limits", V1_ALONE, ids=lambda limits: " ".join(limits.given()))
def test_what_version_2_has_not_is_refused_with_what_to_do_instead(group: Cgroup, limits: Limits) -> None:
    with pytest.raises(HostError) as caught:
        group.set(limits)
    assert caught.value.remedy
    group.set(Limits(oom_kill_disable=False))  # it is as asked for


def test_limits_can_be_raised_lowered_and_taken_away(group: Cgroup) -> None:
    for memory, swap in ((64, 128), (256, 512), (32, 32), (512, -1), (16, 16), (-1, None), (64, 64)):
        group.set(Limits(memory_bytes=mib(memory), memory_swap_bytes=mib(swap)))
        assert group.limits().memory_bytes == mib(memory)
        assert group.limits().memory_swap_bytes == (-1 if swap is None else mib(swap))
    for quota, period, burst in (
        (50_000, 100_000, 0), (500_000, 1_000_000, 400_000), (5_000, 10_000, 5_000), (2_000, 10_000, 1_000),
    ):  # fmt: skip
        group.set(Limits(cpu_quota_usec=quota, cpu_period_usec=period, cpu_burst_usec=burst))
        found = group.limits()
        assert (found.cpu_quota_usec, found.cpu_period_usec, found.cpu_burst_usec) == (quota, period, burst)
    for shares, idle in ((None, True), (512, False), (2048, True)):
        group.set(Limits(cpu_shares=shares, cpu_idle=idle))
        assert group.limits().cpu_idle is idle
    group.set(Limits(memory_bytes=-1, memory_reservation_bytes=-1, cpu_quota_usec=-1, pids_max=-1))
    found = group.limits()
    assert (found.memory_bytes, found.memory_reservation_bytes, found.cpu_quota_usec, found.pids_max) == (-1,) * 4


def mib(size: int | None) -> int | None:
    return size if size in (None, -1) else size * MIB


def test_swap_below_memory_is_refused_whatever_the_order(group: Cgroup) -> None:
    group.set(Limits(memory_bytes=64 * MIB, memory_swap_bytes=64 * MIB))
    with pytest.raises((KernelError, UsageError)):
        group.set(Limits(memory_bytes=128 * MIB, memory_swap_bytes=32 * MIB))
    with pytest.raises((KernelError, UsageError)):
        group.set(Limits(memory_swap_bytes=32 * MIB))


def test_memory_that_is_in_use_cannot_be_taken_away_by_an_update(group: Cgroup, start: Inside) -> None:
    group.set(Limits(memory_bytes=256 * MIB, memory_swap_bytes=256 * MIB))
    holder = start(HOLDS)
    assert line(holder) == "holds"
    lower = Limits(memory_bytes=32 * MIB, memory_swap_bytes=32 * MIB, check_before_update=True)
    with pytest.raises(KernelError, match="MiB are in use and cannot be taken back") as caught:
        group.set(lower)
    assert caught.value.errno == errno.EBUSY
    assert holder.poll() is None
    assert group.limits().memory_bytes == 256 * MIB


def test_cache_is_given_up_for_a_lower_limit(group: Cgroup, start: Inside, disk: Disk) -> None:
    group.set(Limits(memory_bytes=256 * MIB))
    reader = start(reads(disk, 60 * MIB))
    assert line(reader) == "read"
    assert (group.usage().memory_bytes or 0) > 60 * MIB
    group.set(Limits(memory_bytes=48 * MIB, check_before_update=True))
    assert (group.usage().memory_bytes or 0) <= 48 * MIB
    assert reader.poll() is None


def test_a_pids_limit_is_felt_and_lifted_while_the_process_runs(group: Cgroup, start: Inside) -> None:
    group.set(Limits(pids_max=1))
    process = start(FORKS_WHEN_TOLD)

    def fork() -> str:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        return line(process)

    assert fork() == str(errno.EAGAIN)
    group.set(Limits(pids_max=2))
    assert [fork(), fork()] == ["forked", str(errno.EAGAIN)]
    assert group.events().pids_max == 2


@pytest.mark.usefixtures("needs_cgroup_v1")
def test_without_the_oom_killer_a_process_waits_until_there_is_memory(group: Cgroup, start: Inside) -> None:
    group.set(Limits(memory_bytes=48 * MIB, memory_swap_bytes=48 * MIB, oom_kill_disable=True))
    holder = start(HOLDS)
    assert eventually(lambda: bool(group.events().under_oom))
    assert holder.poll() is None
    group.set(Limits(memory_bytes=256 * MIB, memory_swap_bytes=256 * MIB))
    assert line(holder) == "holds"
    assert not group.events().under_oom
    assert group.events().oom_kill == 0


def test_a_writer_is_slowed_down_to_its_limit(group: Cgroup, start: Inside, disk: Disk) -> None:
    limit = IoLimit(disk.major, disk.minor, read_bps=-1, write_bps=MIB, read_iops=-1, write_iops=1000)
    group.set(Limits(io_limits=(limit,)))
    assert group.limits().io_limits == (limit,)
    began = time.monotonic()
    assert line(start(writes(disk, 2 * MIB))) == "written"
    # A slow machine only makes this longer; without the limit it takes milliseconds.
    assert time.monotonic() - began > 0.9
    used = next(one for one in group.usage().block_io or () if (one.major, one.minor) == (disk.major, disk.minor))
    assert (used.write_bytes, used.read_bytes) == (2 * MIB, 0)
    assert used.writes >= 2
    group.set(Limits(io_limits=(IoLimit(disk.major, disk.minor, write_bps=-1, write_iops=-1),)))
    assert group.limits().io_limits == ()


def test_one_rate_of_a_disk_can_be_changed_alone(group: Cgroup, disk: Disk) -> None:
    group.set(Limits(io_limits=(IoLimit(disk.major, disk.minor, read_bps=5 * MIB, write_iops=100),)))
    group.set(Limits(io_limits=(IoLimit(disk.major, disk.minor, read_iops=70, write_iops=-1),)))
    assert group.limits().io_limits == (IoLimit(disk.major, disk.minor, 5 * MIB, -1, 70, -1),)


def test_a_disk_that_is_not_there_cannot_be_limited(group: Cgroup) -> None:
    with pytest.raises(UsageError, match="no whole disk of that number"):
        group.set(Limits(io_limits=(IoLimit(259, 1_000_000, read_bps=MIB),)))


def test_a_weight_of_io_is_set_or_the_remedy_named(group: Cgroup) -> None:
    try:
        group.set(Limits(io_weight=500))
    except HostError as error:
        assert "bfq" in error.remedy  # noqa: PT017  either way is right, as the disks are
    else:
        assert group.limits().io_weight == 500


def test_a_disk_has_a_weight_of_its_own_where_its_scheduler_knows_weights(group: Cgroup, disk: Disk) -> None:
    scheduler = Path(f"/sys/block/{disk.path.name}/queue/scheduler")
    weight = IoWeight(disk.major, disk.minor, 300)
    try:
        scheduler.write_text("none")
        try:
            group.set(Limits(io_weights=(weight,)))
        except HostError as error:
            assert f"/sys/block/{disk.path.name}/queue/scheduler" in error.remedy or "/*/" in error.remedy  # noqa: PT017
        subprocess.run(["modprobe", "-q", "bfq"], check=False)
        if "bfq" not in scheduler.read_text():
            pytest.skip("this Linux kernel has no bfq (sudo modprobe bfq)")
        scheduler.write_text("bfq")
        if not any((directory / name).exists() for directory in group.directories for name in BFQ_WEIGHTS):
            pytest.skip("belongs to another run: where the Linux kernel's bfq knows cgroups")
        group.set(Limits(io_weights=(weight,)))
        assert group.limits().io_weights == (weight,)
    finally:
        scheduler.write_text("none")


def test_huge_pages_are_limited_by_their_size(group: Cgroup) -> None:
    sizes = [int(path.name.split("-")[1].removesuffix("kB")) for path in Path("/sys/kernel/mm").glob("hugepages/*")]
    host = cgroup.host()
    offered = host.controllers | subtree.names(host.v2, "cgroup.controllers") if host.v2 else host.controllers
    if 2048 not in sizes or "hugetlb" not in offered:
        pytest.skip("belongs to another run: where the Linux kernel limits huge pages of 2 MiB")
    limit = HugepageLimit("2MB", 4 * MIB)
    group.set(Limits(hugepages=(limit,)))
    assert group.limits().hugepages == (limit,)
    group.set(Limits(hugepages=(HugepageLimit("2MB", -1),)))
    assert group.limits().hugepages == ()
    with pytest.raises((HostError, KernelError), match="3MB"):
        group.set(Limits(hugepages=(HugepageLimit("3MB", 4 * MIB),)))


@pytest.mark.usefixtures("needs_cgroup_v2")
def test_any_file_of_version_2_can_be_named(group: Cgroup, disk: Disk) -> None:
    lines = f"{disk.major}:{disk.minor} rbps=2097152\n{disk.major}:{disk.minor} wiops=120"
    group.set(Limits(unified={"memory.high": "33554432", "io.max": lines, "cgroup.max.descendants": "3"}))
    (directory,) = group.directories
    assert (directory / "memory.high").read_text() == "33554432\n"
    assert (directory / "cgroup.max.descendants").read_text() == "3\n"
    assert group.limits().io_limits == (IoLimit(disk.major, disk.minor, 2097152, -1, -1, 120),)


def test_a_file_whose_controller_is_not_there_is_refused(group: Cgroup) -> None:
    for name in ("nonsense.max", "memory.nonsense"):
        with pytest.raises(HostError, match=name):
            group.set(Limits(unified={name: "1"}))
    for name in ("../memory.max", "memory"):
        with pytest.raises(UsageError, match="name of a file"):
            group.set(Limits(unified={name: "1"}))


@pytest.mark.usefixtures("needs_cgroup_v1")
def test_on_a_hybrid_host_version_2s_own_files_can_be_named_too(group: Cgroup) -> None:
    if cgroup.host().version == "v1":
        pytest.skip("belongs to another run: on a hybrid machine")
    group.set(Limits(unified={"cgroup.max.descendants": "3"}))
    assert (group.directories[-1] / "cgroup.max.descendants").read_text() == "3\n"
    with pytest.raises(HostError, match="memory"):
        group.set(Limits(unified={"memory.high": "33554432"}))


def test_a_quota_of_which_some_may_be_saved_throttles_all_the_same(group: Cgroup, start: Inside) -> None:
    group.set(Limits(cpu_quota_usec=5_000, cpu_period_usec=100_000, cpu_burst_usec=5_000))
    start("while True: pass")
    assert eventually(lambda: (group.usage().cpu_throttled or 0) > 1)
    used = group.usage()
    assert (used.cpu_periods or 0) >= (used.cpu_throttled or 0)
    assert (used.cpu_throttled_usec or 0) > 0


def writes(disk: Disk, size: int) -> str:
    return (
        f"import os, mmap; fd = os.open({str(disk.path)!r}, os.O_WRONLY | os.O_DIRECT)\n"
        f"block = mmap.mmap(-1, 1 << 16)\n"
        f"for _ in range({size} >> 16): os.write(fd, block)\n"
        "print('written', flush=True)"
    )
