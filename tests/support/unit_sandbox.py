"""Run a program under the system-call rules of its unit file, as systemd would: unit_sandbox.py UNIT PROGRAM WORD…

What a unit forbids a program that needs it, nobody finds out by reading: so the tests run with the filter, without systemd.
Reads SystemCallFilter=, RestrictAddressFamilies= and MemoryDenyWriteExecute=; systemd-analyze knows what is in a set.
Refused calls give EPERM, as the units say, refused families EAFNOSUPPORT (systemd.exec(5)).
"""
import errno
import os
import re
import socket
import subprocess
import sys

import seccomp  # python3-seccomp

PROT_WRITE, PROT_EXEC = 2, 4


def members(name, seen):
    """Every system call of a set of systemd, sets in it followed."""
    if not name.startswith("@"):
        return {name}
    if name in seen:
        return set()
    seen.add(name)
    said = subprocess.run(["systemd-analyze", "syscall-filter", name], text=True, capture_output=True, check=True).stdout
    words = [line.strip() for line in said.splitlines()[1:]]
    return set().union(*(members(word, seen) for word in words if word and not word.startswith("#")))


def settings(unit):
    with open(unit, encoding="utf-8") as file:
        return re.findall(r"^(\w+)=(.*)$", file.read(), re.MULTILINE)


def allowed_calls(unit):
    allowed = members("@default", set())
    for key, value in settings(unit):
        if key == "SystemCallFilter":
            calls = set().union(*(members(word, set()) for word in value.lstrip("~").split()))
            allowed = allowed - calls if value.startswith("~") else allowed | calls
    return allowed


def confine(unit):
    rules = dict(settings(unit))
    families = {getattr(socket, word) for word in rules["RestrictAddressFamilies"].split()}
    filter_ = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    for call in allowed_calls(unit) - {"socket", "mmap", "mprotect"} | {"execve"}:
        try:
            filter_.add_rule(seccomp.ALLOW, call)
        except (RuntimeError, ValueError, OSError):
            pass  # a call of another machine
    for family in {value for name, value in vars(socket).items() if name.startswith("AF_")}:
        action = seccomp.ALLOW if family in families else seccomp.ERRNO(errno.EAFNOSUPPORT)
        filter_.add_rule(action, "socket", seccomp.Arg(0, seccomp.EQ, int(family)))
    executable = {"mmap": PROT_WRITE | PROT_EXEC, "mprotect": PROT_EXEC}
    for call, bits in executable.items():
        for value in range(8):
            if rules.get("MemoryDenyWriteExecute") != "yes" or value & bits != bits:
                filter_.add_rule(seccomp.ALLOW, call, seccomp.Arg(2, seccomp.MASKED_EQ, 7, value))
    filter_.load()


if __name__ == "__main__":
    # LeakSanitizer looks for leaks as a debugger (ptrace), which no unit allows; without a sanitizer nobody reads it.
    os.environ["ASAN_OPTIONS"] = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "detect_leaks=0")))
    confine(sys.argv[1])
    os.execv(sys.argv[2], sys.argv[2:])
