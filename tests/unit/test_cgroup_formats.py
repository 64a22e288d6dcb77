"""The texts that the Linux kernel writes about cgroups, and those that it takes."""

from __future__ import annotations

from pathlib import Path

from labcontainer.kernel.cgroup import DeviceRule, Pressure, convert, delegation, devices, usage
from labcontainer.kernel.cgroup.host import Host, own_paths, place
from labcontainer.kernel.cgroup.usage import Stall
from labcontainer.kernel.proc import Mount


def mount(target: str, root: str = "/", type: str = "cgroup") -> Mount:
    return Mount(1, 0, root, target, frozenset({"rw"}), "private", type, type, {})


def test_shares_become_weights_from_end_to_end() -> None:
    assert convert.weight_of_shares(2) == 1
    assert convert.weight_of_shares(262144) == 10000
    assert convert.weight_of_shares(1024) == 39


def test_swap_is_counted_alone_in_version_2() -> None:
    assert convert.v2_swap_bytes(64, 128) == 64
    assert convert.v2_swap_bytes(64, 64) == 0
    assert convert.v2_swap_bytes(64, -1) == -1


def test_a_device_rule_is_a_line_of_version_1() -> None:
    assert DeviceRule(allow=False).v1() == "a"
    assert DeviceRule(allow=True, type="c", major=136, access="rwm").v1() == "c 136:* rwm"


def test_a_flat_keyed_file_is_a_mapping() -> None:
    assert usage.keyed("oom 0\noom_kill 2\nodd line here\n") == {"oom": 0, "oom_kill": 2}


def test_a_device_program_denies_at_its_end_and_is_whole_instructions() -> None:
    program = devices.program([DeviceRule(allow=True, type="c", major=1, minor=3, access="rw")])
    assert len(program) % 8 == 0
    assert program[-16:] == bytes([0xB4, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0])


def test_pressure_has_two_lines_or_one() -> None:
    some = "some avg10=1.50 avg60=0.12 avg300=0.03 total=41234\n"
    stall = Stall(1.5, 0.12, 0.03, 41234)
    assert usage.pressure(some) == Pressure(stall, Stall())
    assert usage.pressure(some + some.replace("some", "full")) == Pressure(stall, stall)


def test_each_controller_has_its_path() -> None:
    text = "9:name=systemd:/\n4:cpu,cpuacct:/user.slice\n0::/user.slice/a:b.scope\n"
    assert own_paths(text) == {
        "name=systemd": "/",
        "cpu": "/user.slice",
        "cpuacct": "/user.slice",
        "": "/user.slice/a:b.scope",
    }


def test_a_mount_that_shows_a_part_is_counted_from_that_part() -> None:
    assert place(mount("/cg"), "/docker/1/x") == Path("/cg/docker/1/x")
    assert place(mount("/cg", root="/docker/1"), "/docker/1/x") == Path("/cg/x")
    assert place(mount("/cg", root="/docker/1"), "/docker/1") == Path("/cg")


def test_a_cgroup_out_of_sight_is_the_top_of_what_is_seen() -> None:
    assert place(mount("/cg", root="/docker/1"), "/elsewhere") == Path("/cg")
    assert place(mount("/cg", root="/docker/1"), "/docker/12") == Path("/cg")


def test_a_host_is_named_by_what_is_mounted() -> None:
    memory, unified = mount("/cg/memory"), mount("/cg/unified", type="cgroup2")
    assert Host({"memory": memory}, {}).version == "v1"
    assert Host({"memory": memory, "": unified}, {}).version == "hybrid"
    assert Host({"": unified}, {}).version == "v2"
    assert Host({"memory": memory, "": unified}, {}).controllers == {"memory"}


def test_the_remedy_names_each_hierarchy_of_version_1_once() -> None:
    tops = {"cpu": "/cg/cpu,cpuacct", "cpuacct": "/cg/cpu,cpuacct", "pids": "/cg/pids", "": "/cg/unified"}
    command = delegation.remedy(tops, 1000)
    assert "unified" not in command
    assert command.count("/cg/cpu,cpuacct/labcontainer-1000") == 2  # made, and given
    assert command.count("/cg/pids/labcontainer-1000") == 2
