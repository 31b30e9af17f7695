/* Headers: folding, encoded words, parameters, mailboxes.
 *
 * Input: a byte (what to write), then one line of text; what the field rules refuse never gets here. */
#include "fuzz.h"

#include "address.h"
#include "buf.h"
#include "header.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

enum { LINE_LIMIT = 998, FOLDED = 76, OUT_MAX_BYTES = 1 << 22, TEXT_MAX_BYTES = 4096 };

enum what { SUBJECT, KEPT, MAILBOX, PARAMETER, WHAT_COUNT };

static void put(struct header *h, enum what what, const char *text)
{
    switch (what) {
    case SUBJECT:
        header_text(h, text, HEADER_WORD_FOLD);
        break;
    case KEPT:
        header_text(h, text, HEADER_WORD_KEEP);
        break;
    case MAILBOX:
        header_mailbox(h, text, "ann@example.test", "");
        break;
    default:
        header_word(h, "attachment", strlen("attachment"));
        header_parameter(h, "filename", text);
        break;
    }
}

/* One header: every further line begins with a blank and holds more than blanks. */
static void demand_header(const char *data, size_t len)
{
    demand(len > 2 && memcmp(data + len - 2, "\r\n", 2) == 0, "no CRLF at the end");
    for (const char *line = data; line < data + len; line = strstr(line, "\r\n") + 2) {
        demand(line == data || *line == ' ' || *line == '\t', "a second header: %s", line);
        size_t blanks = strspn(line, " \t");
        demand(line[blanks] != '\r' || line == data, "a line of blanks");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > TEXT_MAX_BYTES ||
        text_check(data + 1, size - 1, TEXT_LINE) != TEXT_OK) {
        return 0;
    }
    enum what what = (enum what)(data[0] % WHAT_COUNT);
    char *text = fuzz_text(data + 1, size - 1);
    struct buf out;
    struct header h;
    buf_init(&out, OUT_MAX_BYTES);
    header_open(&h, &out, "Subject");
    put(&h, what, text);
    header_close(&h);
    demand(buf_status(&out) == ERR_OK, "does not fit");
    struct fuzz_lines wanted = {.longest = what == KEPT ? LINE_LIMIT : FOLDED};
    fuzz_demand_lines(buf_text(&out), out.len, &wanted);
    demand_header(buf_text(&out), out.len);
    buf_fini(&out);
    free(text);
    return 0;
}
