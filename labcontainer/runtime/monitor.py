"""The process that stays with one container from its birth to its last trace.

It launches init, stands between the container's streams and their clients, writes its log, starts it again where its
policy says so, checks its health, and when it has ended takes everything away that was made. It outlives the notebook,
the client and the zygote. Where a monitor is killed, the container lives on, and the next monitor adopts it.

Who we are: forked by the zygote, one thread, the privileges of the user who started the engine.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from labcontainer.errors import InitError, LabError, told
from labcontainer.kernel import cgroup, process, trace
from labcontainer.kernel.process import Child
from labcontainer.oci.runtime_spec import Spec
from labcontainer.runtime import channel, command, events, launch, log, restart, shared, state, streams
from labcontainer.runtime.channel import Message
from labcontainer.runtime.claim import claim
from labcontainer.runtime.clock import Clock
from labcontainer.runtime.health import HealthCheck
from labcontainer.runtime.inside import hold_root
from labcontainer.runtime.launch import Launched, Order, Stdio
from labcontainer.runtime.life import Status
from labcontainer.runtime.log import Log, Rotation
from labcontainer.runtime.relay import Client, Relay
from labcontainer.runtime.remove import clear_away, put_away
from labcontainer.runtime.request import Request
from labcontainer.runtime.state import ProcessId, State

_CLAIM_S = 1.0
_CLAIMED = "another monitor looks after it already, or it was removed"


class Monitor:
    """One container's keeper."""

    def __init__(self, request: Request, client: socket.socket) -> None:
        self.request = request
        self.directory = Path(request.directory)
        self.selector = selectors.EpollSelector()
        self.clock = Clock()
        self.relay = Relay(self.selector, self._client_spoke, self._client_went)
        self.relay.close_stdin_with_client = request.stdin_once
        self.creator = self.relay.add(client)
        self.halter: Client | None = None
        self.state = State(request.id, Status.CREATING, state.boot_id(), ProcessId.of(os.getpid()))
        self.made = Launched()
        self.root_lock = -1
        self.health = HealthCheck(request.health, self.clock, self._checked) if request.health else None
        self.adopted = False
        self.started = False
        self.ended = False
        self.remove = request.remove
        self.failure: InitError | None = None

    def run(self) -> None:
        """See the container through, as often as its policy starts it, and clear up; clients are told each outcome."""
        # Who mends a container holds the claim for a moment, and an init of a killed monitor until it has seen that.
        held = claim(self.directory, patience_s=_CLAIM_S)
        if held is None:
            self.relay.tell("failed", stage="create", cause=_CLAIMED, exit_code=125)
            self.relay.farewell()
            return
        with contextlib.suppress(LabError):
            # When it last ran: where we are killed before it runs again, its policy still holds for it.
            before = state.load(self.directory)
            self.state = replace(self.state, started_ns=before.started_ns, finished_ns=before.finished_ns)
        if self.request.log is not None:
            self.relay.log = Log(self.directory / log.NAME, Rotation.of(self.request.log))
        try:
            self._run_once(self._adopt if self.request.adopt else self._launch)
            while self._again():
                self._run_once(self._launch)
        finally:
            self._finish(held)

    def _run_once(self, begin: Callable[[], None]) -> None:
        self.failure, self.ended = None, False
        stop_listening = None
        try:
            begin()
            stop_listening = self.relay.listen(self.directory)
            self._loop()
        except InitError as error:
            self.failure = error
        except (LabError, OSError) as error:
            self.failure = InitError("create", command.cause(error))
        finally:
            self._clear()
            if stop_listening is not None:
                stop_listening()

    # -- it begins

    def _launch(self) -> None:
        if self.root_lock < 0:
            self.root_lock = hold_root(self.directory)
        self._save(replace(self.state, status=Status.CREATING, init=None, exit_code=None, error="", oom_killed=False))
        spec = shared.look_up(self.directory, self.request.joins)
        with_terminal = spec.process is not None and spec.process.terminal
        found, stdio = None, None
        if not with_terminal:
            with trace.step("streams", "what the command prints comes to us through pipes"):
                found, stdio = streams.fifos(self.directory, interactive=self.request.interactive)
        self.made = Launched()
        try:
            launch.launch(self._order(spec, stdio), self.made)
        finally:
            for fd in stdio or ():
                os.close(fd)
        if found is None and self.made.terminal is not None:
            found = streams.terminal(self.made.terminal)
        if found is not None:
            self.relay.attach_streams(found)
        child, init_channel = self.made.child, self.made.channel
        assert child is not None
        assert init_channel is not None
        init = ProcessId.of(child.pid)
        freezer = str(self.made.cgroup.freezer or "") if self.made.cgroup else ""
        cgroup_name = self.request.cgroup
        self._save(replace(self.state, status=Status.CREATED, init=init, cgroup=cgroup_name, freezer=freezer))
        self.selector.register(init_channel, selectors.EVENT_READ, self._init_spoke)
        self.relay.tell("created", pid=child.pid)
        if self.started:
            self.made.start()

    def _order(self, spec: Spec, stdio: Stdio | None) -> Order:
        rootless = spec.linux is not None and any(each.type == "user" for each in spec.linux.namespaces)
        return Order(
            spec=spec,
            bundle=self.directory,
            snapshot=self.request.overlay(userxattr=rootless),
            cgroup=self.request.cgroup,
            stdio=stdio,
            cache=Path(self.request.cache) if self.request.cache else None,
            init=self.request.init,
            id=self.request.id,
        )

    def _adopt(self) -> None:
        written = state.load(self.directory)
        init = written.init
        if init is None or not init.alive():
            raise InitError("adopt", "it has ended meanwhile", 255)
        # Opened first and asked afterwards: the number cannot have been given to somebody else in between.
        self.made = Launched(Child(init.pid, process.pidfd_open(init.pid)))
        if written.cgroup:
            self.made.cgroup = cgroup.open(written.cgroup)
        self.adopted = self.started = True
        self._save(replace(written, status=Status.RUNNING, monitor=ProcessId.of(os.getpid()), halted=False))
        self.relay.attach_streams(streams.reopen(self.directory))
        self.relay.tell("adopted", pid=init.pid)
        if self.health:
            self.health.begin(self.directory, self.state, Path(self.request.cache))

    # -- while it runs

    def _loop(self) -> None:
        assert self.made.child is not None
        self.selector.register(self.made.child.pidfd, selectors.EVENT_READ, self._init_ended)
        while not self.ended:
            for key, _ in self.selector.select(self.clock.timeout()):
                key.data()
            self.clock.strike()
        self.relay.drain()

    def _client_spoke(self, client: Client, message: Message) -> None:
        if message.kind == "start" and not self.started:
            self.started = True
            if self.made.channel is not None:
                self.made.start()
        elif message.kind == "halt":
            # Somebody stops it: its policy must not start it again, and with "keep" its files stay.
            self._save(replace(self.state, halted=True))
            self.remove = self.remove and not message.body.get("keep")
            self.halter = None if message.body.get("lasting") else client
            self.relay.answer(client, "halting")
        elif message.kind == "policy":
            self.request = replace(self.request, restart=restart.policy(message.body))
            self.relay.answer(client, "policy")

    def _client_went(self, client: Client) -> None:
        if client is self.creator and not self.started and self.made.child is not None:
            if self.state.started_ns is not None and self.request.restart.policy != "no":
                # It is to run again, as its policy says, whoever was killed in carrying that out.
                self.started = True
                self.made.start()
                return
            # Who asked for it was killed before it could say "start": nobody else would ever start this init.
            process.pidfd_send_signal(self.made.child.pidfd, signal.SIGKILL)
        # Who was stopping it was killed: what still runs is under its policy again.
        if client is self.halter and not self.ended:
            self.halter, self.remove = None, self.request.remove
            self._save(replace(self.state, halted=False))

    def _init_spoke(self) -> None:
        assert self.made.channel is not None
        message = channel.receive(self.made.channel)
        self.selector.unregister(self.made.channel)
        self.made.channel.close()
        self.made.channel = None
        if message is not None and message.kind == "failed":
            self.failure = launch.failure(message)
            return
        # The channel has closed without a word: execve has succeeded (or init was killed, which its pidfd tells).
        if self.started and self.made.child is not None:
            self._save(replace(self.state, status=Status.RUNNING, started_ns=time.time_ns(), finished_ns=None))
            # Before anybody hears of it: who asked for the start may tell of what came after it, a restart.
            self._event("start")
            self.relay.tell("started", pid=self.made.child.pid)
            if self.health:
                self.health.begin(self.directory, self.state, Path(self.request.cache))

    def _checked(self, status: str) -> None:
        if status != self.state.health:
            self._save(replace(self.state, health=status))
            self._event(f"health_status: {status}")

    def _init_ended(self) -> None:
        assert self.made.child is not None
        child = self.made.child
        self.selector.unregister(child.pidfd)
        code, error = self._exit_code(child)
        os.close(child.pidfd)
        self.made.child = None
        self.ended = True
        oom = bool(self.made.cgroup and self.made.cgroup.events().oom_kill)
        self.state = replace(
            self.state, status=Status.STOPPED, exit_code=code, oom_killed=oom, finished_ns=time.time_ns(), error=error
        )
        if oom:
            self._event("oom")

    def _exit_code(self, child: Child) -> tuple[int, str]:
        if not self.adopted:
            return process.wait(child), ""
        # Not our child: since Linux 6.15 its pidfd tells all the same, once PID 1 has waited for it.
        code = process.exit_code_of(child.pidfd)
        if code is not None:
            return code, ""
        return 255, "its monitor was killed, and this Linux kernel tells its exit code to nobody else"

    # -- it has ended

    def _clear(self) -> None:
        """Take away what the run had made, and write down how it ended."""
        with trace.step("clear", "what a container leaves behind is nothing but its files"):
            if self.made.child is not None:
                with contextlib.suppress(KeyError):
                    self.selector.unregister(self.made.child.pidfd)
            if self.made.channel is not None:
                with contextlib.suppress(KeyError):
                    self.selector.unregister(self.made.channel)
            self.relay.drain()
            with _going_on():
                self.made.clear()
        if self.health:
            self.health.end()
        self.adopted = False
        if self.failure is not None:
            self.state = replace(
                self.state, status=Status.STOPPED, exit_code=self.failure.exit_code, error=str(self.failure),
                init=None, finished_ns=time.time_ns(),
            )  # fmt: skip
        elif self.started and self.state.started_ns is not None:
            self._event("die", exitCode=str(self.state.exit_code))

    def _again(self) -> bool:
        """Wait as long as the back-off says, answering clients meanwhile; whether the container is to run again."""
        policy = self.request.restart
        if self.failure is not None or not self.started:
            return False
        if not policy.wants(self.state.exit_code or 0, self.state.restarts, halted=self.state.halted):
            return False
        pause_s = restart.pause_s(self.state)
        restarts = self.state.restarts + 1
        self._save(replace(self.state, status=Status.RESTARTING, init=None, restarts=restarts))
        self.relay.tell("exited", exit_code=self.state.exit_code, oom_killed=self.state.oom_killed, again=True)
        stop_listening = self.relay.listen(self.directory)
        waited = self.clock.after(pause_s)
        while not waited.done and not self.state.halted:
            for key, _ in self.selector.select(self.clock.timeout()):
                key.data()
            self.clock.strike()
        stop_listening()
        self.state = replace(self.state, status=Status.STOPPED)
        return not self.state.halted

    def _finish(self, held: int) -> None:
        if self.relay.log:
            self.relay.log.close()
        away = None
        with _going_on():
            if self.remove:
                attributes = events.attributes(self.directory)
                away = put_away(self.directory)
                events.record(self.directory.parent.parent, "destroy", self.request.id, attributes)
            else:
                self._save(replace(self.state, monitor=None))
        os.close(held)  # before it is told: who hears of the end may start or remove it at once
        if self.failure is not None:
            failure = self.failure
            self.relay.tell("failed", stage=failure.stage, cause=failure.cause, exit_code=failure.exit_code)
        else:
            self.relay.tell("exited", exit_code=self.state.exit_code, oom_killed=self.state.oom_killed)
        self.relay.farewell()
        if away is not None:
            # Nobody finds it any more, and nobody waits for it: there may be gigabytes in it.
            with _going_on():
                clear_away(away)

    def _save(self, now: State) -> None:
        self.state = now
        state.save(self.directory, now)

    def _event(self, action: str, **attributes: str) -> None:
        known = events.attributes(self.directory)
        events.record(self.directory.parent.parent, action, self.request.id, {**known, **attributes})


@contextlib.contextmanager
def _going_on() -> Iterator[None]:
    """What fails inside is written to the zygote's log: the clients must hear of the end all the same."""
    try:
        yield
    except (LabError, OSError) as error:
        sys.stderr.write(f"monitor {os.getpid()}: {told(error) if isinstance(error, OSError) else error}\n")
