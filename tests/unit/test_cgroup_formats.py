from __future__ import annotations

from labcontainer.kernel.cgroup import DeviceRule, devices, limits, usage


def test_shares_become_weights_from_end_to_end() -> None:
    assert limits.weight_of_shares(2) == 1
    assert limits.weight_of_shares(262144) == 10000
    assert limits.weight_of_shares(1024) == 39


def test_swap_is_counted_alone_in_version_2() -> None:
    assert limits.v2_swap_bytes(64, 128) == 64
    assert limits.v2_swap_bytes(64, 64) == 0
    assert limits.v2_swap_bytes(64, -1) == -1


def test_a_device_rule_is_a_line_of_version_1() -> None:
    assert DeviceRule(allow=False).v1() == "a"
    assert DeviceRule(allow=True, type="c", major=136, access="rwm").v1() == "c 136:* rwm"


def test_a_flat_keyed_file_is_a_mapping() -> None:
    assert usage.keyed("oom 0\noom_kill 2\nodd line here\n") == {"oom": 0, "oom_kill": 2}


def test_a_device_program_denies_at_its_end_and_is_whole_instructions() -> None:
    program = devices.program([DeviceRule(allow=True, type="c", major=1, minor=3, access="rw")])
    assert len(program) % 8 == 0
    assert program[-16:] == bytes([0xB4, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0])
