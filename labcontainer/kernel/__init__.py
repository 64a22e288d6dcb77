"""Linux, one function for each man page.

Nothing here knows of images, bundles or containers. Functions carry the system call's name and argument order;
flags keep their C names; each docstring names its man page. Every call can be watched: see `trace`.
"""
