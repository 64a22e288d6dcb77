"""From created to removed: verbs, policies, health, and whoever is killed on the way."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from labcontainer.errors import InitError, NotFound, StateError, UsageError
from labcontainer.kernel import proc
from labcontainer.runtime.state import ProcessId
from tests.leaks import SLOW

if TYPE_CHECKING:
    from labcontainer.engine import Container, Engine

TICKING = ["sh", "-c", "i=0; while :; do echo $i; i=$((i+1)); sleep 0.02; done"]


@pytest.fixture
def start(engine: Engine) -> Iterator[Callable[..., Container]]:
    made = []

    def run(command: list[str] | None = None, **settings: Any) -> Container:
        container = engine.containers.run("lab/base", command or ["sleep", "60"], detach=True, **settings)
        made.append(container)
        return container

    yield run
    for container in made:
        try:
            container.remove(force=True)
        except NotFound:
            continue


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10 * SLOW
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def gone(process: ProcessId) -> Callable[[], bool]:
    return lambda: not process.alive()


def test_a_created_container_has_no_process_until_it_is_started(engine: Engine) -> None:
    container = engine.containers.create("lab/base", ["echo", "hello"])
    assert (container.status, container.pid) == ("created", 0)
    container.start()
    container.wait(timeout=10)
    assert (container.status, container.logs()) == ("exited", b"hello\n")
    container.start()
    container.wait(timeout=10)
    assert container.logs() == b"hello\nhello\n"
    container.remove()


def test_what_a_container_has_written_is_there_when_it_starts_again(start: Callable[..., Container]) -> None:
    container = start(["sh", "-c", "cat /kept; echo more >> /kept"])
    container.wait(timeout=10)
    container.restart()
    container.wait(timeout=10)
    assert container.logs(stderr=False) == b"more\n"


def test_exec_runs_inside_with_what_was_asked(start: Callable[..., Container]) -> None:
    container = start(hostname="box")
    code, output = container.exec_run(["sh", "-c", "hostname; id -u; pwd; echo $A; exit 3"], user="nobody",
                                      workdir="/tmp", environment={"A": "b"})  # fmt: skip
    assert isinstance(output, bytes)
    assert (code, output.split()) == (3, [b"box", b"65534", b"/tmp", b"b"])


def test_an_exec_is_in_every_namespace_and_the_cgroup_of_its_container(start: Callable[..., Container]) -> None:
    container = start()
    look = (
        "readlink /proc/$P/ns/* | grep -v _for_; cat /proc/$P/cgroup; grep -E '^(Cap|NoNew|Seccomp:)' /proc/$P/status"
    )
    of_init, of_exec = (
        container.exec_run(["sh", "-c", look], environment={"P": who}, user="0").output for who in ("1", "self")
    )
    assert of_init == of_exec


def test_an_exec_keeps_stdout_and_stderr_apart_and_has_a_terminal_if_asked(start: Callable[..., Container]) -> None:
    container = start()
    said = ["sh", "-c", "echo out; echo err >&2"]
    assert container.exec_run(said, demux=True).output == (b"out\n", b"err\n")
    assert container.exec_run(["tty"], tty=True).output == b"/dev/pts/0\r\n"


def test_an_exec_of_nothing_that_runs_is_127_and_leaves_the_container_alone(start: Callable[..., Container]) -> None:
    container = start()
    with pytest.raises(InitError) as caught:
        container.exec_run(["no-such-command"])
    assert caught.value.exit_code == 127
    assert container.status == "running"


def test_an_exec_ends_with_its_container(engine: Engine, start: Callable[..., Container]) -> None:
    container = start()
    connection = container.exec_open(["sleep", "60"])
    container.kill()
    assert connection.pump(lambda stream, data: None).code == 137
    connection.close()


@pytest.mark.usefixtures("needs_cgroups")
def test_a_paused_container_stands_still_and_refuses_an_exec(start: Callable[..., Container]) -> None:
    container = start(TICKING)
    until(container.logs)
    container.pause()
    assert container.status == "paused"
    before = container.logs()
    with pytest.raises(StateError, match=r"it is paused; .*unpause it first"):
        container.exec_run(["true"])
    time.sleep(0.1)
    assert container.logs() == before
    container.unpause()
    assert container.status == "running"
    until(lambda: container.logs() != before)


@pytest.mark.usefixtures("needs_cgroups")
def test_a_paused_container_can_be_stopped_and_killed(start: Callable[..., Container]) -> None:
    for end in ("stop", "kill"):
        container = start(["sleep", "60"])
        container.pause()
        container.stop(timeout=0.2) if end == "stop" else container.kill()
        assert container.wait(timeout=10)["StatusCode"] in (137, 143)


def test_a_policy_starts_a_failed_container_again_and_counts(start: Callable[..., Container]) -> None:
    container = start(["sh", "-c", "echo again; exit 3"], restart_policy={"Name": "on-failure", "MaximumRetryCount": 2})
    until(lambda: container.status == "exited")
    assert (container.state.restarts, container.logs()) == (2, b"again\n" * 3)


def test_stop_ends_a_container_whose_policy_says_always(start: Callable[..., Container]) -> None:
    container = start(["false"], restart_policy={"Name": "always"})
    until(lambda: container.status == "restarting")
    container.stop()
    assert container.status == "exited"


def test_rm_and_a_restart_policy_exclude_each_other(engine: Engine) -> None:
    with pytest.raises(UsageError, match="restart policy"):
        engine.containers.create("lab/base", ["true"], remove=True, restart_policy={"Name": "always"})


def test_an_init_of_ours_waits_for_orphans_and_passes_signals_on(start: Callable[..., Container]) -> None:
    script = "trap 'echo caught; exit 7' TERM; (sleep 0.05 &) ; while :; do sleep 0.02; done"
    container = start(["sh", "-c", script], init=True)
    listed = container.exec_run(["cat", "/proc/1/comm"]).output
    assert listed == b"lab-init\n"
    time.sleep(0.2)
    zombies = container.exec_run(["sh", "-c", "grep -l 'State:.Z' /proc/[0-9]*/status 2>&-; true"]).output
    assert zombies == b""
    container.stop(timeout=10)
    assert (container.logs(), container.wait()) == (b"caught\n", {"StatusCode": 7})


def test_health_follows_the_check(start: Callable[..., Container]) -> None:
    check = {"test": ["CMD-SHELL", "test ! -e /sick"], "interval": 50_000_000, "retries": 2}
    container = start(healthcheck=check)
    until(lambda: container.state.health == "healthy")
    container.exec_run(["touch", "/sick"])
    until(lambda: container.state.health == "unhealthy")
    container.exec_run(["rm", "/sick"])
    until(lambda: container.state.health == "healthy")


def test_a_container_outlives_its_monitor_and_the_next_engine_brings_another(
    engine: Engine, start: Callable[..., Container]
) -> None:
    container = start(TICKING)
    until(container.logs)
    monitor = container.state.monitor
    assert monitor is not None
    os.kill(monitor.pid, signal.SIGKILL)
    until(lambda: not monitor.alive())
    pid, before = container.pid, container.logs()
    assert [line for line in engine.mend_all() if "another looks after it" in line]
    until(lambda: container.logs() != before)
    assert (container.pid, container.status) == (pid, "running")
    numbers = [int(line) for line in container.logs().split()]
    assert numbers == list(range(len(numbers)))  # the pipe kept what nobody read meanwhile
    container.stop(timeout=0.2)
    assert container.wait()["StatusCode"] == (137 if _kernel() >= (6, 15) else 255)


def test_the_terminal_of_a_killed_monitor_hangs_up_on_who_listens_and_pid_1_need_not(
    engine: Engine, start: Callable[..., Container]
) -> None:
    # Nobody sets a default action for PID 1: SIGHUP ends the shell, which has asked for it, and not sleep.
    listens = start(["sh", "-c", "trap 'exit 5' HUP; echo ready; while :; do sleep 0.02; done"], tty=True)
    deaf = start(["sleep", "60"], tty=True)
    until(lambda: b"ready" in listens.logs())
    init = listens.state.init
    assert init is not None
    for container in (listens, deaf):
        monitor = container.state.monitor
        assert monitor is not None
        os.kill(monitor.pid, signal.SIGKILL)
        until(gone(monitor))
    until(gone(init))
    assert [line for line in engine.mend_all() if deaf.short_id in line and "another looks after it" in line]
    assert deaf.status == "running"


def _kernel() -> tuple[int, ...]:
    return tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])


def test_a_client_that_reads_nothing_wedges_nobody(engine: Engine, start: Callable[..., Container]) -> None:
    container = start(["sh", "-c", "yes | head -c 4000000; echo done; sleep 60"])
    deaf = container.attach()
    try:
        assert container.exec_run(["echo", "alive"]).output == b"alive\n"
        container.stop(timeout=0.2)
        assert container.status == "exited"
    finally:
        deaf.close()


def test_a_command_that_does_not_read_its_stdin_wedges_nobody(start: Callable[..., Container]) -> None:
    container = start(["sleep", "60"], stdin_open=True)
    connection = container.attach()

    def feed() -> None:
        for _ in range(64):
            connection.feed(bytes(32768))

    feeding = threading.Thread(target=feed)
    feeding.start()  # it waits when the monitor holds as much as it may, until the container has ended
    container.stop(timeout=0.2)
    assert container.status == "exited"
    feeding.join()
    connection.close()


def test_sigpipe_is_what_it_is_in_any_shell(engine: Engine) -> None:
    assert engine.containers.run("lab/base", ["sh", "-c", "yes | head -n 1"], remove=True) == b"y\n"


def test_a_container_that_is_started_twice_at_once_runs_once(engine: Engine) -> None:
    container = engine.containers.create("lab/base", ["sleep", "60"])
    refused: list[Exception] = []

    def go() -> None:
        try:
            container.start()
        except Exception as error:  # noqa: BLE001  which of them is refused, and in which words, is chance
            refused.append(error)

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert container.status == "running"
    assert len(refused) <= 3
    assert len(proc.children(container.state.monitor.pid)) == 1  # type: ignore[union-attr]
    container.remove(force=True)
