"""Block I/O's texts: what is written as a limit is read as that limit, in either version."""

from __future__ import annotations

from labcontainer.kernel.cgroup import DeviceIo, IoLimit, IoWeight, block_io

LIMIT = IoLimit(254, 0, read_bps=1 << 20, write_iops=100)
WHOLE = IoLimit(254, 0, 1 << 20, -1, -1, 100)


def test_version_1_has_a_file_for_each_rate() -> None:
    assert list(block_io.v1_writes([LIMIT, IoLimit(7, 1, write_bps=-1)])) == [
        ("blkio.throttle.read_bps_device", "254:0 1048576"),
        ("blkio.throttle.write_iops_device", "254:0 100"),
        ("blkio.throttle.write_bps_device", "7:1 0"),  # 0 takes it away
    ]
    texts = {"blkio.throttle.read_bps_device": "254:0 1048576\n", "blkio.throttle.write_iops_device": "254:0 100"}
    assert block_io.v1_limits(texts) == (WHOLE,)


def test_version_2_has_a_line_for_each_disk() -> None:
    assert list(block_io.v2_lines([WHOLE, IoLimit(7, 1)])) == ["254:0 rbps=1048576 wbps=max riops=max wiops=100"]
    text = "7:1 rbps=max wbps=max riops=max wiops=max\n254:0 rbps=1048576 wbps=max riops=max wiops=100\n"
    assert block_io.v2_limits(text) == (WHOLE,)


def test_counters_are_the_same_from_either_version() -> None:
    used = DeviceIo(254, 0, read_bytes=4096, write_bytes=8192, reads=1, writes=2)
    sizes = "254:0 Read 4096\n254:0 Write 8192\n254:0 Sync 12288\n254:0 Total 12288\nTotal 12288"
    counts = "254:0 Read 1\n254:0 Write 2\n254:0 Total 3\nTotal 3"
    assert block_io.v1_use(dict(zip(block_io.V1_COUNTERS, (sizes, counts), strict=True))) == (used,)
    text = "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0"
    assert block_io.v2_use(text) == (used,)


def test_a_disk_without_numbers_in_io_stat_has_used_nothing() -> None:
    assert block_io.v2_use("8:0 \n254:0 rbytes=1 wbytes=0 rios=1 wios=0\n") == (
        DeviceIo(254, 0, read_bytes=1, reads=1),
    )


def test_weights_are_ours_whatever_the_files_range() -> None:
    heavy = IoWeight(254, 0, 1000)
    assert block_io.weight_line(heavy, version_1_range=True) == "254:0 1000"
    assert block_io.weight_line(heavy, version_1_range=False) == "254:0 10000"
    assert block_io.weights("default 100\n254:0 1000", version_1_range=True) == (heavy,)
    assert block_io.weights("default 100\n254:0 10000", version_1_range=False) == (heavy,)
