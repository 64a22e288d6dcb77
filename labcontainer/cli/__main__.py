"""``python -m labcontainer.cli``: the same as ``lab``."""

from labcontainer.cli import main

main()
