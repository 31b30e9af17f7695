/* Lines of evidence: what is read of one is rendered again and read the same; the checker takes whatever was read.
 *
 * Input: a byte (JSON or CSV), then a line. */
#include "fuzz.h"

#include "evidence_check.h"
#include "evidence_form.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

static void try_again(enum evidence_form form, const struct evidence_line *line)
{
    struct buf first;
    struct buf second;
    struct evidence_line again;
    buf_init(&first, 64 << 20);
    buf_init(&second, 64 << 20);
    if (line->kind == EVIDENCE_LINE_DAY) {
        evidence_form_day(form, line->log, &line->day, &first);
    } else {
        evidence_form_entry(form, line->log, &line->entry, &first);
    }
    char *text = mem_text(buf_text(&first));
    demand(evidence_form_read(form, text, &again) == ERR_OK, "cannot read: %s", text);
    if (again.kind == EVIDENCE_LINE_DAY) {
        evidence_form_day(form, again.log, &again.day, &second);
    } else {
        evidence_form_entry(form, again.log, &again.entry, &second);
    }
    demand(strcmp(text, buf_text(&second)) == 0, "%s is %s", text, buf_text(&second));
    evidence_line_fini(&again);
    free(text);
    buf_fini(&first);
    buf_fini(&second);
}

static void check_line(const struct evidence_line *line)
{
    struct evidence_check check;
    struct err_text why = {0};
    evidence_check_init(&check);
    enum err err = line->kind == EVIDENCE_LINE_DAY
                       ? evidence_check_day(&check, &line->day, &why)
                       : evidence_check_entry(&check, &line->entry, &why);
    demand(err == ERR_OK || why.text[0] != '\0', "no reason");
    err = evidence_check_end(&check, &why);
    (void)err;
    evidence_check_fini(&check);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct evidence_line line;
    if (size == 0) {
        return 0;
    }
    enum evidence_form form = data[0] % 2 == 0 ? EVIDENCE_JSON : EVIDENCE_CSV;
    char *text = fuzz_text(data + 1, size - 1);
    if (evidence_form_read(form, text, &line) == ERR_OK && line.kind != EVIDENCE_LINE_MORE) {
        try_again(form, &line);
        check_line(&line);
    }
    evidence_line_fini(&line);
    free(text);
    return 0;
}
