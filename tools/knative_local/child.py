"""Starts a server as a child that cannot outlive its parent: `child.py SIGNAL PARENT [--not-root] COMMAND…`.

The kernel sends SIGNAL when the parent dies, however it dies, so a killed local cluster leaves no orphan. With
--not-root a root user becomes another user inside a user namespace, where files stay reachable, or nobody on a machine
without user namespaces: Postgres refuses to run as root.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
INSIDE_UID = 1000


def main() -> None:
    """Set the death signal, drop the rights of root if required, and become the command."""
    death_signal, parent, *command = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    if command[0] == "--not-root":
        command = command[1:]
        if os.geteuid() == 0:
            _stop_being_root(libc)
    libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)  # after the change of user, which would clear it
    if os.getppid() != int(parent):
        sys.exit("the parent has died")
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execvp(command[0], command)  # noqa: S606 - becoming that program is the purpose


def _stop_being_root(libc: ctypes.CDLL) -> None:
    if libc.unshare(CLONE_NEWUSER) == 0:
        with open("/proc/self/uid_map", "w") as uid_map:  # noqa: PTH123 - without pathlib it starts faster
            uid_map.write(f"{INSIDE_UID} 0 1")
        return
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)


if __name__ == "__main__":
    main()
