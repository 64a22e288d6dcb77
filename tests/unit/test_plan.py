from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from labcontainer.errors import SpecError
from labcontainer.kernel.mount import MountAttr, MountFlag
from labcontainer.kernel.overlay import Overlay
from labcontainer.oci.runtime_spec import Linux, Mount, Namespace, Process, Root, Spec, User
from labcontainer.runtime import mount_options, plan, steps
from labcontainer.runtime.mount_options import Change
from labcontainer.runtime.steps import Step

ROOTFS = Path("/bundle/rootfs")
SPEC = Spec(
    oci_version="1.0.2",
    root=Root("rootfs"),
    process=Process(cwd="/", user=User(0, 0), args=("true",)),
    mounts=(
        Mount("/proc", "proc", "proc", ("nosuid", "noexec", "nodev")),
        Mount("/dev", "tmpfs", "tmpfs", ("nosuid", "mode=755")),
        Mount("/data", "bind", "/srv/data", ("rbind", "ro")),
    ),
    linux=Linux(namespaces=(Namespace("mount"), Namespace("pid"), Namespace("network")), masked_paths=("/proc/kcore",)),
)


def kinds(planned: tuple[Step, ...]) -> list[str]:
    return [type(step).__name__ for step in planned]


def test_the_old_root_goes_after_proc_and_before_everything_else() -> None:
    planned = plan.root(SPEC, ROOTFS, None)
    names = kinds(planned)
    assert names.index("PickUp") < names.index("EnterRoot") < names.index("MountFilesystem")
    left = names.index("LeaveOldRoot")
    assert [step.destination for step in planned[:left] if isinstance(step, steps.MountFilesystem)] == ["/proc"]
    assert left < min(names.index("PutDown"), names.index("Mask"), names.index("MakeDevice"))
    assert names[0] == "SetPropagation"


def test_the_root_is_an_overlay_or_the_bundles_own_directory() -> None:
    overlay = Overlay((Path("/layers/a"), Path("/layers/b")), Path("/u"), Path("/w"))
    assert plan.root(SPEC, ROOTFS, overlay)[1] == steps.MountRoot(overlay, ROOTFS)
    assert overlay.options() == "lowerdir=/layers/a:/layers/b,upperdir=/u,workdir=/w"
    assert plan.root(SPEC, ROOTFS, None)[1] == steps.BindRoot(ROOTFS)


def test_an_overlay_escapes_what_its_options_give_a_meaning() -> None:
    assert Overlay((Path("/a:b"), Path("/c,d"))).options() == r"lowerdir=/a\:b:/c\,d"


def test_a_bind_mount_is_picked_up_before_and_put_down_after() -> None:
    planned = plan.root(SPEC, ROOTFS, None)
    assert steps.PickUp("/srv/data", "/data", recursive=True) in planned
    assert steps.PutDown("/srv/data", "/data", Change(MountAttr.MOUNT_ATTR_RDONLY)) in planned


def test_what_is_masked_is_masked_before_the_first_volume_unless_it_lies_in_one() -> None:
    assert SPEC.linux is not None
    linux = dataclasses.replace(SPEC.linux, masked_paths=("/proc/kcore", "/data/secret"), readonly_paths=("/data",))
    planned = plan.root(dataclasses.replace(SPEC, linux=linux), ROOTFS, None)
    volume = next(number for number, step in enumerate(planned) if isinstance(step, steps.PutDown))
    assert planned.index(steps.Mask("/proc/kcore")) < volume
    assert volume < planned.index(steps.MakeReadonly("/data")) < planned.index(steps.Mask("/data/secret"))


def test_what_is_masked_with_a_null_device_of_somebodys_is_masked_after_the_mount_that_brings_it() -> None:
    bound = Mount("/dev", "bind", "/dev", ("rbind",))
    mounts = tuple(bound if mount.destination == "/dev" else mount for mount in SPEC.mounts)
    planned = plan.root(dataclasses.replace(SPEC, mounts=mounts), ROOTFS, None)
    names = kinds(planned)
    assert "MakeDevice" not in names
    assert max(number for number, name in enumerate(names) if name == "PutDown") < names.index("Mask")


def test_two_binds_of_one_source_are_held_apart() -> None:
    twice = (Mount("/one", "bind", "/srv", ("bind",)), Mount("/two", "bind", "/srv", ("bind",)))
    planned = plan.root(dataclasses.replace(SPEC, mounts=twice), ROOTFS, None)
    assert [step.destination for step in planned if isinstance(step, steps.PickUp)] == ["/one", "/two"]


def test_devices_are_made_as_root_and_bound_in_a_user_namespace() -> None:
    assert "MakeDevice" in kinds(plan.root(SPEC, ROOTFS, None))
    assert SPEC.linux is not None
    linux = dataclasses.replace(SPEC.linux, namespaces=(*SPEC.linux.namespaces, Namespace("user")))
    planned = plan.root(dataclasses.replace(SPEC, linux=linux), ROOTFS, None)
    assert "MakeDevice" not in kinds(planned)
    assert steps.PickUp("/dev/null", "/dev/null", recursive=False) in planned


def test_loopback_is_switched_on_only_in_a_network_of_ones_own() -> None:
    assert "LoopbackUp" in kinds(plan.root(SPEC, ROOTFS, None))
    linux = Linux(namespaces=(Namespace("mount"), Namespace("network", "/proc/1/ns/net")))
    assert "LoopbackUp" not in kinds(plan.root(dataclasses.replace(SPEC, linux=linux), ROOTFS, None))


def test_options_are_sorted_into_flags_propagation_and_data() -> None:
    sorted_out = mount_options.sort(("ro", "nosuid", "rshared", "size=1m", "mode=755"))
    assert sorted_out.flags == MountFlag.MS_RDONLY | MountFlag.MS_NOSUID
    assert sorted_out.propagation == MountFlag.MS_SHARED | MountFlag.MS_REC
    assert sorted_out.data == "size=1m,mode=755"
    assert mount_options.sort(("ro", "rw")).flags == MountFlag(0)


def test_a_bind_mount_without_a_source_is_a_spec_error() -> None:
    broken = dataclasses.replace(SPEC, mounts=(Mount("/data", "bind", None, ("bind",)),))
    with pytest.raises(SpecError, match="/data has no source"):
        plan.root(broken, ROOTFS, None)


def test_every_step_says_what_and_why() -> None:
    for step in plan.root(SPEC, ROOTFS, Overlay((Path("/l"),), Path("/u"), Path("/w"))):
        assert step.describe()
        assert step.why
        assert not step.why.endswith(".")
