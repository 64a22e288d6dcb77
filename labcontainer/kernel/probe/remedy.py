"""What mends it: from an error and the place where it happened to a command.

This is the only part of a probe that guesses, and it does so after the fact.
"""

from __future__ import annotations

import errno

from labcontainer.kernel.probe.place import Place, setting

_RUN_PRIVILEGED = {
    "docker": "docker run --privileged --cgroupns=host IMAGE (in place of docker run IMAGE)",
    "podman": "podman run --privileged IMAGE (in place of podman run IMAGE)",
    "kubernetes": "set securityContext.privileged: true for this pod's container",
    "lxc": "lxc config set NAME security.nesting true, and start the container again",
    "systemd-nspawn": "systemd-nspawn --capability=all --system-call-filter=@mount …",
    "flatpak": "start this from a terminal outside of Flatpak",
}
# Settings of every Linux, of Debian and of Ubuntu: the value that refuses user namespaces, and what allows them.
_USERNS_SETTINGS = (
    ("user/max_user_namespaces", "0", "user.max_user_namespaces=15000"),
    ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
)
_PACKAGE_MANAGERS = (
    ("debian", "sudo apt install"),
    ("fedora", "sudo dnf install"),
    ("rhel", "sudo dnf install"),
    ("suse", "sudo zypper install"),
    ("arch", "sudo pacman -S"),
    ("alpine", "sudo apk add"),
)


def general(error: OSError, place: Place) -> str:
    """What mends most calls that need privilege.

    See: man 7 capabilities, man 7 user_namespaces
    """
    if error.errno in (errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EUSERS):
        return more_privilege(place)
    if error.errno == errno.ENOSYS and place.container:
        return _RUN_PRIVILEGED.get(place.container, "start this container without its seccomp filter")
    if error.errno in (errno.ENOSYS, errno.EINVAL):
        return "start a newer Linux kernel: 5.11 or later"
    return unknown(place)


def more_privilege(place: Place) -> str:
    """What lets a process isolate itself, where that was refused.

    See: man 7 user_namespaces
    """
    switches = [switch for path, refuses, switch in _USERNS_SETTINGS if setting(path) == refuses]
    # Root needs no user namespace, so their settings have not stopped it.
    if switches and not place.root:
        return f"sudo sysctl -w {' '.join(switches)}"
    if place.container:
        return _RUN_PRIVILEGED.get(place.container, "start this container with more privilege")
    if place.sandbox:
        return "start this outside of the sandbox that it is in (a user namespace with fewer rights)"
    return unknown(place)


def limit_of(kind: str) -> str:
    """What raises the number of namespaces of one `kind` that a user may make.

    See: man 7 namespaces (/proc/sys/user)
    """
    return f"sudo sysctl -w user.max_{kind}_namespaces=15000"


def module(*names: str) -> str:
    """What loads file systems or devices that the Linux kernel has as modules.

    See: man 8 modprobe
    """
    return f"sudo modprobe -a {' '.join(names)}"


def package(place: Place, debian: str, **others: str) -> str:
    """What installs a package: `others` names it where it is not called as in Debian (``fedora="…"``).

    See: man 5 os-release
    """
    for family, command in _PACKAGE_MANAGERS:
        if family in place.families:
            return f"{command} {others.get(family, debian)}"
    return f"install the package {debian} (Debian's name for it)"


def unknown(place: Place) -> str:
    """What to say where nothing here explains the refusal.

    See: man 8 dmesg
    """
    if place.root:
        return "sudo dmesg | tail (a security module or the machine around this one refuses it, and may say so there)"
    return "sudo -i, and try it as root; if that works, a security module restricts ordinary users (sudo dmesg | tail)"
