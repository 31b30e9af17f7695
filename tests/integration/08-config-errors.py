"""Wrong configuration: every error in one run, each as file:line:column: key: reason; a right one exits 0."""
import subprocess

from tpn_harness import SLOW, SOURCE_DIR, check, check_equal, find_program, run

GOOD_PROFILES = """\
profiles:
  office:
    smtp_server: mail.example.test
    smtp_port: 587
    use_tls: true
    authentication: basic
    user_name: trackpro
    password: file:/etc/trackpro-notify/office.password
  folder:
    smtp_server: /var/spool/pickup
    use_pickup_folder: true
"""

# Marks name the line of each error; the key must stand in its line of output.
BAD_PROFILES = """\
profiles:
  office:
    smtp_server: mail.example.test
    smtp_port: 65536            #! smtp_port
    use_tls: perhaps            #! use_tls
    authentication: kerberos    #! authentication
    smtp_sever: twice           #! smtp_sever
  folder:
    use_pickup_folder: true
    smtp_server: /var/spool/pickup
    smtp_server: /elsewhere     #! smtp_server
    connect_timeout: soon       #! connect_timeout
"""

BAD_BROKER = """\
listen:
  submit: tcp://127.0.0.1:5551
  submitt: x                    #! submitt
worker:
  beat: 1 fortnight             #! beat
  liveness: -5s                 #! liveness
lease: none                     #! lease
log:
  level: loud                   #! level
nonsense: 1                     #! nonsense
"""

# Each value is good by itself; the errors are of two keys together, or of one entry of a list.
BAD_TOGETHER = """\
profiles:
  office:
    smtp_server: mail.example.test
    smtp_port: 465              #! profiles.office.smtp_port
  folder:
    use_pickup_folder: true
    smtp_server: relative/path  #! profiles.folder.smtp_server
  login:                        #! profiles.login.user_name
    smtp_server: mail.example.test
    use_tls: true
    authentication: basic
  good:
    smtp_server: mail.example.test
"""

BAD_BEATS = """\
worker:
  beat: 3s
  liveness: 5s                  #! worker.liveness
"""

BAD_DELAYS = """\
store:
  retention: 59min              #! store.retention
retry:
  delays:
    - 30s
    - 5                         #! retry.delays
    - 8d                        #! retry.delays
"""

BAD_WORKER = """\
nonsense: 1                     #! nonsense
pickup:
  roots:
    - /srv/mail
    - srv/mail                  #! pickup.roots
log:
  level: loud                   #! level
"""


def check_config(*words):
    result = subprocess.run([*(str(word) for word in words), "--check-config"], capture_output=True,
                            text=True, check=False, timeout=20 * SLOW)
    return result.returncode, result.stdout + result.stderr


def wanted_errors(text):
    """(line number, key) of each mark."""
    return [(number, line.split("#!")[1].strip()) for number, line in enumerate(text.splitlines(), 1)
            if "#!" in line]


def compare(file, text, code, output):
    check(code > 0, f"{file.name} was taken as right, or the program crashed ({code})")
    lines = output.splitlines()
    missing = [f"line {number}: {key}" for number, key in wanted_errors(text)
               if not any(line.startswith(f"{file}:{number}:") and key in line for line in lines)]
    check(not missing, f"{file.name}: not named: {missing}; said:\n{output}")
    for line in lines:
        place = line.removeprefix(f"{file}:")
        if place != line:
            words = place.split(": ", 2)
            check(len(words) == 3 and all(part.isdigit() for part in words[0].split(":")),
                  f"not file:line:column: key: reason: {line!r}")


def write(lab, name, text):
    file = lab.dir / name
    file.write_text(text)
    return file


def test_right_configuration_exits_zero(lab):
    profiles = write(lab, "profiles.yaml", GOOD_PROFILES)
    broker = write(lab, "broker.yaml", f"store:\n  folder: {lab.dir}/data\nprofiles: {profiles}\n"
                   "retry:\n  delays: [1s, 2min, 1h]\n")
    code, output = check_config(find_program("tpn-broker"), "--config", broker)
    check_equal(code, 0, f"exit status; said: {output}")


def test_samples_are_right(lab):
    samples = SOURCE_DIR / "deploy" / "samples"
    for words in ((find_program("tpn-broker"), "--config", samples / "broker.yaml", "--profiles",
                   samples / "profiles.yaml", "--data", lab.dir / "data"),
                  (find_program("tpn-worker"), "--config", samples / "worker.yaml")):
        code, output = check_config(*words)
        check_equal(code, 0, f"exit status of {words[0]}; said: {output}")


def test_every_error_of_profiles_in_one_run(lab):
    file = write(lab, "profiles.yaml", BAD_PROFILES)
    compare(file, BAD_PROFILES, *check_config(find_program("tpn-broker"), "--profiles", file,
                                              "--data", lab.dir))


def test_errors_of_several_keys_have_a_place(lab):
    broker = find_program("tpn-broker")
    file = write(lab, "together.yaml", BAD_TOGETHER)
    compare(file, BAD_TOGETHER, *check_config(broker, "--profiles", file, "--data", lab.dir))
    for name, text in (("beats.yaml", BAD_BEATS), ("delays.yaml", BAD_DELAYS)):
        file = write(lab, name, text)
        compare(file, text, *check_config(broker, "--config", file))
    file = write(lab, "beats.yaml", "beat: 3s\nliveness: 5s  #! liveness\n")
    compare(file, file.read_text(), *check_config(find_program("tpn-worker"), "--config", file))


def test_every_error_of_the_broker_in_one_run(lab):
    file = write(lab, "broker.yaml", BAD_BROKER)
    compare(file, BAD_BROKER, *check_config(find_program("tpn-broker"), "--config", file))


def test_every_error_of_the_worker_in_one_run(lab):
    file = write(lab, "worker.yaml", BAD_WORKER)
    compare(file, BAD_WORKER, *check_config(find_program("tpn-worker"), "--config", file))


def test_settings_that_do_not_go_together(lab):
    """465 without TLS, a clear password, a login without TLS: refused by name before anything is sent."""
    rows = (("smtp_port: 465\n    use_tls: false", "465"),
            ("authentication: basic\n    user_name: u\n    password: clear-secret\n    use_tls: true", "password"),
            ("authentication: basic\n    user_name: u\n    password: env:PW\n    use_tls: false", "TLS"))
    for body, word in rows:
        file = write(lab, "profiles.yaml", f"profiles:\n  lab:\n    smtp_server: mail.example.test\n    {body}\n")
        code, output = check_config(find_program("tpn-broker"), "--profiles", file, "--data", lab.dir)
        check(code > 0, f"taken as right or crashed: {body!r}")
        check(word in output and "lab" in output, f"{body!r}: said {output!r}")
        check("clear-secret" not in output, "the secret stands in the error")


def test_missing_file_and_broken_yaml(lab):
    code, output = check_config(find_program("tpn-broker"), "--config", lab.dir / "no-such.yaml")
    check(code > 0 and "no-such.yaml" in output, f"missing file: {code} {output!r}")
    file = write(lab, "broker.yaml", "listen: [unclosed\nworker: {a: b\n")
    code, output = check_config(find_program("tpn-broker"), "--config", file)
    check(code > 0 and f"{file}:" in output, f"broken YAML: {code} {output!r}")


def test_unknown_option_is_refused(lab):
    for program in ("tpn-broker", "tpn-worker"):
        result = subprocess.run([find_program(program), "--no-such-option"], capture_output=True, text=True,
                                check=False, timeout=20 * SLOW, cwd=lab.dir)
        check(result.returncode not in (0, -6, -11), f"{program}: exit {result.returncode}")
        check("no-such-option" in result.stderr, f"{program}: said {result.stderr!r}")


run(globals())
