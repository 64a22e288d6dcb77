"""A child in chosen namespaces says what it sees. Runs as root and as an ordinary user alike."""

import os
import socket

import pytest

from labcontainer.errors import HostError, KernelError, UsageError
from labcontainer.kernel import ipc, namespaces, proc
from labcontainer.kernel.namespaces import NAMESPACES
from labcontainer.runtime import fault, sight, witness

pytestmark = pytest.mark.usefixtures("needs_userns")
ROOTLESS = os.geteuid() != 0
HERE = tuple(namespaces.inodes())  # a Linux kernel for one CPU has no time namespaces


def test_without_new_namespaces_the_child_sees_what_we_see() -> None:
    told = witness.ask(())
    assert told.inside.namespaces == told.host.namespaces == namespaces.inodes()
    assert told.inside.hostname == socket.gethostname()
    assert told.inside.pid == told.outside_pid
    assert told.made == told.added == ()


@pytest.mark.parametrize("name", NAMESPACES)
def test_just_the_namespace_that_was_asked_for_is_new(name: str) -> None:
    if name not in HERE:
        pytest.skip(f"belongs to another run: where the Linux kernel has {name} namespaces")
    told = witness.ask({name})
    changed = {kind for kind, inode in told.inside.namespaces.items() if inode != told.host.namespaces[kind]}
    assert changed == {name, *told.added}
    assert told.added == (("user",) if ROOTLESS and name != "user" else ())


def test_in_a_pid_namespace_the_child_is_process_1_and_still_sees_the_hosts_proc() -> None:
    told = witness.ask({"pid"})
    assert told.inside.pid == 1
    assert told.outside_pid in {each.pid for each in told.inside.processes}


def test_with_pid_and_mnt_a_fresh_proc_shows_the_child_alone() -> None:
    told = witness.ask({"pid", "mnt"})
    assert [each.pid for each in told.inside.processes] == [1]
    assert told.outside_pid in {each.pid for each in told.host.processes}


def test_a_fresh_proc_can_be_left_out() -> None:
    told = witness.ask({"pid", "mnt"}, fresh_proc=False)
    assert len(told.inside.processes) > 1


def test_a_fresh_proc_without_its_namespaces_is_refused_before_anything_happens() -> None:
    with pytest.raises(UsageError, match="host's /proc"):
        witness.ask({"pid"}, fresh_proc=True)


def test_a_host_name_set_inside_does_not_leave() -> None:
    before = socket.gethostname()
    assert witness.ask({"uts"}).inside.hostname == witness.HOSTNAME
    assert socket.gethostname() == before


def test_a_mount_made_inside_does_not_leave() -> None:
    told = witness.ask({"mnt"})
    assert witness.SCRATCH in {each.target for each in told.inside.mounts}
    assert ("tmpfs", witness.SCRATCH) not in {(each.filesystemtype, each.target) for each in proc.mountinfo()}


def test_a_queue_made_inside_does_not_leave() -> None:
    told = witness.ask({"ipc"})
    assert told.inside.queues == (witness.QUEUE,)
    assert witness.QUEUE not in ipc.message_queues()


def test_a_new_network_has_only_a_loopback_that_is_down() -> None:
    (loopback,) = (each for each in witness.ask({"net"}).inside.interfaces if each.name == "lo")
    assert not loopback.up


def test_the_interfaces_are_those_of_the_network_namespace() -> None:
    assert {each.name for each in sight.look().interfaces} == {name for _, name in socket.if_nameindex()}


def test_in_a_user_namespace_we_are_root_inside() -> None:
    ids = witness.ask({"user"}).inside.ids
    assert (ids.uid, ids.gid) == (0, 0)
    assert ids.uid_map == ((0, os.geteuid(), 1),)


def test_everything_at_once() -> None:
    told = witness.ask(HERE)
    assert not set(told.inside.namespaces.values()) & set(told.host.namespaces.values())
    assert told.notes == ()


def test_the_calls_that_made_it_are_told() -> None:
    calls = witness.ask({"pid", "uts"}).calls
    assert [call.errno for call in calls if call.call == "clone3"] == [None]
    assert 'sethostname(name="isolated"' in [str(call) for call in calls if call.role == "child"][-1]


def test_an_unknown_namespace_is_named() -> None:
    with pytest.raises(UsageError, match="choose from cgroup, ipc"):
        witness.ask({"pids"})


def test_a_sight_survives_json() -> None:
    seen = sight.look()
    assert sight.Sight.from_json(seen.to_json()) == seen


@pytest.mark.parametrize(
    "error",
    [
        KernelError(1, "clone3(flags=CLONE_NEWUSER)", "switched off here"),
        HostError("an overlay", "use ext4", "wrong file system"),
        UsageError("path", "x", "it must be below merged/"),
    ],
)
def test_an_error_crosses_the_pipe_unchanged(error: Exception) -> None:
    back = fault.from_json(fault.to_json(error))
    assert (type(back), str(back)) == (type(error), str(error))


def test_a_refusal_is_one_sentence_with_its_remedy() -> None:
    sentence = fault.sentence(KernelError(28, "clone3(flags=CLONE_NEWPID)", "raise the limits"))
    assert sentence == (
        "The Linux kernel answered ENOSPC (No space left on device) to clone3(flags=CLONE_NEWPID). Raise the limits."
    )
