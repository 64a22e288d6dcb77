"""A container's seccomp filter: loaded in its processes, and, where its policy asks one, introduced to an agent.

    init, or an exec              its keeper                           agent
      │ seccomp(NEW_LISTENER)        │                                   │ listens at listenerPath
      │ ── "seccomp", descriptor ──► │ ── {"fds": ["seccompFd"], …} ───► │
      │ mkdir(…) waits … ─────────────────── notification ─────────────► │
      │ … and returns ◄───────────────────── its answer ──────────────── │

An agent is somebody else's process that answers system calls in the Linux kernel's place. Its socket is a path of the
host, which init cannot see any more: so the keeper speaks to it. Lesson 10 teaches filters.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labcontainer.errors import InitError
from labcontainer.kernel import seccomp
from labcontainer.kernel.seccomp import FilterFlag, Loading
from labcontainer.oci.runtime_spec import Spec
from labcontainer.runtime import channel
from labcontainer.runtime.channel import Message


@dataclass(frozen=True, slots=True)
class Filter:
    """The program of a bundle's policy, and how it is loaded."""

    program: bytes
    loading: Loading

    @classmethod
    def of(cls, spec: Spec, cache: Path | None) -> Filter | None:
        """The filter that `spec` asks for, if it does. Raises: SpecError, HostError (no libseccomp)."""
        policy = spec.linux.seccomp if spec.linux else None
        if not policy:
            return None
        return cls(seccomp.compile(policy, cache=cache), Loading.from_json(policy))

    @property
    def listens(self) -> bool:
        """Whether an agent is asked."""
        return FilterFlag.SECCOMP_FILTER_FLAG_NEW_LISTENER in self.loading.flags

    def load(self, connection: socket.socket) -> None:
        """In the process itself: from here on its system calls are filtered. Raises: KernelError."""
        result = seccomp.load(self.program, self.loading.flags)
        if self.listens:
            # No policy makes this very call wait for the agent (`seccomp.policy`).
            channel.send(connection, "seccomp", fds=[result])
            os.close(result)

    def introduce(self, message: Message, pid: int, state: Mapping[str, Any]) -> None:
        """In the keeper: pass on the descriptor that `load` of process `pid` has sent, so that the agent can answer.

        `state` is the container's. Raises: InitError where no agent takes it.
        See: runtime-spec v1.2.0 config-linux.md#containerprocessstate
        """
        told = {"ociVersion": state["ociVersion"], "fds": ["seccompFd"], "pid": pid, "state": dict(state)}
        if self.loading.listener_metadata is not None:
            told["metadata"] = self.loading.listener_metadata
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.connect(self.loading.listener_path or "")
                socket.send_fds(connection, [json.dumps(told).encode()], list(message.fds))
        except OSError as error:
            cause = f"the seccomp agent at {self.loading.listener_path} does not answer: {error.strerror or error}"
            raise InitError("privileges", cause) from None
        finally:
            for fd in message.fds:
                os.close(fd)
