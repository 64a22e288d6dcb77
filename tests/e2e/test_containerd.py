"""containerd, a private one, with lab-runtime in the place of runc."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import Needs

# The shims' sockets are below /run/containerd, wherever containerd's own state is: this mount namespace has its own.
SCRIPT = r"""
umount /sys/fs/cgroup/unified 2>/dev/null
set -e
mkdir -p /run/containerd
mount -t tmpfs none /run/containerd
"$CONTAINERD" -c "$HOME/config.toml" >"$HOME/log" 2>&1 &
daemon=$!
ctr() { command "$CTR" -a "$HOME/sock" "$@"; }
say() { printf '%s\n' "$*"; }
status() { ctr tasks ls | grep '^box ' | tr -s ' ' | cut -d' ' -f3; }
until ctr version >/dev/null 2>&1; do kill -0 $daemon; sleep 0.1; done
ctr events >"$HOME/events" 2>&1 &
events=$!
ctr images import "$HOME/image.tar" >/dev/null
run() { ctr run --runc-binary "$RUNTIME" --cgroup "$CGROUP" "$@"; }
run --rm lab.local/base:latest first sh -c 'echo ran as $(id -u); exit 3' || say "ended with $?"
run -d --null-io lab.local/base:latest box sleep 100
say "$(status)"
ctr tasks exec --exec-id one box sh -c 'echo inside; exit 4' || say "exec ended with $?"
ctr tasks exec --exec-id two box nope >/dev/null 2>&1 || say "exec of nothing fails"
ctr tasks pause box; say "$(status)"
ctr tasks resume box; say "$(status)"
say "$(ctr tasks ps box | grep -c '^[0-9]') process"
say "$(ctr tasks metrics box | grep -c '^pids.current *1')"
ctr tasks kill -s KILL box
until [ "$(status)" = STOPPED ]; do sleep 0.1; done
ctr tasks delete box 2>/dev/null || true  # it ends as the task did
ctr containers delete box
say "left: $(ctr containers ls -q)"
kill $events
for event in create start exec-started paused resumed exit delete; do
    grep -q "/tasks/$event .*\"box\"" "$HOME/events" && say "told of $event"
done
kill $daemon
wait $daemon || true
"""


@pytest.mark.usefixtures("needs_root")
def test_containerd_runs_its_containers_with_our_runtime(needs: Needs, tmp_path: Path, starter_images: Path) -> None:
    programs = {"CONTAINERD": needs("containerd"), "CTR": needs("ctr"), "SKOPEO": needs("skopeo")}
    needs("containerd-shim-runc-v2")
    source, archive = f"oci:{starter_images}/images:lab/base", f"oci-archive:{tmp_path}/image.tar:lab.local/base:latest"
    copy = [str(programs["SKOPEO"]), "--insecure-policy", "copy", source, archive]
    subprocess.run(copy, check=True, capture_output=True)
    (tmp_path / "config.toml").write_text(
        f'version = 2\nroot = "{tmp_path}/root"\nstate = "{tmp_path}/state"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\n  address = "{tmp_path}/sock"\n'
    )
    places = {
        "HOME": str(tmp_path),
        "RUNTIME": str(Path(sys.executable).with_name("lab-runtime")),
        "CGROUP": f"/{os.environ['LABCONTAINER_CGROUP']}/containerd",
        **{name: str(path) for name, path in programs.items()},
    }
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", SCRIPT],
        env={**os.environ, **places}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "ran as 0",
        "ended with 3",
        "RUNNING",
        "inside",
        "exec ended with 4",
        "exec of nothing fails",
        "PAUSED",
        "RUNNING",
        "1 process",
        "1",
        "left: ",
        *(f"told of {event}" for event in ("create", "start", "exec-started", "paused", "resumed", "exit", "delete")),
    ], done.stderr + (tmp_path / "log").read_text()[-3000:]
