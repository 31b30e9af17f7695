"""tpn profile show --reveal-password: only who has the right, never without a record, and the broker never has the secret."""
import subprocess

from tpn_harness import check, check_equal, find_program, run, smtp_profile
from tpn_keys import Ring, House

SECRET = "Geheim 4711"


def certificate(lab):
    files = lab.dir / "w.pem", lab.dir / "w.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", files[1], "-out", files[0],
                    "-subj", "/CN=w", "-days", "2"], check=True, capture_output=True)
    files[1].chmod(0o600)
    return files


def login(password):
    return smtp_profile(587, use_tls=True, authentication="basic", user_name="ana", password=password)


class Vault(House):
    """The house, with two operators and two profiles that have a secret."""

    def __init__(self, lab):
        self.lab = lab
        self.ring = Ring(lab)
        self.ring.new("ann", "operator")
        self.ring.new("boss", "operator", rights=["read", "reveal"])
        self.certificate, self.key = certificate(lab)
        file = lab.dir / "password"
        file.write_text(SECRET + "\n", encoding="utf-8")
        file.chmod(0o600)
        sealed = subprocess.run([find_program("tpn"), "profile", "seal", "--certificate", self.certificate], input=SECRET,
                                text=True, capture_output=True, check=True).stdout.strip()
        self.broker = lab.broker({"plain": login(f"file:{file}"), "sealed": login(sealed)}, self.ring.config())

    def show(self, who, *words):
        return self.lab.tpn(self.broker, "profile", "show", *words, *self.ring.flags(who))


def test_only_with_the_right_and_never_without_a_record(lab):
    vault = Vault(lab)
    shown = vault.show("ann", "plain")
    check_equal((shown.returncode, SECRET in shown.stdout), (0, False), shown.stderr)
    refused = vault.show("ann", "plain", "--reveal-password")
    check_equal(refused.returncode, 2, refused.stdout)
    check("may not see secrets" in refused.stderr and SECRET not in refused.stdout, refused.stderr)
    revealed = vault.show("boss", "plain", "--reveal-password")
    check_equal((revealed.returncode, f"  password is: {SECRET}\n" in revealed.stdout), (0, True), revealed.stderr)
    check_equal(vault.show("boss", "plain", "--reveal-password", "--json").returncode, 2, "into a file, as JSON")
    record = vault.audited("boss", "reveal secret", "", "done")
    check_equal(record.target, "plain", "what the record names")
    vault.audited("operator ann", "TPN1.PROFILES", "may not see secrets")
    seen = vault.broker.text().encode() + b"".join(path.read_bytes() for path in vault.broker.data.iterdir() if path.is_file())
    check(SECRET.encode() not in seen, "the broker has the secret")


def test_a_sealed_one_is_opened_where_the_key_is(lab):
    vault = Vault(lab)
    here = ("--unseal-certificate", vault.certificate, "--unseal-key", f"file:{vault.key}")
    revealed = vault.show("boss", "sealed", "--reveal-password", *here)
    check_equal((revealed.returncode, f"  password is: {SECRET}\n" in revealed.stdout), (0, True), revealed.stderr)
    elsewhere = vault.show("boss", "sealed", "--reveal-password")
    check_equal((elsewhere.returncode, SECRET in elsewhere.stdout), (1, False), elsewhere.stderr)
    check("password: " in elsewhere.stderr, elsewhere.stderr)
    check_equal(vault.show("boss", "sealed", "--reveal-password", *here[:2]).returncode, 2, "a certificate without its key")


run(globals())
