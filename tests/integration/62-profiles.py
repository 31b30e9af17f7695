"""tpn profile ls, show, check: what the broker's profiles say, and whether it would take its file as it is now."""
import json

from tpn_harness import check, check_equal, free_port, pickup_profile, run, smtp_profile

MAILBOX = smtp_profile(2525, use_tls=True, authentication="basic", user_name="Lab\\Ana", password="env:MAILBOX",
                       reply_timeout="20s", tls_mode="starttls", pipelining="off")


def test_profiles_are_listed_and_shown(lab):
    broker = lab.broker({"mailbox": MAILBOX, "drop": pickup_profile("/srv/drop")})
    listed = lab.tpn(broker, "profile", "ls")
    check_equal(listed.returncode, 0, listed.stderr)
    check_equal([line.split()[:-2] for line in listed.stdout.splitlines()],
                [["drop", "pickup", "folder", "/srv/drop"], ["mailbox", "smtp", "127.0.0.1:2525"]], "profile ls")
    shown = lab.tpn(broker, "profile", "show", "mailbox")
    check_equal(shown.returncode, 0, shown.stderr)
    wanted = ('  smtp_server: "127.0.0.1"', '  user_name: "Lab\\\\Ana"', '  password: "env:MAILBOX"', "  smtp_port: 2525",
              "  use_tls: true", '  authentication: "BASIC"', '  tls_mode: "STARTTLS"', "  reply_timeout_ms: 20000",
              '  pipelining: "OFF"')
    check_equal(tuple(shown.stdout.splitlines()[1:]), wanted, "profile show")
    tree = json.loads(lab.tpn(broker, "profile", "show", "mailbox", "--json").stdout)
    check_equal((tree["name"], tree["settings"]["smtp_port"], tree["settings"]["use_pickup_folder"]),
                ("mailbox", 2525, False), "profile show --json")
    check_equal(lab.tpn(broker, "profile", "show", "nobody").returncode, 3, "a profile that is not there")


def test_a_file_is_checked_without_putting_it_in_force(lab):
    broker = lab.broker({"mailbox": MAILBOX})
    good = lab.tpn(broker, "profile", "check")
    check_equal((good.returncode, good.stdout), (0, "1 profiles, nothing wrong\n"), good.stderr)
    broker.write_profiles({"mailbox": {**MAILBOX, "smtp_port": 465, "use_tls": False}, "new": {"smtp_sever": "a.test"}})
    wrong = lab.tpn(broker, "profile", "check")
    check_equal(wrong.returncode, 1, wrong.stdout + wrong.stderr)
    for words in ("profiles.mailbox.", "profiles.new.smtp_sever: "):
        check(words in wrong.stdout, f"{words} is not told: {wrong.stdout}")
    check_equal(lab.tpn(broker, "profile", "ls").stdout.split()[0], "mailbox", "what is in force")
    broker.write_profiles({"mailbox": MAILBOX, "new": smtp_profile(free_port())})
    check_equal(lab.tpn(broker, "profile", "check").stdout, "2 profiles, nothing wrong\n", "the mended file")
    check_equal(len(lab.tpn(broker, "profile", "ls").stdout.splitlines()), 1, "still only the old one is in force")


run(globals())
