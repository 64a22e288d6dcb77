"""The cgroup dashboard without a browser, over containers that run: what a mouse can do, done by methods."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

from labcontainer.engine import Container, Engine
from labcontainer.errors import KernelError, NotFound, StateError, UsageError
from labcontainer.kernel import cgroup
from labcontainer.kernel.cgroup import files
from labcontainer.widgets import CgroupDashboard, page
from labcontainer.widgets.reading import read
from tests.kernel.conftest import eventually

pytestmark = pytest.mark.usefixtures("needs_cgroups")

MIB = 1 << 20
HOLD = "held = b'x' * (24 << 20)\nprint('held', flush=True)\nimport time\nwhile True: time.sleep(1)"


@pytest.fixture
def box(lab: Engine) -> Iterator[Container]:
    command = ["python3", "-c", HOLD]
    limits = {"mem_limit": "64m", "pids_limit": 16, "nano_cpus": 500_000_000}
    made = lab.containers.run("lab/python", command, detach=True, name="box", **limits)
    assert eventually(lambda: made.logs() == b"held\n")
    yield made
    made.remove(force=True)


@pytest.fixture
def dashboard(box: Container) -> Iterator[CgroupDashboard]:
    with CgroupDashboard(box, live=False) as dashboard:
        yield dashboard


def send(dashboard: CgroupDashboard, **command: object) -> dict[str, object]:
    dashboard.stage._handle_custom_msg(command, [])
    return dict(dashboard.stage.shown)


def test_a_reading_is_what_the_files_of_the_cgroup_say(box: Container) -> None:
    found = read(box)
    assert found is not None
    assert (found.limits.memory_bytes, found.limits.pids_max) == (64 * MIB, 16)
    assert found.files["memory limit"].says == str(64 * MIB)
    assert found.files["process limit"].path.endswith("/pids.max")
    assert (found.usage.memory_bytes or 0) > 24 * MIB


def test_every_file_that_this_host_should_have_is_found(box: Container) -> None:
    group = cgroup.open(str(box.state.cgroup))
    missing = {what for what in files.NAMES if files.find(group, what) is None}
    # A cpuset is made for whoever asks for one; weights and pressure are for hosts that have them.
    optional = {"CPUs allowed", "disk weight", "swap limit", "memory pressure", "CPU pressure", "disk pressure"}
    assert missing <= optional
    with pytest.raises(NotFound, match="choose from memory limit"):
        files.find(group, "memroy limit")


def test_limits_act_at_once_and_are_told_by_the_linux_kernel(box: Container, dashboard: CgroupDashboard) -> None:
    found = dashboard.set(mem_limit="96m", pids_limit=-1, cpu_shares=512, nano_cpus=250_000_000)
    assert found.limits.memory_bytes == cgroup.open(str(box.state.cgroup)).limits().memory_bytes == 96 * MIB
    assert (found.limits.pids_max, found.limits.cpu_quota_usec) == (-1, 25_000)
    assert [mark.chart for mark in dashboard.marks] == ["memory", "cpu", "pids", "cpu"]
    assert dashboard.readings[-1] is found


def test_a_limit_below_what_is_in_use_is_refused_in_words(box: Container, dashboard: CgroupDashboard) -> None:
    with pytest.raises(KernelError, match="are in use and cannot be taken back"):
        dashboard.set(mem_limit="8m")
    assert "cannot be taken back: choose a higher limit" in dashboard.stage.shown["error"]
    assert box.id not in dashboard.stage.shown["error"]
    with pytest.raises(UsageError):
        dashboard.set(pids_limit=0)
    assert dashboard.set(mem_limit="80m").limits.memory_bytes == 80 * MIB
    assert dashboard.stage.shown["error"] == ""


def test_the_browsers_commands_do_the_same(box: Container, dashboard: CgroupDashboard) -> None:
    memory = next(each for each in dashboard.stage.shown["sliders"] if each["name"] == "memory")
    shown = send(dashboard, verb="set", limit="memory", stop=memory["values"].index(128 * MIB))
    assert dashboard.readings[-1].limits.memory_bytes == 128 * MIB
    before = len(dashboard.readings)
    send(dashboard, verb="step")
    assert len(dashboard.readings) == before + 1
    assert "in use" in str(send(dashboard, verb="set", limit="memory", stop=0)["error"])
    shown = send(dashboard, verb="resume")
    assert shown["sampling"]
    shown = send(dashboard, verb="pause")
    assert not shown["sampling"]
    assert dashboard.stage.answered == 5


def test_one_of_several_is_chosen_by_name_id_or_itself(lab: Engine, box: Container) -> None:
    other = lab.containers.run("lab/base", "sleep 600", detach=True, name="other")
    try:
        with CgroupDashboard(box, other, live=False) as dashboard:
            for name in ("other", other.id, other.short_id, other):
                dashboard.choose(box)
                dashboard.choose(name)
                assert [each["chosen"] for each in dashboard.stage.shown["choices"]] == [False, True]
            with pytest.raises(NotFound, match="choose from box, other"):
                dashboard.choose("nobody")
            assert "nobody" in str(send(dashboard, verb="choose", id="nobody")["error"])
    finally:
        other.remove(force=True)


def test_it_reads_by_itself_until_it_is_paused_or_closed(box: Container) -> None:
    dashboard = CgroupDashboard(box, interval_s=0.02)
    assert eventually(lambda: len(dashboard.readings) > 3)
    dashboard.pause()
    count = len(dashboard.readings)
    assert not dashboard.sampling
    dashboard.resume()
    assert eventually(lambda: len(dashboard.readings) > count)
    dashboard.close()
    dashboard.close()
    assert not [each for each in threading.enumerate() if each.name == "lab-sampler"]


def test_it_stops_reading_when_nobody_holds_it_any_more(box: Container) -> None:
    dashboard = CgroupDashboard(box, interval_s=0.02)
    dashboard.stage.close()  # what the browser has of it
    del dashboard

    def gone() -> bool:
        gc.collect()
        return not [each for each in threading.enumerate() if each.name == "lab-sampler"]

    assert eventually(gone)


def test_the_end_of_the_container_ends_the_sampling_and_is_told(lab: Engine) -> None:
    greedy = ["python3", "-c", "held = b'x' * (24 << 20)\nmore = b'x' * (96 << 20)"]
    box = lab.containers.create("lab/python", greedy, mem_limit="32m", memswap_limit="32m", name="greedy")
    with CgroupDashboard(box, interval_s=0.02) as dashboard:
        assert dashboard.stage.shown["status"] == "created"
        box.start()
        assert eventually(lambda: not dashboard.sampling)
        assert dashboard.stage.shown["status"] == "ended, exit code 137"
        assert not dashboard.stage.shown["sampling"]
        if dashboard.readings:
            assert "oom" in {mark.kind for mark in dashboard.marks}
        with pytest.raises(StateError):
            dashboard.step()
    box.remove()


def test_without_containers_there_is_nothing_to_show() -> None:
    with pytest.raises(UsageError, match="give at least one"):
        CgroupDashboard()


def test_its_text_is_stable_and_its_page_has_the_present_readings(dashboard: CgroupDashboard) -> None:
    bundle = dashboard._repr_mimebundle_()
    assert bundle["text/plain"] == repr(dashboard) == "CgroupDashboard: limits and use of 1 container"
    assert bundle["text/html"].startswith(page.LIVE[0])
    assert str(64 * MIB) in bundle["text/html"]
