/* Evidence as text: JSON lines or CSV, and back.
 *
 * A line says first what proves it (kind, number, chain value, the entry's own bytes in hex), then the same for people. Only the
 * first part is read back; the second is made again from it and must be the same, byte by byte. So nothing that a person reads can
 * differ from what was proved.
 *
 *   day      begins a day: its start and its head, how many entries it has
 *   entry    one entry of the log. In CSV a row for each recipient follows it, kind "recipient"
 *   digest   an entry that was not asked for: its digest stands in its place */
#ifndef TPN_EVIDENCE_FORM_H
#define TPN_EVIDENCE_FORM_H

#include "buf.h"
#include "pb.h"

#include <stdbool.h>

enum evidence_form { EVIDENCE_JSON, EVIDENCE_CSV };

/* The first line of a file; nothing in JSON. */
void evidence_form_head(enum evidence_form form, struct buf *out);
void evidence_form_day(enum evidence_form form, int log, const PB(EvidenceDay) *day,
                       struct buf *out);
void evidence_form_entry(enum evidence_form form, int log, const PB(EvidenceEntry) *entry,
                         struct buf *out);

/* What stands in a line. Fields of day and entry borrow from bytes. */
struct evidence_line {
    enum { EVIDENCE_LINE_DAY, EVIDENCE_LINE_ENTRY, EVIDENCE_LINE_MORE } kind;
    int log;
    PB(EvidenceDay) day;
    PB(EvidenceEntry) entry;
    struct buf bytes;
};

/* Read the first part of a line (without its end). ERR_INVALID: it is no line of ours. *line is for evidence_line_fini in any case. */
enum err evidence_form_read(enum evidence_form form, const char *text,
                            struct evidence_line *line) NODISCARD;
void evidence_line_fini(struct evidence_line *line);

#endif
