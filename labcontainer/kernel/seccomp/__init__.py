"""Seccomp: which system calls a process may make.

    >>> from labcontainer.kernel import seccomp
    >>> policy = seccomp.resolve(seccomp.docker_default(), capabilities=["CAP_CHOWN"])
    >>> seccomp.load(seccomp.compile(policy, cache=Path("/var/lib/labcontainer/cache")))

What happens to a policy on its way to the Linux kernel::

    docker's JSON ──resolve──▶ linux.seccomp of a bundle ──compile──▶ BPF program ──load──▶ this process
     conditions on capabilities,        data, runc takes it         libseccomp, once;
     architecture, Linux version                                    then a file

Every system call of the process and of all its children then runs through the program, whose answer is: go ahead, or
this errno, or: ask an agent, a second process that answers for the kernel (`Loading`). Lesson 10 teaches it.
"""

# `compile` is always written `seccomp.compile`, where nobody takes it for Python's.
from labcontainer.kernel.seccomp.filter import FilterFlag, Loading, compile, load  # noqa: A004
from labcontainer.kernel.seccomp.policy import docker_default, resolve

__all__ = ["FilterFlag", "Loading", "compile", "docker_default", "load", "resolve"]
