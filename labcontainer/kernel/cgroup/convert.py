"""One version's numbers as the other's, in the way of runc and crun."""

from __future__ import annotations

from labcontainer.errors import UsageError


def weight_of_shares(shares: int) -> int:
    """Version 1's cpu.shares (2 to 262144) as version 2's cpu.weight (1 to 10000).

    See: https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
    """
    return 1 + (max(2, min(shares, 262144)) - 2) * 9999 // 262142


def shares_of_weight(weight: int) -> int:
    """Version 2's cpu.weight as version 1's cpu.shares: the smallest that `weight_of_shares` makes this weight of.

    See: https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
    """
    return 2 - (1 - max(1, min(weight, 10000))) * 262142 // 9999


def io_weight_of_blkio(weight: int) -> int:
    """Version 1's blkio weight (10 to 1000) as version 2's io.weight (1 to 10000).

    See: https://docs.kernel.org/admin-guide/cgroup-v2.html#io-interface-files
    """
    return 1 + (weight - 10) * 9999 // 990


def blkio_of_io_weight(weight: int) -> int:
    """The inverse of `io_weight_of_blkio`.

    See: https://docs.kernel.org/admin-guide/cgroup-v2.html#io-interface-files
    """
    return 10 - (1 - weight) * 990 // 9999


def v2_swap_bytes(memory_bytes: int, memory_swap_bytes: int) -> int:
    """Memory and swap together, as version 1 counts, to version 2's swap alone.

    Raises: UsageError where the memory has no limit, or a larger one: nothing can then be said of the swap.
    See: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
    """
    if memory_swap_bytes == -1:
        return -1
    if memory_bytes == -1 or memory_swap_bytes < memory_bytes:
        limit = "there is none" if memory_bytes == -1 else f"that is {memory_bytes}"
        raise UsageError(
            "memory_swap_bytes",
            memory_swap_bytes,
            f"it counts memory and swap together, so it needs a memory limit that is not larger ({limit})",
        )
    return memory_swap_bytes - memory_bytes


def together(memory_bytes: int | None, swap_bytes: int | None) -> int | None:
    """Version 2's two limits as one, as version 1 counts; None where either is not there.

    See: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
    """
    if memory_bytes is None or swap_bytes is None:
        return None
    return -1 if -1 in (memory_bytes, swap_bytes) else memory_bytes + swap_bytes
