"""The devices that every container has.

null, zero, full, random, urandom, tty, console, ptmx, and the terminals of devpts; mknod of anything is allowed,
opening what was made is not.

See: runtime-spec v1.2.0 config-linux.md#default-devices
"""

from __future__ import annotations

from dataclasses import replace

from labcontainer.oci.resources import DeviceRule, Resources

RULES = (
    DeviceRule(allow=True, type="c", access="m"),
    DeviceRule(allow=True, type="b", access="m"),
    *(
        DeviceRule(allow=True, type="c", major=major, minor=minor, access="rwm")
        for major, minor in ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (136, None))
    ),
)


def always_allowed(wanted: Resources) -> Resources:
    """`wanted` with the rules for these, which a config that denies others need not name."""
    if not wanted.devices:
        return wanted
    return replace(wanted, devices=(*wanted.devices, *(rule for rule in RULES if rule not in wanted.devices)))
