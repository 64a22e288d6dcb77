"""Version 2 has no devices controller: a small BPF program is asked at every open and mknod of a device.

    r2 = type, r3 = access, r4 = major, r5 = minor       read from the context
    for each rule, the last one first:
        if type, major, minor match:
            deny:   if r3 has any of the rule's access: return 0
            allow:  take the rule's access out of r3; if nothing is left: return 1
    return 0

So for each kind of access alone the last rule that matches decides, as in version 1: reading by one rule and writing
by another are together the right to open for both.

See: https://docs.kernel.org/admin-guide/cgroup-v2.html#device-controller
"""

from __future__ import annotations

import enum
import os
import struct
from collections.abc import Sequence
from pathlib import Path

from labcontainer.kernel import proc
from labcontainer.kernel.cgroup.limits import DeviceRule, deciding
from labcontainer.kernel.libc import Buffer, invoke
from labcontainer.kernel.proc import IdRange

_TYPES = {"b": 1, "c": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}
_ALL = 7
_LOAD32, _MOV32_IMM, _MOV32_REG, _AND32_IMM, _RSH32_IMM = 0x61, 0xB4, 0xBC, 0x54, 0x74
_JEQ_IMM, _JNE_IMM, _EXIT = 0x15, 0x55, 0x95
_EVERY_ID = (IdRange(0, 0, 0xFFFFFFFF),)


class Bpf(enum.IntEnum):
    """Commands of bpf(2), and what they are told (``linux/bpf.h``)."""

    BPF_PROG_LOAD = 5
    BPF_PROG_ATTACH = 8


class ProgramType(enum.IntEnum):
    """For what a program may be used."""

    BPF_PROG_TYPE_CGROUP_DEVICE = 15


class AttachType(enum.IntEnum):
    """Where a program is attached."""

    BPF_CGROUP_DEVICE = 6


class AttachFlag(enum.IntFlag):
    """How: programs of cgroups above and below are asked as well, and each of them must allow."""

    BPF_F_ALLOW_MULTI = 2


def may_rule() -> bool:
    """Whether this process may say which devices a cgroup opens: root may, but not the root of a user namespace.

    Nothing is lost without: whoever has no more than that cannot make a device at all.

    See: man 7 user_namespaces, man 7 capabilities (CAP_BPF)
    """
    return os.geteuid() == 0 and proc.id_map() == _EVERY_ID


def program(rules: Sequence[DeviceRule]) -> bytes:
    """The rules as BPF instructions.

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
    # What no rule can reach is left out: the verifier refuses a program with instructions that never run.
    first, *rest = deciding(rules)
    for rule in reversed(rest):
        code += _rule(rule)
    return b"".join([*code, *_answer(allow=first.allow)])


def attach(directory: Path, rules: Sequence[DeviceRule]) -> None:
    """Load the program and attach it to the cgroup `directory`; it goes with the cgroup.

    Attached to a cgroup that has one, it narrows what that allows.

    Needs: CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN. Raises: KernelError. See: man 2 bpf
    """
    code, license = Buffer(program(rules)), Buffer(b"Apache-2.0\0")
    kind, count = ProgramType.BPF_PROG_TYPE_CGROUP_DEVICE, len(code) // 8
    load = Buffer(
        struct.pack("=IIQQIIQ", kind, count, code.address, license.address, 0, 0, 0),
        prog_type=kind, insn_cnt=count, license=bytes(license).rstrip(b"\0"),
    )  # fmt: skip
    fd = invoke("bpf", cmd=Bpf.BPF_PROG_LOAD, attr=load, size=len(load))
    target = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        where, flags = AttachType.BPF_CGROUP_DEVICE, AttachFlag.BPF_F_ALLOW_MULTI
        how = Buffer(
            struct.pack("=IIII", target, fd, where, flags),
            target_fd=target, attach_bpf_fd=fd, attach_type=where, attach_flags=flags,
        )  # fmt: skip
        invoke("bpf", cmd=Bpf.BPF_PROG_ATTACH, attr=how, size=len(how))
    finally:
        os.close(target)
        os.close(fd)


def _rule(rule: DeviceRule) -> list[bytes]:
    access = sum(_ACCESS[letter] for letter in set(rule.access))
    # (opcode, register, source, value); every jump leads behind the answer, to the rule before.
    steps: list[tuple[int, int, int, int]] = []
    if rule.type in _TYPES:
        steps.append((_JNE_IMM, 2, 0, _TYPES[rule.type]))
    for register, number in ((4, rule.major), (5, rule.minor)):
        if number is not None:
            steps.append((_JNE_IMM, register, 0, number))
    if access != _ALL and rule.allow:
        steps += [(_AND32_IMM, 3, 0, _ALL & ~access), (_JNE_IMM, 3, 0, 0)]
    elif access != _ALL:
        steps += [(_MOV32_REG, 0, 3, 0), (_AND32_IMM, 0, 0, access), (_JEQ_IMM, 0, 0, 0)]
    answer = _answer(allow=rule.allow)
    code = []
    for position, (opcode, register, source, value) in enumerate(steps):
        jump = len(steps) - position - 1 + len(answer) if opcode in (_JEQ_IMM, _JNE_IMM) else 0
        code.append(_instruction(opcode, register, source, jump, value))
    return code + answer


def _answer(*, allow: bool) -> list[bytes]:
    return [_instruction(_MOV32_IMM, 0, 0, 0, int(allow)), _instruction(_EXIT)]


def _instruction(opcode: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("=BBhi", opcode, source << 4 | target, offset, value)
