"""Names of cgroups as the runtime specification and systemd write them."""

from __future__ import annotations

import pytest

from labcontainer.errors import UsageError
from labcontainer.kernel.cgroup import naming


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("7f3a", "7f3a"),
        ("pods/7f3a", "pods/7f3a"),
        ("/libpod_parent/x", "/libpod_parent/x"),
        ("//a/./b/", "/a/b"),
        ("user.slice:libpod:7f3a", "/user.slice/libpod-7f3a.scope"),
        ("a-b-c.slice:libpod:7f3a", "/a.slice/a-b.slice/a-b-c.slice/libpod-7f3a.scope"),
        (":docker:7f3a", "/system.slice/docker-7f3a.scope"),
        ("-.slice:docker:7f3a", "/docker-7f3a.scope"),
        ("system.slice::7f3a", "/system.slice/7f3a.scope"),
        ("system.slice:p:mine.slice", "/system.slice/mine.slice"),
        ("/with/a:b:c", "/with/a:b:c"),
    ],
)
def test_a_name_is_a_path(name: str, path: str) -> None:
    assert naming.path(name) == path


@pytest.mark.parametrize(
    "name", ["", "/", ".", "..", "a/..", "/../x", "a\0", "nota:p:n", "a--b.slice:p:n", "a.slice:p:"]
)
def test_what_is_no_place_for_a_container_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        naming.path(name)
