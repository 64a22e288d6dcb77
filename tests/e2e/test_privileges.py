"""What a user hears who lacks a privilege: the call that was refused, and what mends it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from labcontainer.engine import Engine
    from tests.needs import Needs


def run(engine: Engine, *around: str) -> subprocess.CompletedProcess[str]:
    places = {"LABCONTAINER_ROOT": str(engine.root), "LABCONTAINER_RUN": str(engine.run)}
    command = [*around, sys.executable, "-m", "labcontainer.cli", "run", "--rm", "lab/base", "true"]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **places})


def leaves_nothing(engine: Engine) -> None:
    deadline = time.monotonic() + 10  # the answer does not wait for the files to go
    while list(engine.container_root.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize(
    ("capability", "call", "remedy"),
    [
        ("sys_admin", "", "root without CAP_SYS_ADMIN here"),
        ("mknod", "mknod(", "needs CAP_MKNOD"),
        ("setpcap", "PR_CAPBSET_DROP", "start it with --privileged"),
        ("setuid", "capset(", "start it with --privileged"),
    ],
)
def test_root_without_a_capability_is_told_so_and_leaves_nothing(
    engine: Engine, needs: Needs, capability: str, call: str, remedy: str
) -> None:
    setpriv = str(needs("setpriv"))
    refused = run(engine, setpriv, f"--bounding-set=-{capability}", f"--inh-caps=-{capability}")
    assert refused.returncode == 125
    assert call in refused.stderr
    assert remedy in refused.stderr
    assert "Traceback" not in refused.stderr
    leaves_nothing(engine)
    # The zygote that was started without the capability does not serve those who have it.
    assert run(engine).returncode == 0


@pytest.mark.usefixtures("needs_ordinary_user", "needs_userns")
def test_a_user_who_may_make_no_user_namespace_is_told_how_to_allow_it(engine: Engine, needs: Needs) -> None:
    script = 'echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --inh-caps=-all --ambient-caps=-all "$@"'
    unshare = [str(needs("unshare")), "--user", "--map-current-user", "--keep-caps"]
    refused = run(engine, *unshare, "sh", "-c", script, "sh")
    assert refused.returncode == 125
    assert "user.max_user_namespaces" in refused.stderr
    assert "Traceback" not in refused.stderr
    leaves_nothing(engine)
