"""deploy/first-run as a newcomer meets it: into a folder, twice with the same data, into a mail server, with a mistake."""
import subprocess

from tpn_harness import BUILD_DIR, SLOW, SOURCE_DIR, check, check_equal, parse_mail, run

SCRIPT = SOURCE_DIR / "deploy" / "first-run"


def first_run(lab, *words, wanted=0):
    """The script with the programs of this build and data below the lab; returns what it said."""
    result = subprocess.run([str(word) for word in (SCRIPT, "--build", BUILD_DIR, "--data", lab.dir / "data", *words)],
                            text=True, capture_output=True, timeout=60 * SLOW, check=False)
    said = result.stdout + result.stderr
    (lab.dir / "first-run.log").write_text(said)
    check_equal(result.returncode, wanted, f"exit status; said: {said}")
    return said


def mails(lab):
    return sorted((lab.dir / "data" / "mail").glob("*.eml"))


def test_into_a_folder_and_again(lab):
    said = first_run(lab)
    first = mails(lab)
    check(len(first) >= 2, f"{len(first)} mails: the sample shows nothing")
    for file in first:
        check(str(parse_mail(file.read_bytes())["Subject"]).startswith("Calibration due"), f"subject of {file.name}")
    check(f"mails: {len(first)} files" in said, f"says the number of mails: {said}")
    again = first_run(lab)
    check("duplicate" in again.lower(), f"the second run does not say duplicate: {again}")
    check_equal(mails(lab), first, "mails after the second run")


def test_into_a_mail_server(lab):
    sink = lab.sink()
    first_run(lab, "--smtp", f"127.0.0.1:{sink.port}")
    people = [mail["rcpt"] for mail in sink.mails()]
    check(len(people) >= 2, f"{len(people)} mails at the server")
    check_equal(len({person for group in people for person in group}), len(people), "people, one mail each")
    check_equal(mails(lab), [], "files in the folder")


def test_a_server_that_is_not_there(lab):
    """A wrong address is said at once; one where nobody answers does not end in success."""
    check("HOST:PORT" in first_run(lab, "--smtp", "mail.example.test", wanted=1), "says what is wrong")


run(globals())
