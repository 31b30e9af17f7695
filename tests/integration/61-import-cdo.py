"""tpn profile import-cdo: CDO fields become a profile that the broker takes; everything not taken over is told."""
import os
import subprocess

from tpn_harness import check, check_equal, find_program, run

SCRIPT = '''
' Mail of the calibration department
With CreateObject("CDO.Configuration").Fields
  .Item("http://schemas.microsoft.com/cdo/configuration/sendusing") = 2
  .Item("http://schemas.microsoft.com/cdo/configuration/smtpserver") = "mail.lab.test"
  .Item(cdoSMTPServerPort) = 587
  .Item("http://schemas.microsoft.com/cdo/configuration/smtpauthenticate") = cdoBasic
  .Item(cdoSendUserName) = "Lab\\Ana"
  .Item(cdoSendPassword) = "Geheim=1"
  .Item(cdoSMTPUseSSL) = True
  .Item(cdoSMTPConnectionTimeout) = 45
  .Item(cdoSMTPAccountName) = "cal"
  .Update
End With
'''
PROFILE = '''profiles:
  cal:
    use_pickup_folder: false
    smtp_server: mail.lab.test
    smtp_port: 587
    authentication: basic
    user_name: "Lab\\\\Ana"
    use_tls: true
    connect_timeout: 45s
    password: file:/etc/trackpro-notify/cal.password
'''
PICKUP = "sendusing: 1\nsmtpserverpickupdirectory: /srv/mail/pickup\nsmtpserver: localhost\n"
REFUSED = (  # input, what is said
    ("sendusing = 3\nsmtpserver = a.test", "sendusing: line 1: refused: sending through Exchange's store"),
    ("sendusing = 7", "sendusing: line 1: refused: must be 1 (pickup), 2 (port) or 3"),
    ("smtpserver=a.test\nnntpserver=b.test", "nntpserver: line 2: refused: news (NNTP) is not sent"),
    ("smtpserver=a.test\nsmtpserverport=25x", "smtpserverport: line 2: refused: must be a number"),
    ("smtpserver=a.test\nsmtpserverport=70000", "smtp_port: refused: "),
    ("smtpserver=a.test\nsmtpserverport=465", "smtp_port: refused: "),
    ("smtpserver=a.test\nsmtpauthenticate=1\nsendusername=ana\nsendpassword=x", "authentication: refused: BASIC without TLS"),
    ("smtpserver=a.test\nsmtpserverprot=25", "smtpserverprot: line 2: refused: no CDO configuration field of that name"),
    ("smtpauthenticate=0", "smtp_server: refused: "),
    ("smtpserver=a.test\nsmtpusessl=maybe", "smtpusessl: line 2: refused: must be true or false"),
    ("smtpserver=" + "a" * 5000, "line 1: refused: too long"),
    ("smtpserver=" + "a" * 1500, "smtpserver: line 1: refused: the value is too long"),
    ("smtpserver=a\x01b", "smtpserver: line 1: refused: the value is too long, or no line of UTF-8 text"),
)
IGNORED = ("autopromotebodyparts", "flushbuffersonwrite", "httpcookies", "languagecode", "savesentitems", "sendemailaddress",
           "senduserreplyemailaddress", "urlgetlatestversion", "urlproxyserver", "usemessageresponsetext")


def import_cdo(text, *words):
    return subprocess.run([find_program("tpn"), "profile", "import-cdo", *words], input=text, text=True, capture_output=True,
                          check=False)


def test_a_script_becomes_a_profile(lab):
    result = import_cdo(SCRIPT)
    check_equal((result.returncode, result.stdout), (0, PROFILE), result.stderr)
    check("sendpassword: not taken over" in result.stderr, result.stderr)
    check("Geheim" not in result.stdout + result.stderr, "the password is shown")
    path = lab.dir / "imported.yaml"
    path.write_text(result.stdout, encoding="utf-8")
    broker = subprocess.run([find_program("tpn-broker"), "--profiles", path, "--data", lab.dir / "data", "--check-config"],
                            text=True, capture_output=True, check=False, env={**os.environ, "HOME": str(lab.dir)})
    check_equal(broker.returncode, 0, broker.stdout + broker.stderr)


def test_a_pickup_folder(_lab):
    result = import_cdo(PICKUP, "--name", "drop")
    check_equal((result.returncode, result.stdout),
                (0, "profiles:\n  drop:\n    use_pickup_folder: true\n    smtp_server: /srv/mail/pickup\n"), result.stderr)


def test_what_is_ignored_is_told(_lab):
    result = import_cdo("smtpserver = a.test\n" + "".join(f"{field} = 1\n" for field in IGNORED))
    check_equal(result.returncode, 0, result.stderr)
    for line, field in enumerate(IGNORED, 2):
        check(f"{field}: line {line}: ignored: " in result.stderr, f"{field}: {result.stderr}")


def test_what_is_refused_makes_no_profile(_lab):
    for text, said in REFUSED:
        result = import_cdo(text)
        check_equal((result.returncode, result.stdout), (1, ""), f"{text[:60]}: {result.stderr}")
        check(said in result.stderr, f"{text[:60]}: {result.stderr}")


run(globals())
