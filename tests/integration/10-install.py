"""cmake --install into a scratch prefix, and a stranger's program against what lies there: by pkg-config, by
find_package, and from C++. The programs then deliver a mail through the installed broker and worker."""
import os
import pathlib
import re
import subprocess

import tpn_harness
from tpn_harness import BUILD_DIR, SLOW, SOURCE_DIR, Skip, check, check_equal, pickup_profile, run, wait_until

EXAMPLE = SOURCE_DIR / "producer" / "examples" / "publish.c"
PROGRAMS = ("tpn", "tpn-broker", "tpn-monitor", "tpn-worker")
PROJECT = """\
cmake_minimum_required(VERSION 3.25)
project(stranger LANGUAGES C)
find_package(tpn 0.1 CONFIG REQUIRED)
add_executable(stranger stranger.c)
target_link_libraries(stranger PRIVATE tpn::producer)
"""
CXX = """\
#include <tpn.h>
int main() { tpn_request *mail = tpn_request_new(); tpn_request_free(&mail); return mail != nullptr; }
"""


def command(*words, cwd=None, env=None):
    result = subprocess.run([str(word) for word in words], cwd=cwd, env={**os.environ, **(env or {})}, text=True,
                            capture_output=True, timeout=120 * SLOW, check=False)
    check_equal(result.returncode, 0, f"{words[0]} {words[1]}: {result.stdout}{result.stderr}")
    return result.stdout


def cached(name):
    """A value of the build's CMakeCache.txt."""
    found = re.search(rf"^{name}:\w+=(.*)$", (BUILD_DIR / "CMakeCache.txt").read_text(), re.MULTILINE)
    return found.group(1) if found else ""


def sanitize():
    """A sanitized library asks for a sanitized program."""
    return [f"-fsanitize={cached('TPN_SANITIZE')}"] if cached("TPN_SANITIZE") else []


def install(lab):
    if not (BUILD_DIR / "CMakeCache.txt").exists():
        raise Skip("the programs are no CMake build")
    prefix = lab.dir / "prefix"
    command("cmake", "--install", BUILD_DIR, "--prefix", prefix)
    return prefix


def pkg_config(prefix, *words):
    folder = next(prefix.rglob("tpn.pc")).parent
    return command("pkg-config", *words, "tpn", env={"PKG_CONFIG_PATH": str(folder)}).split()


def library_folder(prefix):
    return next(prefix.rglob("libtpn.so")).parent


def by_pkg_config(lab, prefix):
    program = lab.dir / "with-pkg-config"
    command(cached("CMAKE_C_COMPILER"), "-std=c17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", *sanitize(), EXAMPLE,
            "-o", program, *pkg_config(prefix, "--cflags", "--libs"))
    return program


def by_find_package(lab, prefix):
    source = lab.folder("stranger")
    (source / "stranger.c").write_bytes(EXAMPLE.read_bytes())
    (source / "CMakeLists.txt").write_text(PROJECT)
    command("cmake", "-S", source, "-B", source / "build", "-G", cached("CMAKE_GENERATOR"),
            f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_C_COMPILER={cached('CMAKE_C_COMPILER')}",
            f"-DCMAKE_C_FLAGS={' '.join(sanitize())}")
    command("cmake", "--build", source / "build")
    return source / "build" / "stranger"


def test_installed_programs_deliver_for_a_stranger(lab):
    prefix = install(lab)
    box = lab.folder("box")
    # From here on the lab starts the installed programs, not those of the build.
    tpn_harness.BUILD_DIR = prefix
    for name in PROGRAMS:
        program = tpn_harness.find_program(name)
        check(pathlib.Path(program).is_relative_to(prefix), f"{name} is not installed")
        check_equal(command(program, "--version"), f"{name} {cached('CMAKE_PROJECT_VERSION')}\n", "version")
    broker = lab.broker({"lab": pickup_profile(box)})
    lab.worker(broker, roots=[box])
    env = {"TPN_SUBMIT": broker.endpoints["submit"], "LD_LIBRARY_PATH": str(library_folder(prefix))}
    for count, build in enumerate((by_pkg_config, by_find_package), start=1):
        said = command(build(lab, prefix), "lab", "trackpro@example.test", "ann@example.test", env=env)
        check("ACCEPTED" in said.upper(), f"{build.__name__}: said {said}")
        wait_until(lambda wanted=count: len(list(box.glob("*.eml"))) == wanted, f"{count} mails")
    tpn_harness.BUILD_DIR = BUILD_DIR


def test_header_serves_cxx(lab):
    prefix = install(lab)
    if subprocess.run(["c++", "--version"], capture_output=True, check=False).returncode != 0:
        raise Skip("no C++ compiler")
    (lab.dir / "stranger.cc").write_text(CXX)
    command("c++", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-c", lab.dir / "stranger.cc", "-o",
            lab.dir / "stranger.o", *pkg_config(prefix, "--cflags"))


def test_library_shows_its_own_symbols_only(lab):
    listing = command("nm", "-D", "--defined-only", library_folder(install(lab)) / "libtpn.so")
    names = [line.split()[-1] for line in listing.splitlines()]
    check("tpn_open" in names, "tpn_open is not exported")
    check_equal([name for name in names if not name.startswith("tpn_")], [], "symbols that are not ours to give")


run(globals())
