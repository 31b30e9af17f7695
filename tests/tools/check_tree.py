"""Rules of the house that a program can check: check_tree.py RULE. Every finding is file:line: rule, in one run.

shell    every shell script passes shellcheck
layers   includes point one way: base, proto, transport, then broker, worker, producer, monitor; libraries stay in their files
calls    no banned call
noshell  no shell is ever called: neither by a call nor by its path
headers  every header compiles alone, and twice
names    a source file's name is there once
tested   each row of SECURITY.md and of deploy/SERVER-TAB.md names a test that exists
hosts    no file names a package registry's host
"""
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
PLACES = ("proto", "transport", "worker", "producer", "monitor")

# Longest prefix first. A layer may use those of its row and itself.
LAYERS = (
    ("transport/base/", "base", set()),
    ("transport/broker/", "broker", {"base", "proto", "transport"}),
    ("transport/", "transport", {"base", "proto"}),
    ("proto/", "proto", {"base"}),
    ("worker/", "worker", {"base", "proto", "transport"}),
    ("producer/", "producer", {"base", "proto", "transport"}),
    ("monitor/", "monitor", {"base", "proto", "transport"}),
)
# Which files may include a library's header: the rest of the tree does not know it.
LIBRARIES = (
    (r"zmq\.h", r"transport/(wire|bus|zap)|transport/broker/store_thread|producer/tpn_|producer/examples/"),
    (r"curl/.*", r"transport/oauth_http|producer/cli/profile_login|worker/(smtp|egress|oauth|worker_main|outcome)"),
    (r"jansson\.h", r"transport/oauth_reply"),
    (r"sqlite3\.h", r"transport/broker/store_sqlite|tests/"),
    (r"yaml\.h", r"transport/base/conf"),
    (r"(protobuf-c/.*|.*\.pb-c\.h)", r"(?!transport/base/)"),
)
CALLS = {
    "strcpy": "snprintf or buf", "strcat": "buf", "sprintf": "snprintf or buf",
    "vsprintf": "vsnprintf", "gets": "fgets", "strtok": "strcspn", "strtok_r": "strcspn", "atoi": "strtol",
    "atol": "strtol", "atof": "strtod", "alloca": "buf", "system": "posix_spawn", "popen": "posix_spawn",
    "tmpnam": "mkstemp", "mktemp": "mkstemp", "execlp": "posix_spawn", "execvp": "posix_spawn",
    "execvpe": "posix_spawn", "posix_spawnp": "posix_spawn", "wordexp": "posix_spawn",
}
# In two parts, so that this file does not name one.
HOSTS = tuple(f"{name}.{domain}" for name, domain in (
    ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("yarnpkg", "com"),
    ("crates", "io"), ("golang", "org"), ("rubygems", "org"), ("apache", "org/maven2"), ("docker", "io"),
    ("gcr", "io"), ("ghcr", "io"), ("quay", "io"), ("conan", "io"), ("deb.debian", "org")))


def tree_files():
    """Paths of what is, or would be, in version control."""
    listing = subprocess.run(["git", "-C", TOP, "ls-files", "-co", "--exclude-standard"], text=True,
                             capture_output=True, check=False)
    if listing.returncode == 0:
        names = listing.stdout.splitlines()
    else:
        names = [str(path.relative_to(TOP)) for path in TOP.rglob("*")]
    return [name for name in sorted(set(names)) if not name.startswith("build/") and (TOP / name).is_file()]


def c_files(endings):
    return [name for name in tree_files() if name.endswith(endings)]


def text_of(name):
    return (TOP / name).read_text(encoding="utf-8", errors="replace")


def code_of(name):
    """The file without comments, texts and characters, lines kept."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
    return pattern.sub(lambda match: "\n" * match.group().count("\n"), text_of(name))


def layer_of(name):
    return next(((layer, may) for prefix, layer, may in LAYERS if name.startswith(prefix)), (None, set()))


def check_shell():
    findings = []
    for name in tree_files():
        with open(TOP / name, "rb") as file:
            first = file.readline(200)
        if re.match(rb"#!.*\b(ba|da)?sh\b", first):
            result = subprocess.run(["shellcheck", "-x", "-f", "gcc", name], cwd=TOP, text=True,
                                    capture_output=True, check=False)
            findings += (result.stdout + result.stderr).splitlines()
    return findings


def check_layers():
    findings = []
    headers = {pathlib.PurePath(name).name: name for name in c_files((".h",))}
    for name in c_files((".c", ".h")):
        layer, may = layer_of(name)
        for number, line in enumerate(text_of(name).splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if not match:
                continue
            wanted = match.group(2)
            for library, places in LIBRARIES:
                if re.fullmatch(library, wanted) and not re.match(rf"{places}|tests/", name):
                    findings.append(f"{name}:{number}: layers: {wanted} may not be included here")
            target = headers.get(pathlib.PurePath(wanted).name) if match.group(1) == '"' else None
            other = layer_of(target)[0] if target else None
            if layer and other and other != layer and other not in may:
                findings.append(f"{name}:{number}: layers: {layer} may not use {other} ({wanted})")
    return findings


def check_calls():
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(CALLS) + r")\s*\(")
    return [f"{name}:{number}: calls: {match.group(1)}: use {CALLS[match.group(1)]}"
            for name in c_files((".c", ".h"))
            for number, line in enumerate(code_of(name).splitlines(), 1)
            for match in pattern.finditer(line)]


def check_noshell():
    """system and popen are banned calls; here the shells themselves, in the texts of the programs."""
    pattern = re.compile(r'"[^"]*(?<![\w.])(/(usr/)?bin/(env|(ba|da|k|z)?sh)|(ba|da|k|z)?sh -c)\b')
    return [f"{name}:{number}: noshell: {match.group()}"
            for name in c_files((".c", ".h")) if name.startswith(PLACES)
            for number, line in enumerate(text_of(name).splitlines(), 1)
            for match in pattern.finditer(line)]


def header_flags(build):
    packages = ("libzmq", "libcurl", "libcrypto", "libprotobuf-c", "sqlite3", "yaml-0.1", "libidn2", "jansson", "cmocka")
    flags = subprocess.run(["pkg-config", "--cflags", *packages], check=True, text=True,
                           capture_output=True).stdout
    folders = sorted({str((TOP / name).parent) for name in c_files((".h",))})
    return [*shlex.split(flags), *(f"-I{folder}" for folder in folders), f"-isystem{build}/proto"]


def check_headers():
    """Twice: a header without its guard fails. The generated headers must have been built."""
    build = pathlib.Path(sys.argv[2])
    findings = []
    flags = ["-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *header_flags(build)]
    with tempfile.TemporaryDirectory() as scratch:
        source = pathlib.Path(scratch) / "twice.c"
        for name in c_files((".h",)):
            source.write_text(f'#include "{TOP / name}"\n#include "{TOP / name}"\n')
            result = subprocess.run(["cc", *flags, source], text=True, capture_output=True, check=False)
            if result.returncode:
                said = next((line for line in result.stderr.splitlines() if "error" in line), result.stderr)
                findings.append(f"{name}:1: headers: does not compile alone: {said}")
    return findings


def check_names():
    findings = []
    seen = {}
    for name in tree_files():
        path = pathlib.PurePath(name)
        if path.suffix in (".c", ".h", ".proto", ".py") and name.startswith((*PLACES, "tests/")):
            first = seen.setdefault(path.name, name)
            if first != name:
                findings.append(f"{name}:1: names: {first} has the same name")
    return findings


def check_hosts():
    pattern = re.compile("|".join(re.escape(host) for host in HOSTS), re.IGNORECASE)
    return [f"{name}:{number}: hosts: {match.group()}"
            for name in tree_files()
            for number, line in enumerate(text_of(name).splitlines(), 1)
            for match in pattern.finditer(line)]


def test_is_there(file, function):
    """Is there such a test, and in it such a function (any, when none is named)?"""
    places = (TOP / "tests" / "integration" / f"{file}.py", TOP / "tests" / "unit" / f"{file}_test.c",
              TOP / "tests" / "fuzz" / f"{file}.c", TOP / "tests" / "tools" / f"{file}.py")
    return any(place.is_file() and (not function or re.search(rf"\b{function}\(", place.read_text(encoding="utf-8")))
               for place in places)


# Tables whose rows name their tests: file, and how the head of the table begins.
TESTED_TABLES = (("SECURITY.md", "| threat |"), ("deploy/SERVER-TAB.md", "| field |"))


def check_table(name, head):
    findings = []
    rows = 0
    inside = False
    for number, line in enumerate(text_of(name).splitlines(), 1):
        inside = line.startswith(head) or (inside and line.startswith("|"))
        if not inside or line.startswith((head, "|---")):
            continue
        rows += 1
        tests = re.findall(r"`([\w-]+)`(?: (\w+))?", line.rsplit("|", 2)[1])
        findings += [f"{name}:{number}: tested: no test {file} {function}"
                     for file, function in tests if not test_is_there(file, function)]
        if not tests:
            findings.append(f"{name}:{number}: tested: names no test")
    return findings if rows else [f"{name}:1: tested: no table"]


def check_tested():
    """Each row of a table that promises something ends in `test` function, several parted by semicolons."""
    return [finding for name, head in TESTED_TABLES for finding in check_table(name, head)]


RULES = {"shell": check_shell, "layers": check_layers, "calls": check_calls, "noshell": check_noshell,
         "headers": check_headers,
         "names": check_names, "hosts": check_hosts, "tested": check_tested}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in RULES:
        sys.exit(__doc__)
    found = RULES[sys.argv[1]]()
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(1 if found else 0)
