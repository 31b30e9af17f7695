#!/usr/bin/python3
"""DKIM: what the worker signs, three verifiers that are not ours accept: python3-dkim, opendkim and npm mailauth.

Random mails are signed with an RSA and an Ed25519 key at once; each verifier must say "pass" for both. Then the same mails with a
change in the body, in a header, or with a second From: each must say "fail". TPN_DKIM_COUNT: how many mails (60)."""
import base64
import json
import os
import pathlib
import random
import re
import struct
import subprocess

import dkim

import npm_peer
import random_mail
from tpn_harness import BUILD_DIR, SOURCE_DIR, check, check_equal, find_program, run, smtp_profile

COUNT = int(os.environ.get("TPN_DKIM_COUNT", "60"))
OPENDKIM_COUNT = 20  # a process for each mail
DOMAIN = "lab.test"
KINDS = {"rsa": ["genrsa", "-out", "{}", "2048"], "ed": ["genpkey", "-algorithm", "ed25519", "-out", "{}"]}


def make_keys(folder):
    """Key files, and the DNS records of their public halves by name."""
    records = {}
    for selector, command in KINDS.items():
        path = folder / f"{selector}.pem"
        subprocess.run(["openssl", *[word.format(path) for word in command]], check=True, capture_output=True)
        os.chmod(path, 0o600)
        public = subprocess.run(["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
        kind = "rsa"
        if selector == "ed":
            kind, public = "ed25519", public[-32:]  # RFC 8463 4.2: the bare key
        records[f"{selector}._domainkey.{DOMAIN}"] = f"v=DKIM1; k={kind}; p={base64.b64encode(public).decode()}"
    return records


class Verifiers:
    """Each takes mails and gives a list of sets for each mail: the results of its signatures, "pass" or "fail"."""

    def __init__(self, folder, records):
        self.folder = folder
        self.records = records
        self.modules = npm_peer.install(BUILD_DIR, "mailauth")
        self.records_path = folder / "records.json"
        with open(self.records_path, "w", encoding="utf-8") as file:
            json.dump(records, file)
        self.conf = folder / "opendkim.conf"
        keys = folder / "opendkim.keys"
        with open(keys, "w", encoding="utf-8") as file:
            file.writelines(f"{name} {record}\n" for name, record in records.items())
        with open(self.conf, "w", encoding="utf-8") as file:
            file.write(f"Mode v\nTestDNSData file:{keys}\n")

    def python_dkim(self, mails):
        wanted = {(name + ".").encode(): record.encode() for name, record in self.records.items()}

        def look_up(name, timeout=5):
            return wanted.get(name if isinstance(name, bytes) else name.encode())
        out = []
        for mail in mails:
            results = []
            for index in range(2):
                try:
                    good = dkim.DKIM(mail).verify(idx=index, dnsfunc=look_up)
                except dkim.DKIMException:
                    good = False
                results.append("pass" if good else "fail")
            out.append(results)
        return out

    def mailauth(self, mails):
        frames = b"".join(struct.pack(">I", len(mail)) + mail for mail in mails)
        done = subprocess.run(["node", SOURCE_DIR / "tests" / "peers" / "dkim_verify.js", self.records_path], input=frames, check=True,
                              capture_output=True, env={**os.environ, "NODE_PATH": self.modules}, timeout=600)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return [["pass" if one["result"] == "pass" else "fail" for one in line] for line in lines]

    def opendkim(self, mails):
        out = []
        path = self.folder / "mail.eml"
        for mail in mails[:OPENDKIM_COUNT]:
            with open(path, "wb") as file:
                file.write(mail)
            done = subprocess.run(["opendkim", "-x", self.conf, "-vv", "-t", path], capture_output=True, text=True, check=False, timeout=60)
            # The header Authentication-Results that it would add, one result for each signature.
            out.append(["pass" if result == "pass" else "fail" for result in re.findall(r"[\t ]dkim=(\w+)", done.stdout + done.stderr)])
        return out


def requests(lab, count):
    maker = random_mail.Maker(lab.pb, random.Random(20261125))
    return [maker.request(number) for number in range(count)]


def compose(lab, asked, *more):
    options = [f"dkim:{DOMAIN}:{name}:{lab.dir / name}.pem" for name in KINDS]
    with random_mail.Composer(find_program("compose_tool"), *options, *more) as composer:
        return [composer.mail(request) for request in asked]


def expect(verifiers, mails, wanted):
    for verifier in (verifiers.python_dkim, verifiers.mailauth, verifiers.opendkim):
        results = verifier(mails)
        check(len(results) >= min(len(mails), OPENDKIM_COUNT), f"{verifier.__name__}: {len(results)} answers for {len(mails)} mails")
        for number, result in enumerate(results):
            check(result and set(result) == {wanted},
                  f"{verifier.__name__}: mail {number}: {result}, wanted {wanted}\n{mails[number][:3000].decode('ascii', 'replace')}")


def test_every_verifier_accepts(lab):
    verifiers = Verifiers(lab.dir, make_keys(lab.dir))
    mails = compose(lab, requests(lab, COUNT))
    for mail in mails:
        signatures = re.findall(rb"(?m)^DKIM-Signature:.*\r\n(?:[ \t].*\r\n)*", mail.split(b"\r\n\r\n")[0] + b"\r\n")
        check_equal(len(signatures), 2, "signatures")
        check(max(map(len, b"".join(signatures).split(b"\r\n"))) <= 76, f"a long line: {signatures}")
    expect(verifiers, mails, "pass")
    check(mails == compose(lab, requests(lab, COUNT)), "another attempt has other signatures")


def test_every_verifier_sees_a_change(lab):
    verifiers = Verifiers(lab.dir, make_keys(lab.dir))
    mails = compose(lab, requests(lab, OPENDKIM_COUNT))
    expect(verifiers, [mail + b"x\r\n" for mail in mails], "fail")
    expect(verifiers, [mail.replace(b"\r\nSubject:", b"\r\nSubject: x", 1) for mail in mails], "fail")
    # Over-signing: a second From in front is seen although the one that was signed, the lowest, is untouched.
    expect(verifiers, [mail.replace(b"\r\nFrom:", b"\r\nFrom: boss@lab.test\r\nFrom:", 1) for mail in mails], "fail")


def test_a_bad_key_puts_the_mail_off_until_it_is_mended(lab):
    verifiers = Verifiers(lab.dir, make_keys(lab.dir))
    key = lab.dir / "later.pem"
    kept = lab.folder("kept")
    sink = lab.sink("--keep", str(kept))
    profile = smtp_profile(sink.port, dkim_domain=DOMAIN, dkim_selector="rsa", dkim_key=f"file:{key}", dkim_second_selector="ed",
                           dkim_second_key=f"file:{lab.dir / 'ed.pem'}")
    broker = lab.broker({"lab": profile}, {"retry": {"delays": ["1s"]}})
    lab.worker(broker)
    follower = lab.follower(broker)
    lab.publisher(broker).submit(lab.request("signed"))
    event = follower.wait_state("signed", "DEFERRED")
    check_equal(event.recipients[0].text, f"dkim_key: cannot open {key}: No such file or directory", "what a person reads")
    check_equal(sink.count(), 0, "mails that went out unsigned")
    key.touch(0o600)
    key.write_bytes((lab.dir / "rsa.pem").read_bytes())
    follower.wait_state("signed", "SENT", timeout_s=20)
    [mail] = [path.read_bytes() for path in kept.iterdir()]
    expect(verifiers, [mail], "pass")


def test_a_pickup_envelope_is_not_signed(lab):
    verifiers = Verifiers(lab.dir, make_keys(lab.dir))
    mails = compose(lab, requests(lab, 5), "iis")
    for mail in mails:
        check(mail.startswith(b"X-Sender: <"), mail[:80])
    expect(verifiers, [mail[mail.index(b"DKIM-Signature:"):] for mail in mails], "pass")


run(globals())
