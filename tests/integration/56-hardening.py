"""What the compiler and systemd can do against an intruder: flags that are really in the programs, units that systemd
accepts and finds tight, programs that tell systemd how they are, workers that leave no copy of their memory."""
import contextlib
import ctypes
import itertools
import json
import os
import platform
import re
import resource
import shutil
import signal
import socket
import subprocess

from tpn_harness import (BUILD_DIR, SLOW, SOURCE_DIR, Broker, Process, Skip, check, check_equal, find_program, pickup_profile, run,
                         wait_until)
from tpn_wire import state_name

import postfix_peer  # in tests/peers, which tpn_harness puts on the path

PROGRAMS = ("tpn", "tpn-broker", "tpn-monitor", "tpn-worker")
UNITS = ("tpn-broker", "tpn-monitor", "tpn-worker")
EXPOSURE = 12  # 1.2 of 10, as systemd-analyze security reckons; what is left is the network that they need
NOBODY = 65534


def output(*words, wanted=0):
    result = subprocess.run([str(word) for word in words], text=True, capture_output=True, timeout=60 * SLOW, check=False)
    said = result.stdout + result.stderr
    check_equal(result.returncode, wanted, f"exit status of {' '.join(map(str, words))}: {said}")
    return said


def cached(name):
    found = re.search(rf"^{name}:\w+=(.*)$", (BUILD_DIR / "CMakeCache.txt").read_text(), re.MULTILINE)
    return found.group(1) if found else ""


# What readelf must and must not say of each binary: (option, pattern, must be there, words).
ELF = (
    ("-h", r"Type:\s+DYN", True, "is position independent"),
    ("-d", r"FLAGS_1.*\bPIE\b", True, "is linked with -pie"),
    ("-d", r"FLAGS_1.*\bNOW\b", True, "binds every symbol at its start (-z now)"),
    ("-l", r"GNU_RELRO", True, "has relocations that are read-only afterwards (-z relro)"),
    ("-l", r"GNU_STACK(\s+0x\w+){5} RW ", True, "has a stack that is not executable"),
    ("-l", r"LOAD(\s+0x\w+){5} RWE", False, "has a segment that is writable and executable"),
    ("-d", r"\((RPATH|RUNPATH)\)", False, "looks for libraries in a folder of the build"),
    ("-d", r"TEXTREL", False, "writes into its code when loaded"),
    ("-s", r"__stack_chk_fail", True, "guards its stack frames (-fstack-protector-strong)"),
)


def test_programs_are_built_hard(lab):
    """Each flag as it shows in the file; libtpn is no program, so no PIE."""
    library = next(BUILD_DIR.rglob("libtpn.so"))
    wrong = []
    for path in (*map(find_program, PROGRAMS), library):
        said = {option: output("readelf", "-W", option, path) for option in {row[0] for row in ELF}}
        for option, pattern, wanted, words in ELF:
            if path == library and "PIE" in pattern:
                continue
            if (re.search(pattern, said[option]) is not None) != wanted:
                wrong.append(f"{path}: {'not so: ' if wanted else ''}{words}")
    check_equal(wrong, [], "binaries")


def test_branches_land_where_they_may(lab):
    """-fcf-protection: every function that can be called by pointer begins with endbr64. Debian's start files of C have
    none, so the note of the whole file says nothing; main is ours."""
    if platform.machine() != "x86_64":
        raise Skip("-fcf-protection is for x86-64")
    for name in PROGRAMS:
        code = output("objdump", "-d", "--no-show-raw-insn", "--disassemble=main", find_program(name))
        check(re.search(r"<main>:\s+\w+:\s+endbr64", code), f"{name}: main does not begin with endbr64: {code[-300:]}")


def test_optimised_build_checks_copies(lab):
    """_FORTIFY_SOURCE=2 stands in every compile command of ours in the build that is installed."""
    folder = lab.dir / "release"
    output("cmake", "-S", SOURCE_DIR, "-B", folder, "-G", cached("CMAKE_GENERATOR"), "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
           "-DTPN_TESTS=OFF")
    commands = json.loads((folder / "compile_commands.json").read_text())
    check(len(commands) > 50, f"{len(commands)} compile commands")
    for entry in commands:
        if not entry["file"].startswith(str(SOURCE_DIR / "transport" / "base")) and "-fPIC" not in entry["command"]:
            check("-fPIE" in entry["command"], f"{entry['file']}: neither -fPIE nor -fPIC")
        for flag in ("-D_FORTIFY_SOURCE=2", "-O2", "-fstack-protector-strong"):
            check(flag in entry["command"], f"{entry['file']}: no {flag}")


# ---- systemd ----

def units(lab):
    """The installed units with the paths of the scratch prefix. verify asks that the programs are there."""
    prefix = lab.dir / "prefix"
    output("cmake", "--install", BUILD_DIR, "--prefix", prefix)
    bin_folder = os.path.join(cached("CMAKE_INSTALL_PREFIX"), "bin")
    for name in UNITS:
        unit = next(prefix.rglob(f"{name}.service"))
        text = unit.read_text()
        check(f"ExecStart={bin_folder}/{name} " in text, f"{unit.name} does not start {bin_folder}/{name}")
        unit.write_text(text.replace(bin_folder, str(prefix / "bin")))
        yield unit


def test_units_are_good_and_tight(lab):
    for unit in units(lab):
        check_equal(output("systemd-analyze", "verify", "--man=no", unit), "", f"systemd-analyze verify {unit.name}")
        output("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", unit)
        check("LimitCORE=0" in unit.read_text() or unit.stem != "tpn-worker", "the worker's unit allows core files")


def test_programs_work_under_their_units(lab):
    """A mail to a server by TLS and login, one into a folder, followed: each program under the system calls, address
    families and memory rules of its unit."""
    folder = {unit.stem: unit for unit in units(lab)}
    box = lab.folder("box")
    postfix = lab.postfix(logins=True)
    secret = lab.dir / "secret"
    secret.write_text(postfix_peer.PASSWORD)
    secret.chmod(0o600)
    profiles = {"box": pickup_profile(box),
                "lab": {"smtp_server": "localhost", "smtp_port": postfix.ports["submission"], "use_tls": True,
                        "ca_file": str(postfix.certificate), "authentication": "basic",
                        "user_name": postfix_peer.USER, "password": f"file:{secret}"}}
    broker = Broker(lab, profiles)
    plain = broker.command
    broker.command = lambda: [*sandbox(folder["tpn-broker"]), *plain()]
    lab.add(broker).start()
    lab.worker(broker, roots=[box], wrap=sandbox(folder["tpn-worker"]))
    monitor = lab.add(Process(lab, "monitor", [*sandbox(folder["tpn-monitor"]), find_program("tpn-monitor"), "--follow",
                                               "--status", broker.endpoints["status"]])).start()
    follower = lab.follower(broker)
    for name, state in (("lab", "SENT"), ("box", "HANDED_OFF")):
        lab.publisher(broker).submit(lab.request(f"to-{name}", profile=name))
        event = follower.wait_state(f"to-{name}", "SENT", "HANDED_OFF", "DEFERRED", "FAILED")
        check_equal(state_name(lab.pb, event.state), state, f"state; {event.recipients}")
    publisher = lab.publisher(broker)
    more = itertools.count()

    def told():
        """A topic does not repeat what was not heard: one more mail until the monitor has come."""
        publisher.submit(lab.request(f"more-{next(more)}", profile="box"))
        return "HANDED_OFF" in monitor.text()
    wait_until(told, "the monitor to tell it", every_s=0.2)
    check_equal(monitor.stop(), 0, "exit status of the monitor")
    lab.stop_all()


def sandbox(unit):
    return ["/usr/bin/python3", SOURCE_DIR / "tests" / "support" / "unit_sandbox.py", unit]


def notify_socket(lab):
    ear = lab.enter_context(contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)))
    ear.bind(str(lab.dir / "notify"))
    ear.settimeout(20 * SLOW)
    return ear


def hear(ear, wanted, what):
    """The next datagram that is no ping, unless pings are wanted."""
    while True:
        said = ear.recv(4096).decode()
        if said == wanted:
            return
        check(said == "WATCHDOG=1", f"{what}: heard {said!r}, wanted {wanted!r}")


def test_programs_tell_systemd_how_they_are(lab):
    """READY=1 once it works, WATCHDOG=1 while it turns, STOPPING=1 when asked to go."""
    box = lab.folder("box")
    broker = lab.broker({"lab": pickup_profile(box)})
    lines = {"tpn-worker": [find_program("tpn-worker"), "--broker", broker.endpoints["work"]],
             "tpn-monitor": [find_program("tpn-monitor"), "--follow", "--status", broker.endpoints["status"]],
             "tpn-broker": [find_program("tpn-broker"), "--data", lab.folder("other"),
                            *(word for role in ("submit", "work", "status", "admin")
                              for word in (f"--{role}", "tcp://127.0.0.1:*"))]}
    for name, words in lines.items():
        with notify_socket(lab) as ear:
            program = lab.add(Process(lab, f"told-{name}", words, env={
                "NOTIFY_SOCKET": str(lab.dir / "notify"), "WATCHDOG_USEC": "200000"})).start()
            hear(ear, "READY=1", name)
            hear(ear, "WATCHDOG=1", name)
            check_equal(program.stop(), 0, f"exit status of {name}")
            hear(ear, "STOPPING=1", name)
        (lab.dir / "notify").unlink()


# ---- memory ----

def test_workers_leave_no_copy_of_their_memory(lab):
    """No core file, whatever the limit of the shell; and nobody but root reads the memory."""
    if cached("TPN_SANITIZE"):
        raise Skip("a program under a sanitizer stays dumpable: LeakSanitizer must attach to it")
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
    box = lab.folder("box")
    worker = lab.worker(lab.broker({"lab": pickup_profile(box)}), roots=[box])
    limits = open(f"/proc/{worker.pid}/limits", encoding="ascii").read()
    check(re.search(r"Max core file size\s+0\s+0\s", limits), f"core files are not forbidden: {limits}")
    # The kernel gives /proc/PID of a process that is not dumpable to root, whoever runs it (proc(5)); as root that shows
    # nothing, so another user's worker is looked at by that user.
    if os.getuid() == 0:
        refused_to_its_own_user(lab)
    before = set(lab.dir.iterdir())
    worker.child.send_signal(signal.SIGABRT)
    wait_until(lambda: not worker.alive(), "the worker to end")
    check_equal(worker.child.returncode, -signal.SIGABRT, "how it ended")
    left = [path.name for path in set(lab.dir.iterdir()) - before if "core" in path.name]
    check_equal(left, [], "core files")


def as_nobody():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def refused_to_its_own_user(lab):
    log = open(lab.dir / "nobody.log", "wb")
    lab.callback(log.close)
    # The build may lie in a folder that only its owner passes, such as /root.
    program = shutil.copy(find_program("tpn-worker"), lab.dir)
    child = subprocess.Popen([program, "--broker", "tcp://127.0.0.1:1"], preexec_fn=as_nobody,
                             stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
    lab.callback(child.wait)
    lab.callback(child.kill)
    wait_until(lambda: b" start name=" in (lab.dir / "nobody.log").read_bytes() or child.poll() is not None,
               "the worker of another user to start")
    reader = subprocess.run(["/usr/bin/python3", "-c", f"open('/proc/{child.pid}/mem', 'rb')"], preexec_fn=as_nobody,
                            text=True, capture_output=True, check=False, cwd="/")
    check("PermissionError" in reader.stderr, f"its own user may read its memory: {reader.stderr}")


run(globals())
