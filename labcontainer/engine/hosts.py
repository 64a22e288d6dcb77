"""What a container is called, and by what it finds others: /etc/hosts, /etc/hostname and /etc/resolv.conf.

As in docker, each is a file in the container's directory on the host that is bound into it: what the image has there is
hidden, and not in the container's layer. They are written when the container is made, so what somebody changes in them
stays through restarts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labcontainer.errors import UsageError
from labcontainer.oci.runtime_spec import Mount

FILES = {"resolv.conf": "/etc/resolv.conf", "hostname": "/etc/hostname", "hosts": "/etc/hosts"}
_LOOPBACK = (
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "ff00::0\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
)

Addresses = Mapping[str, str] | Iterable[str] | None


@dataclass(frozen=True, slots=True)
class Names:
    """Names beyond the image's: `hosts` are (name, address); `search` and `options` are resolv.conf's words."""

    hostname: str | None = None
    domainname: str | None = None
    hosts: tuple[tuple[str, str], ...] = ()
    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def of(self, id: str, *, host_network: bool) -> str:
        """The host name of the container `id`: in the host's network the host's, as in docker."""
        return self.hostname or (os.uname().nodename if host_network else id[:12])

    def write(self, directory: Path, id: str, *, host_network: bool) -> None:
        """Make the three files of the container `id`. Raises: OSError."""
        texts = {
            "hostname": self.of(id, host_network=host_network) + "\n",
            "hosts": self._hosts(host_network=host_network),
            "resolv.conf": self._resolver(_read("/etc/resolv.conf"), host_network=host_network),
        }
        for name, text in texts.items():
            file = directory / name
            file.write_text(text)
            file.chmod(0o644)  # whatever the umask: an ordinary user inside reads them, too

    def _hosts(self, *, host_network: bool) -> str:
        lines = _read("/etc/hosts").splitlines() if host_network else list(_LOOPBACK)
        return "\n".join([*lines, *(f"{address}\t{name}" for name, address in self.hosts)]) + "\n"

    def _resolver(self, theirs: str, *, host_network: bool) -> str:
        """The host's resolv.conf with what was asked for in its place."""
        lines = [line.split() for line in theirs.splitlines() if line.strip() and line.strip()[0] not in "#;"]
        servers = [words[1] for words in lines if words[0] == "nameserver" and len(words) > 1]
        if not host_network:
            # Who answers on the host's loopback does not answer on the container's.
            servers = [address for address in servers if not _is_loopback(address)]
        search = next((words[1:] for words in reversed(lines) if words[0] in ("search", "domain")), [])
        options = [word for words in lines if words[0] == "options" for word in words[1:]]
        chosen = [word for word in self.search or search if word != "."]
        return "".join(
            [
                *(f"nameserver {address}\n" for address in self.servers or servers),
                f"search {' '.join(chosen)}\n" if chosen else "",
                f"options {' '.join(self.options or options)}\n" if self.options or options else "",
            ]
        )


def mounts(directory: Path, *, read_only: bool) -> tuple[Mount, ...]:
    """The three files where the container sees them."""
    options = ("rbind", "rprivate", "ro") if read_only else ("rbind", "rprivate")
    return tuple(Mount(place, "bind", str(directory / name), options) for name, place in FILES.items())


def take(settings: dict[str, Any]) -> Names:
    """docker-py's hostname, domainname, extra_hosts, dns, dns_search and dns_opt, out of `settings`.

    Raises: UsageError.
    """
    return Names(
        hostname=hostname(settings.pop("hostname", None)),
        domainname=hostname(settings.pop("domainname", None), "domainname"),
        hosts=extra_hosts(settings.pop("extra_hosts", None)),
        servers=tuple(_server(text) for text in settings.pop("dns", None) or ()),
        search=tuple(_word("dns-search", text) for text in settings.pop("dns_search", None) or ()),
        options=tuple(_word("dns-option", text) for text in settings.pop("dns_opt", None) or ()),
    )


def hostname(given: str | None, name: str = "hostname") -> str | None:
    """A host or domain name. Raises: UsageError (the Linux kernel takes 64 bytes)."""
    if given is None:
        return None
    if not 1 <= len(os.fsencode(given)) <= 64:
        raise UsageError(name, given, "it must have 1 to 64 bytes")
    if any(not character.isprintable() or character.isspace() for character in given):
        raise UsageError(name, given, "spaces and control characters cannot be in a name")
    return given


def extra_hosts(given: Addresses) -> tuple[tuple[str, str], ...]:
    """docker-py's ``{"db": "10.0.0.2"}``, or docker's ``db:10.0.0.2`` and ``db=fd00::2``. Raises: UsageError."""
    pairs = given.items() if isinstance(given, Mapping) else [_pair(text) for text in given or ()]
    return tuple((_word("add-host", name), _address(name, address)) for name, address in pairs)


def _pair(text: str) -> tuple[str, str]:
    # The equals sign comes first: an IPv6 address has colons of its own.
    name, separator, address = text.partition("=") if "=" in text else text.partition(":")
    if not separator or not name or not address:
        raise UsageError("add-host", text, "write NAME:ADDRESS, as in db:10.0.0.2")
    return name, address.removeprefix("[").removesuffix("]")


def _address(name: str, address: str) -> str:
    if address == "host-gateway":
        raise UsageError(
            "add-host", f"{name}:{address}", "a container without a network has no gateway: give an address"
        )
    import ipaddress  # few containers name addresses, and it takes a while to load

    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        raise UsageError("add-host", f"{name}:{address}", f"{address!r} is no IP address") from None


def _server(text: str) -> str:
    import ipaddress

    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise UsageError("dns", text, "give the IP address of a name server") from None


def _word(flag: str, text: str) -> str:
    if not text or any(character.isspace() or not character.isprintable() for character in text):
        raise UsageError(flag, text, "it must be one word")
    return text


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
