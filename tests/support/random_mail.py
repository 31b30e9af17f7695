"""Random requests, and what the worker composes of them.

The requests are meant to be hard: names in all scripts, words at the folding limits, file names that mean something to a parser,
texts with leading dots and lines of any length. The same seed gives the same requests."""

import struct
import subprocess

SCRIPTS = ["Łódź Zażółć", "Ελληνικά", "Привет", "日本語テスト", "한국어", "العربية", "עברית", "हिन्दी", "ไทย", "😀👩‍🔧🔧", "naïve café",
           "Ä", "ß", "e\u0301", "\u200b", "𝔘𝔫𝔦", "Հայերեն", "ქართული", "አማርኛ", "தமிழ்", "తెలుగు", "ಕನ್ನಡ", "മലയാളം", "বাংলা", "ਪੰਜਾਬੀ",
           "ગુજરાતી", "සිංහල", "ລາວ", "မြန်မာ", "ខ្មែរ", "བོད་སྐད", "ᠮᠣᠩᠭᠣᠯ", "ᏣᎳᎩ", "ⵜⴰⵎⴰⵣⵉⵖⵜ", "ܣܘܪܝܝܐ", "ދިވެހި", "ߒߞߏ", "中文", "ภาษา",
           "Tiếng Việt", "\u202bעברית abc\u202c", "𓂀𓃭", "\U0001f1e9\U0001f1ea"]
ASCII_WORDS = ["Calibration", "due", "a", "QA", "report-17", "x" * 75, "y" * 80, "z" * 200, "=?UTF-8?Q?a?=", "=?", "?=", "_",
               "\"", "\\", "\\\"", ",", ";", "(c)", "<b>", "@", ":", "J.", "O'Neil", "100%", "=20", ".", "..", "From", "--", "%41''"]
FILE_NAMES = ["report.pdf", "a b.txt", "a\"b\\c;.bin", "Prüfbericht.pdf", "日本語" * 30 + ".xlsx", "😀.png", "a" * 60, "b" * 61, "c" * 240,
              "per%41cent.txt", "x'y''z.txt", ".hidden", "con", "a/b\\c", "tail.", "semi;colon=1.csv", "=?UTF-8?Q?x?=.txt", "(x).txt", "a,b.txt"]
TYPES = ["", "application/pdf", "text/plain", "text/csv", "image/png", "message/rfc822", "multipart/mixed"]


class Maker:
    """Random requests. Each method draws from one random source, so that a seed gives the same ones."""

    def __init__(self, pb, rng):
        self.pb = pb
        self.rng = rng

    def words(self, most):
        rng = self.rng
        out = []
        for _ in range(rng.randint(0, most)):
            kind = rng.random()
            if kind < 0.4:
                out.append(rng.choice(ASCII_WORDS))
            elif kind < 0.7:
                out.append(rng.choice(SCRIPTS))
            else:
                out.append("".join(rng.choice("abcdefghij KLMNÄß日😀.,_=?") for _ in range(rng.randint(1, 30))))
        return rng.choice(["", "", " ", "  "]).join(out) if rng.random() < 0.2 else " ".join(out)

    def line(self, most):
        """A text of one line, now and then of a length near a fold."""
        if self.rng.random() < 0.3:
            return self.rng.choice(["a", "ä", "日", "😀", "a b", "=", "\""]) * self.rng.randint(1, 160)
        return self.words(most)

    def name(self):
        # What a mailbox is called has no blanks at its ends: every reader strips them.
        return self.line(4).strip()[:80].strip()

    def address(self):
        rng = self.rng
        local = rng.choice(["a", "john.doe", "x+y", "o'neil", "\"quoted local\"", "\"a\\\"b\"", "l" * 64, "=?x?="])
        domain = rng.choice(["example.test", "sub.example.test", "bücher.example", "例え.テスト", "[192.0.2.1]", "d" * 60 + ".test"])
        return f"{local}@{domain}"

    def mailbox(self, box):
        box.address = self.address()
        if self.rng.random() < 0.8:
            box.name = self.name()

    def body(self):
        rng = self.rng
        lines = []
        for _ in range(rng.randint(0, 12)):
            lines.append(rng.choice([
                "", ".", "..", ".leading", "From here", "trailing  ", "tab\t", ". ", ".\t", "=2E", "Bcc: x@x.test", "Content-Type: text/html", "--", "--=_x", "=", "=20", "Subject: no", "x" * rng.randint(70, 80),
                "y" * 1200, "ä" * rng.randint(20, 60), "plain words of a line", "日本語" * rng.randint(1, 40), self.words(6), "<p>a &amp; b</p>"]))
        if rng.random() < 0.01:
            lines.insert(0, rng.choice(["x", "ä", ".", " ", "日"]) * 100000)
        return rng.choice(["\n", "\r\n", "\r"]).join(lines) + rng.choice(["", "\n", "\r\n", "\r"])

    def attachment(self, item, index, inline):
        rng = self.rng
        item.file_name = rng.choice(FILE_NAMES) if rng.random() < 0.8 else self.line(3)[:100]
        item.content_type = rng.choice(TYPES)
        item.content = rng.randbytes(rng.choice([0, 1, 2, 3, 56, 57, 58, 114, 1000, 5000]))
        if rng.random() < 0.3:
            item.content = rng.choice([b".\r\n.\r\nFrom x\n", b"a,b;c\r\n" * rng.randint(0, 99), b"line\n" * 9 + b"end ", b"\r", b"\n.\n",
                                       "Prüfung,fällig\n".encode() * 20, b"x" * 3000 + b"\t", b"--=_a\r\n--"])
        if inline:
            item.content_type = rng.choice(["image/png", "image/svg+xml", item.content_type])
            item.is_inline = True
            item.content_id = f"img{index}@trackpro"

    def request(self, number):
        rng = self.rng
        request = self.pb.NotificationRequest(id=f"r{number}")
        message = request.message
        self.mailbox(getattr(message, "from"))
        if rng.random() < 0.2:
            self.mailbox(message.sender)
        for field, most in (("reply_to", 1), ("to", 5), ("cc", 2), ("bcc", 1)):
            for _ in range(rng.randint(0, most)):
                self.mailbox(getattr(message, field).add())
        if len(message.to) + len(message.cc) + len(message.bcc) == 0:
            self.mailbox(message.to.add())
        message.subject = self.line(8)
        if rng.random() < 0.8:
            message.text = self.body()
        if rng.random() < 0.4:
            message.html = self.body()
        if rng.random() < 0.1:
            message.calendar = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nSUMMARY:Prüfung\r\nEND:VCALENDAR\r\n".encode()
        for index in range(rng.choice([0, 0, 0, 1, 3])):
            self.attachment(message.attachments.add(), index, message.html != "" and rng.random() < 0.4)
        if rng.random() < 0.3:
            header = message.headers.add(name="X-Asset")
            header.value = self.line(6)
        message.importance = rng.randint(0, 3)
        message.request_read_receipt = rng.random() < 0.1
        if rng.random() < 0.1:
            message.list_unsubscribe.uris.extend(["mailto:leave@lab.test?subject=stop", "https://lab.test/" + "u" * rng.randint(1, 300)])
            message.list_unsubscribe.one_click = rng.random() < 0.5
        return request


def exchange(tool, request):
    data = request.SerializeToString()
    tool.stdin.write(struct.pack(">I", len(data)) + data)
    tool.stdin.flush()
    (length,) = struct.unpack(">I", tool.stdout.read(4))
    answer = tool.stdout.read(length)
    return answer[:1], answer[1:]


class Composer:
    """compose_tool, asked for one mail after the other."""

    def __init__(self, path, *options):
        self.tool = subprocess.Popen([path, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.tool.stdin.close()
        self.tool.wait()
        self.tool.stdout.close()

    def mail(self, request):
        """The bytes of the mail; ValueError with the reason when there is none."""
        kind, answer = exchange(self.tool, request)
        if kind != b"M":
            raise ValueError("refused: " + answer.decode())
        return answer
