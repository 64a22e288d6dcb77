"""Version 2 has no devices controller: a small BPF program is asked at every open and mknod of a device.

    r2 = type, r3 = access, r4 = major, r5 = minor       read from the context
    for each rule, the last one first:
        if type, access, major, minor match: return allow
    return 0

See: https://docs.kernel.org/admin-guide/cgroup-v2.html#device-controller
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path

from labcontainer.kernel.cgroup.limits import DeviceRule
from labcontainer.kernel.libc import buffer, invoke, pointer_to

# linux/bpf.h
_BPF_PROG_LOAD, _BPF_PROG_ATTACH = 5, 8
_BPF_PROG_TYPE_CGROUP_DEVICE, _BPF_CGROUP_DEVICE = 15, 6
_BPF_F_ALLOW_MULTI = 2
_TYPES = {"b": 1, "c": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}
_LOAD32, _MOV32_IMM, _MOV32_REG, _AND32_IMM, _RSH32_IMM = 0x61, 0xB4, 0xBC, 0x54, 0x74
_JNE_IMM, _EXIT = 0x55, 0x95


def program(rules: Sequence[DeviceRule]) -> bytes:
    """The rules as BPF instructions; the last rule that matches decides, as in version 1.

    See: https://docs.kernel.org/bpf/standardization/instruction-set.html
    """
    code = [
        _instruction(_LOAD32, 2, 1, 0, 0),  # r2 = ctx->access_type
        _instruction(_MOV32_REG, 3, 2),
        _instruction(_AND32_IMM, 2, 0, 0, 0xFFFF),  # the low half is the type
        _instruction(_RSH32_IMM, 3, 0, 0, 16),  # the high half is the access
        _instruction(_LOAD32, 4, 1, 4, 0),  # r4 = ctx->major
        _instruction(_LOAD32, 5, 1, 8, 0),  # r5 = ctx->minor
    ]
    for rule in reversed(rules):
        code += _rule(rule)
    return b"".join([*code, _instruction(_MOV32_IMM, 0, 0, 0, 0), _instruction(_EXIT)])


def attach(directory: Path, rules: Sequence[DeviceRule]) -> None:
    """Load the program and attach it to the cgroup `directory`; it goes with the cgroup.

    Needs: CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN. Raises: KernelError. See: man 2 bpf
    """
    code, license = buffer(program(rules)), buffer(b"Apache-2.0\0")
    load = struct.pack(
        "=IIQQIIQ", _BPF_PROG_TYPE_CGROUP_DEVICE, len(code) // 8, pointer_to(code), pointer_to(license), 0, 0, 0
    )
    fd = invoke("bpf", cmd=_BPF_PROG_LOAD, attr=buffer(load), size=len(load))
    target = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        how = struct.pack("=IIII", target, fd, _BPF_CGROUP_DEVICE, _BPF_F_ALLOW_MULTI)
        invoke("bpf", cmd=_BPF_PROG_ATTACH, attr=buffer(how), size=len(how))
    finally:
        os.close(target)
        os.close(fd)


def _rule(rule: DeviceRule) -> list[bytes]:
    tests: list[bytes] = []
    answer = [_instruction(_MOV32_IMM, 0, 0, 0, int(rule.allow)), _instruction(_EXIT)]
    access = sum(_ACCESS[letter] for letter in rule.access)
    conditions: list[list[tuple[int, int, int, int]]] = []
    if rule.type in _TYPES:
        conditions.append([(_JNE_IMM, 2, 0, _TYPES[rule.type])])
    if access != 7:  # every bit that is asked for must be one of the rule's: (r3 & ~access) == 0
        conditions.append([(_MOV32_REG, 0, 3, 0), (_AND32_IMM, 0, 0, 7 & ~access), (_JNE_IMM, 0, 0, 0)])
    for register, number in ((4, rule.major), (5, rule.minor)):
        if number is not None:
            conditions.append([(_JNE_IMM, register, 0, number)])
    flat = [step for condition in conditions for step in condition]
    for position, (opcode, target, source, value) in enumerate(flat):
        jump = len(flat) - position - 1 + len(answer) if opcode == _JNE_IMM else 0
        tests.append(_instruction(opcode, target, source, jump, value))
    return tests + answer


def _instruction(opcode: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("=BBhi", opcode, source << 4 | target, offset, value)
