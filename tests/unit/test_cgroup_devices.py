"""The device program, run by an interpreter of the few instructions that it uses."""

from __future__ import annotations

import struct
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from labcontainer.kernel.cgroup import DeviceRule, devices
from labcontainer.kernel.cgroup.limits import deciding

TYPES = {"b": 1, "c": 2}
ACCESS = {"m": 1, "r": 2, "w": 4}
RULES = st.lists(
    st.builds(
        DeviceRule,
        allow=st.booleans(),
        type=st.sampled_from("abc"),
        major=st.sampled_from([None, 1, 5]),
        minor=st.sampled_from([None, 3]),
        access=st.sampled_from(["r", "w", "m", "rw", "wm", "rwm"]),
    ),
    max_size=6,
)


def run(program: bytes, type: str, access: str, major: int, minor: int) -> bool:
    context = {0: sum(ACCESS[letter] for letter in access) << 16 | TYPES[type], 4: major, 8: minor}
    code = list(struct.iter_unpack("=BBhi", program))
    registers = [0] * 10
    position = 0
    while True:
        opcode, pair, offset, value = code[position]
        position += 1
        target, source = pair & 15, pair >> 4
        match opcode:
            case 0x61:
                registers[target] = context[offset]
            case 0xB4:
                registers[target] = value
            case 0xBC:
                registers[target] = registers[source]
            case 0x54:
                registers[target] &= value
            case 0x74:
                registers[target] >>= value
            case 0x15:
                position += offset if registers[target] == value else 0
            case 0x55:
                position += offset if registers[target] != value else 0
            case 0x95:
                return bool(registers[0])
            case _:
                raise AssertionError(hex(opcode))


def allowed(rules: list[DeviceRule], type: str, access: str, major: int, minor: int) -> bool:
    """Each letter of `access` is decided by the last rule that has it; what none has is denied."""

    def one(letter: str) -> bool:
        for rule in reversed(rules):
            there = rule.type in ("a", type) and rule.major in (None, major) and rule.minor in (None, minor)
            if there and letter in rule.access:
                return rule.allow
        return False

    return all(map(one, access))


@given(RULES)
def test_the_last_rule_for_each_kind_of_access_decides(rules: list[DeviceRule]) -> None:
    program = devices.program(rules)
    for type, access, major, minor in product("bc", ("r", "w", "m", "rw"), (1, 5), (3, 4)):
        expected = allowed(rules, type, access, major, minor)
        assert run(program, type, access, major, minor) == expected, (type, access, major, minor)


@given(RULES)
def test_no_instruction_stands_where_it_is_never_run(rules: list[DeviceRule]) -> None:
    code = [opcode for opcode, *_ in struct.iter_unpack("=BBhi", devices.program(rules))]
    # Without a jump around it, what follows an exit could not be reached, and the verifier would refuse the program.
    exits = sum(opcode == 0x95 for opcode in code)
    assert exits == len(deciding(rules))
    assert code[-1] == 0x95


def test_reading_by_one_rule_and_writing_by_another_opens_for_both() -> None:
    rules = [DeviceRule(allow=True, type="c", major=1, minor=3, access=letter) for letter in "rw"]
    assert run(devices.program(rules), "c", "rw", 1, 3)
    assert not run(devices.program(rules), "c", "rw", 1, 5)


def test_a_denied_letter_denies_the_open_that_asks_for_it_among_others() -> None:
    rules = [DeviceRule(allow=True), DeviceRule(allow=False, type="c", major=1, minor=3, access="w")]
    assert run(devices.program(rules), "c", "r", 1, 3)
    assert not run(devices.program(rules), "c", "rw", 1, 3)
