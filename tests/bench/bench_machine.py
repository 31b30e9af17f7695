"""The machine and the programs that gave a figure."""
import ctypes
import os
import pathlib
import re
import subprocess
import sys

from tpn_harness import BUILD_DIR, SOURCE_DIR

RESULTS = SOURCE_DIR / "tests" / "bench" / "RESULTS.md"


def output_of(*argv):
    result = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else "unknown"


def text_of_call(library, function):
    call = getattr(ctypes.CDLL(library), function)
    call.restype = ctypes.c_char_p
    return call().decode()


def zmq_version():
    parts = [ctypes.c_int() for _ in range(3)]
    ctypes.CDLL("libzmq.so.5").zmq_version(*(ctypes.byref(part) for part in parts))
    return ".".join(str(part.value) for part in parts)


def cache_value(name):
    """A value of the build folder's CMakeCache.txt."""
    file = BUILD_DIR / "CMakeCache.txt"
    found = re.search(rf"^{name}:\w+=(.*)$", file.read_text("utf-8"), re.M) if file.is_file() else None
    return found.group(1) if found else ""


def revision():
    def git(*words):
        return output_of("git", "-C", str(SOURCE_DIR), *words)
    changed = git("status", "--porcelain", "--", ".", f":!{RESULTS.relative_to(SOURCE_DIR)}")
    return git("rev-parse", "--short=12", "HEAD") + (" with changes" if changed else "")


def machine_lines(options, peers=""):
    """What a section of RESULTS.md begins with; peers: their versions, or "" when none takes part."""
    cpu = re.search(r"^model name\s*:\s*(.+)$", pathlib.Path("/proc/cpuinfo").read_text("utf-8"), re.M)
    memory = re.search(r"^MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text("utf-8"), re.M)
    uname = os.uname()
    sanitizers = cache_value("TPN_SANITIZE")
    command = " ".join(["run", *(word for word in sys.argv[1:] if word != "--given-build")])
    return [
        f"- revision {revision()}, build {cache_value('CMAKE_BUILD_TYPE') or 'of unknown type'}"
        + (", programs as found (--build)" if options.given_build else ", programs built now")
        + (f" with sanitizers {sanitizers}: NO RESULT" if sanitizers else ""),
        f"- {os.cpu_count()} cores ({len(os.sched_getaffinity(0))} for us), {cpu.group(1) if cpu else uname.machine}, "
        f"{int(memory.group(1)) / 2**20:.0f} GB; load before {os.getloadavg()[0]:.2f}",
        f"- {uname.sysname} {uname.release} {uname.machine}; scratch folder on "
        + " ".join(output_of("findmnt", "-no", "FSTYPE,OPTIONS", "-T", str(options.data)).split()),
        f"- {text_of_call('libcurl.so.4', 'curl_version').split()[0]}, "
        f"sqlite {text_of_call('libsqlite3.so.0', 'sqlite3_libversion')}, zmq {zmq_version()}, "
        f"postfix {output_of('/usr/sbin/postconf', '-h', 'mail_version')}",
        *([f"- peers: {peers}"] if peers else []),
        f"- log level {options.log_level}, command: {command}",
        "",
    ]
