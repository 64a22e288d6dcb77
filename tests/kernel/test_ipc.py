"""Message queues: a number means something only in its IPC namespace. Runs as root and as an ordinary user alike."""

import pytest

from labcontainer.lessons import child

pytestmark = pytest.mark.usefixtures("needs_userns")

MADE_TWICE = """
import errno
from labcontainer import expect
from labcontainer.errors import KernelError
from labcontainer.kernel import ipc, namespaces
with expect(KernelError, errno=errno.ENOENT):
    ipc.msgget(0x1ab)
for _ in range(2):
    namespaces.unshare(namespaces.CloneFlag.CLONE_NEWIPC)
    print(ipc.message_queues())
    ipc.msgget(0x1ab, ipc.IpcFlag.IPC_CREAT | ipc.IpcFlag.S_IRUSR)
    print(ipc.message_queues())
"""


def test_a_queue_exists_in_its_own_namespace_and_in_no_other() -> None:
    said: list[str] = []
    done = child.start(MADE_TWICE, output=said.append, userns=True, traced=True)
    assert "".join(said).splitlines()[1:] == ["()", "(427,)", "()", "(427,)"]
    assert done.events[0].errno == "ENOENT"
    assert "msgget(key=427, msgflg=S_IRUSR|IPC_CREAT)" in {str(event).partition(" = ")[0] for event in done.events}
