"""Capabilities of real processes, as /proc/PID/status shows them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from labcontainer.errors import UsageError
from labcontainer.kernel import capabilities
from labcontainer.kernel.capabilities import ALL, DOCKER_DEFAULT, Capability

SHOW = """
import json
from labcontainer.kernel.capabilities import *
from labcontainer.kernel import capabilities, process
%s
fields = ("bounding", "effective", "inheritable", "permitted", "ambient")
sets = capabilities.read()
print(json.dumps({field: sorted(getattr(sets, field)) for field in fields}))
"""


def sets_after(code: str) -> dict[str, list[int]]:
    command = [sys.executable, "-c", SHOW % code]
    result: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=20).stdout)
    return result


def test_the_bounding_set_is_cut_to_what_is_kept(needs_root: None) -> None:
    kept = DOCKER_DEFAULT & capabilities.read().bounding
    assert sets_after("capabilities.drop_bounding(DOCKER_DEFAULT)")["bounding"] == sorted(kept)


def test_a_capability_without_a_name_here_is_dropped_too(needs_root: None) -> None:
    code = """
import enum
capabilities.Capability = enum.IntEnum("Capability", [(c.name, c) for c in Capability if c <= 20])
capabilities.drop_bounding(())
capabilities.Capability = Capability
"""
    assert sets_after(code)["bounding"] == []


def test_capset_leaves_what_is_said_and_capget_reads_it(needs_root: None) -> None:
    code = """
chown, kill = Capability.CAP_CHOWN, Capability.CAP_KILL
high = Capability.CAP_CHECKPOINT_RESTORE
capabilities.capset([chown], [chown, kill, high], [kill])
assert capabilities.capget() == ({chown}, {chown, kill, high}, {kill})
"""
    sets = sets_after(code)
    assert (sets["effective"], sets["permitted"], sets["inheritable"]) == ([0], [0, 5, 40], [5])


def test_what_was_given_away_cannot_be_taken_back() -> None:
    code = """
from labcontainer.errors import KernelError
capabilities.capset((), ())
try:
    capabilities.capset([Capability.CAP_KILL], [Capability.CAP_KILL])
except KernelError as error:
    assert error.errno == 1, error
else:
    raise SystemExit("a capability came back")
"""
    assert sets_after(code)["permitted"] == []


def test_ambient_capabilities_survive_execve_without_root(needs_root: None) -> None:
    code = """
import os, subprocess, sys
bind = [Capability.CAP_NET_BIND_SERVICE]
process.prctl(process.Prctl.PR_SET_KEEPCAPS, 1)
os.setresuid(65534, 65534, 65534)
capabilities.capset(bind, bind, bind)
capabilities.set_ambient(bind)
line = subprocess.run(["grep", "CapEff", "/proc/self/status"], check=True, capture_output=True, text=True).stdout
assert int(line.split()[1], 16) == 1 << Capability.CAP_NET_BIND_SERVICE, line
"""
    assert sets_after(code)["ambient"] == [Capability.CAP_NET_BIND_SERVICE]


@pytest.mark.parametrize("name", ["CAP_NET_RAW", "net_raw", "Net_Raw"])
def test_a_capability_is_called_with_or_without_cap(name: str) -> None:
    assert capabilities.parse([name]) == {Capability.CAP_NET_RAW}


def test_all_means_every_capability_and_docker_gives_fourteen() -> None:
    assert capabilities.parse(["all"]) == ALL
    assert (len(ALL), len(DOCKER_DEFAULT)) == (41, 14)


def test_a_capability_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="CAP_FLY"):
        capabilities.parse(["CAP_FLY"])
