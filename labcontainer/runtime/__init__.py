"""A bundle comes to life.

    client ──► zygote ──fork──► monitor ──clone3──► init ──execve──► the container's command
               one thread,      holds the pipes,    builds the root
               started once     log and exit code   step by step

The notebook's process has threads and must not fork or unshare, so it asks the zygote, a small Python process with one
thread. Monitors outlive the zygote and the notebook. `plan` says what init will do before anything is done.
"""
