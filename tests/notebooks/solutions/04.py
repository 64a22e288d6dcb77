# cell: your-turn-change
%%child --userns --give place --exercise change
import os
from pathlib import Path
from labcontainer.kernel import namespaces, overlay
namespaces.unshare(namespaces.CloneFlag.CLONE_NEWNS)
os.chdir(place)
overlay.Overlay((Path("base"),), Path("upper"), Path("work"), userxattr=True).mount("merged")
for name in ("issue", "hosts", "fstab"):
    with open(f"merged/{name}", "a") as file:
        file.write("mine\n")
# cell: your-turn-forge
%%child --give place --exercise forge
import os, stat
os.chdir(place)
for name in ("issue", "hosts", "fstab"):
    os.mknod(f"forged/{name}", stat.S_IFCHR, os.makedev(0, 0))
