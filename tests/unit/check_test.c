/* The field rules: the table against the .proto files and proto/README.md, and the walker
 * against good, wrong, cut and broken bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"
#include "check.h"
#include "check_rules.h"
#include "mem.h"
#include "path.h"
#include "pb.h"
#include "rule_text.h"

/* ---- the table ---- */

static size_t set_count(void)
{
    size_t count = 0;
    while (check_rules_at(count) != NULL) {
        count++;
    }
    return count;
}

static void check_places(const struct check_set *set)
{
    const ProtobufCMessageDescriptor *type = set->type;
    assert_ptr_equal(check_rules_find(type), set);
    assert_in_range(type->n_fields, 0, CHECK_MAX_FIELDS);
    if (set->count != type->n_fields) {
        fail_msg("%s: %u rules for %u fields", type->short_name, set->count, type->n_fields);
    }
    for (unsigned f = 0; f < set->count; f++) {
        assert_string_equal(set->rules[f].field, type->fields[f].name);
    }
}

static void every_field_has_its_rule_in_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < set_count(); i++) {
        check_places(check_rules_at(i));
    }
}

static bool form_fits(const ProtobufCFieldDescriptor *field, const struct check_rule *rule)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        return rule->form == CHECK_MESSAGE && rule->set != NULL &&
               rule->set->type == field->descriptor;
    case PROTOBUF_C_TYPE_ENUM:
        return rule->form == CHECK_ENUM;
    case PROTOBUF_C_TYPE_BYTES:
        return rule->form == CHECK_BYTES && rule->max > 0;
    case PROTOBUF_C_TYPE_STRING:
        return rule->form >= CHECK_LINE && rule->max > 0;
    default:
        return rule->form == CHECK_NUMBER && rule->min <= rule->max;
    }
}

static void check_forms(const struct check_set *set)
{
    for (unsigned f = 0; f < set->count; f++) {
        const ProtobufCFieldDescriptor *field = &set->type->fields[f];
        bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
        if (!form_fits(field, &set->rules[f]) || repeated != (set->rules[f].max_entries > 0)) {
            fail_msg("%s.%s", set->type->short_name, field->name);
        }
    }
}

static void every_rule_fits_the_type_of_its_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < set_count(); i++) {
        check_forms(check_rules_at(i));
    }
}

static const struct check_set *set_named(const char *name, size_t len)
{
    for (size_t i = 0; check_rules_at(i) != NULL; i++) {
        const char *known = check_rules_at(i)->type->short_name;
        if (strlen(known) == len && memcmp(known, name, len) == 0) {
            return check_rules_at(i);
        }
    }
    return NULL;
}

static char *read_source(const char *path)
{
    struct buf text;
    struct err_text why = {0};
    buf_init(&text, 1U << 20);
    if (path_read(path, &text, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    return buf_take(&text);
}

/* The messages of one .proto file, all with rules. */
static size_t count_messages(const char *source)
{
    static const char word[] = "\nmessage ";
    size_t found = 0;
    for (const char *p = strstr(source, word); p != NULL; p = strstr(p + 1, word)) {
        const char *name = p + sizeof word - 1;
        size_t len = strcspn(name, " {");
        if (set_named(name, len) == NULL) {
            fail_msg("no rules for %.*s", (int)len, name);
        }
        found++;
    }
    return found;
}

static void every_message_of_the_proto_files_has_rules(void **state)
{
    (void)state;
    static const char *const files[] = {"admin",    "notification", "probe",
                                        "settings", "status",       "work"};
    size_t found = 0;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/proto/%s.proto", TPN_SOURCE_DIR, files[i]);
        char *source = read_source(path);
        found += count_messages(source);
        free(source);
    }
    assert_int_equal(found, set_count());
}

/* Longest way down from a set, in messages; stops a little above the limit, so a circle ends
 * too. */
static unsigned depth_below(const struct check_set *set)
{
    const struct check_set *level[CHECK_MAX_DEPTH + 1] = {set};
    unsigned field[CHECK_MAX_DEPTH + 1] = {0};
    unsigned depth = 1;
    unsigned deepest = 1;
    while (depth > 0) {
        const struct check_set *here = level[depth - 1];
        if (field[depth - 1] == here->count || depth > CHECK_MAX_DEPTH) {
            depth--;
            continue;
        }
        const struct check_set *below = here->rules[field[depth - 1]++].set;
        if (below != NULL) {
            level[depth] = below;
            field[depth] = 0;
            depth++;
            deepest = depth > deepest ? depth : deepest;
        }
    }
    return deepest;
}

static void no_message_nests_deeper_than_the_limit(void **state)
{
    (void)state;
    for (size_t i = 0; check_rules_at(i) != NULL; i++) {
        assert_in_range(depth_below(check_rules_at(i)), 1, CHECK_MAX_DEPTH);
    }
}

/* ---- proto/README.md ---- */

enum { README_CELLS = 7, CELL_BYTES = 256 };

/* "| a | b |" to cells without their blanks; the number of cells. */
static unsigned split_row(const char *line, size_t len, char cells[README_CELLS][CELL_BYTES])
{
    unsigned count = 0;
    size_t at = 1;
    while (at < len && count < README_CELLS) {
        size_t end = at;
        while (end < len && line[end] != '|') {
            end++;
        }
        if (end == len) {
            break;
        }
        size_t from = at;
        size_t to = end;
        while (from < to && line[from] == ' ') {
            from++;
        }
        while (to > from && line[to - 1] == ' ') {
            to--;
        }
        (void)snprintf(cells[count++], CELL_BYTES, "%.*s", (int)(to - from), line + from);
        at = end + 1;
    }
    return count;
}

static void compare_row(const struct check_set *set, unsigned f,
                        char cells[README_CELLS][CELL_BYTES])
{
    char name[CELL_BYTES];
    char type[RULE_TEXT_BYTES];
    char limit[RULE_TEXT_BYTES];
    (void)snprintf(name, sizeof name, "`%s`", set->rules[f].field);
    rule_type(&set->type->fields[f], type);
    rule_limit(&set->type->fields[f], &set->rules[f], limit);
    const char *required = set->rules[f].required ? "yes" : "no";
    if (strcmp(cells[0], name) != 0 || strcmp(cells[1], type) != 0 ||
        strcmp(cells[3], limit) != 0 || strcmp(cells[4], required) != 0) {
        fail_msg("proto/README.md, %s: has | %s | %s | %s | %s |, wanted | %s | %s | %s | %s |",
                 set->type->short_name, cells[0], cells[1], cells[3], cells[4], name, type,
                 limit, required);
    }
    if (cells[6][0] == '\0') {
        fail_msg("proto/README.md, %s.%s: no meaning", set->type->short_name, name);
    }
}

/* Where the reading of the page stands. */
struct page {
    const struct check_set *set;
    unsigned next;   /* row of the set */
    size_t complete; /* sets with all of their rows */
};

static void begin_message(struct page *page, const char *name, size_t len)
{
    page->set = set_named(name, len);
    page->next = 0;
    if (page->set == NULL) {
        fail_msg("proto/README.md: no message %.*s", (int)len, name);
        return;
    }
    page->complete += page->set->count == 0;
}

static void read_row(struct page *page, const char *line, size_t len)
{
    char cells[README_CELLS][CELL_BYTES] = {{0}};
    if (page->set == NULL || page->next >= page->set->count ||
        split_row(line, len, cells) != README_CELLS) {
        fail_msg("proto/README.md: too much or too little: %.*s", (int)len, line);
        return;
    }
    compare_row(page->set, page->next++, cells);
    page->complete += page->next == page->set->count;
}

static void the_readme_tells_the_same_rules(void **state)
{
    (void)state;
    char *source = read_source(TPN_SOURCE_DIR "/proto/README.md");
    const char *line = strstr(source, "\n## Fields");
    struct page page = {0};
    while (line != NULL && *line != '\0') {
        size_t len = strcspn(line, "\n");
        if (strncmp(line, "#### ", 5) == 0) {
            begin_message(&page, line + 5, len - 5);
        } else if (strncmp(line, "| `", 3) == 0) {
            read_row(&page, line, len);
        }
        line += len + (line[len] == '\n');
    }
    assert_int_equal(page.complete, set_count());
    free(source);
}

/* ---- good and wrong values ---- */

typedef PB(NotificationRequest) request_t;

static char *text(const char *literal)
{
    return (char *)(uintptr_t)literal; /* the generated structs know no const */
}

/* A request with something in most fields; all of it static but the lists that a row may
 * enlarge. */
struct sample {
    request_t request;
    PB(Message) message;
    PB(MailingSettings) settings;
    PB(Mailbox) from, to[3];
    PB(Mailbox) *to_list[2000];
    PB(Attachment) attachment;
    PB(Attachment) *attachment_list[1];
    PB(Header) header;
    PB(Header) *header_list[40];
    PB(Label) label;
    PB(Label) *label_list[40];
    PB(ListUnsubscribe) unsubscribe;
    char *uris[5];
    char *big;
};

static void sample_lists(struct sample *s)
{
    for (size_t i = 0; i < 2000; i++) {
        s->to_list[i] = &s->to[i < 3 ? i : 0];
    }
    for (size_t i = 0; i < 40; i++) {
        s->header_list[i] = &s->header;
        s->label_list[i] = &s->label;
    }
    for (size_t i = 0; i < 5; i++) {
        s->uris[i] = text("https://example.com/u?id=1");
    }
    s->attachment_list[0] = &s->attachment;
    s->message.n_to = 3;
    s->message.to = s->to_list;
    s->message.n_attachments = 1;
    s->message.attachments = s->attachment_list;
    s->message.n_headers = 1;
    s->message.headers = s->header_list;
    s->request.n_labels = 1;
    s->request.labels = s->label_list;
    s->unsubscribe.n_uris = 1;
    s->unsubscribe.uris = s->uris;
}

static void sample_init(struct sample *s)
{
    static uint8_t content[] = {0, 1, 2, 255};
    memset(s, 0, sizeof *s);
    s->request = (request_t)PB_INIT(NOTIFICATION_REQUEST);
    s->message = (PB(Message))PB_INIT(MESSAGE);
    s->settings = (PB(MailingSettings))PB_INIT(MAILING_SETTINGS);
    s->from = (PB(Mailbox))PB_INIT(MAILBOX);
    s->attachment = (PB(Attachment))PB_INIT(ATTACHMENT);
    s->header = (PB(Header))PB_INIT(HEADER);
    s->label = (PB(Label))PB_INIT(LABEL);
    s->unsubscribe = (PB(ListUnsubscribe))PB_INIT(LIST_UNSUBSCRIBE);
    for (size_t i = 0; i < 3; i++) {
        s->to[i] = (PB(Mailbox))PB_INIT(MAILBOX);
        s->to[i].name = text("J\xc3\xbcrgen");
        s->to[i].address = text("juergen@example.com");
    }
    s->from.address = text("tpn@example.com");
    s->attachment.file_name = text("report.pdf");
    s->attachment.content_type = text("application/pdf");
    s->attachment.content_id = text("logo@trackpro");
    s->attachment.content.len = sizeof content;
    s->attachment.content.data = content;
    s->header.name = text("X-Asset");
    s->header.value = text("17");
    s->label.name = text("due_date");
    s->label.value = text("2026-01-31");
    s->settings.smtp_server = text("mail.example.com");
    s->settings.smtp_port = 587;
    s->message.from = &s->from;
    s->message.subject = text("Calibration due");
    s->message.text = text("First line\r\n\tsecond line \xe2\x82\xac\r\n");
    s->message.list_unsubscribe = &s->unsubscribe;
    s->request.id = text("01890a5d-ac96-774b-bcce-b302099a8057");
    s->request.message = &s->message;
    s->request.settings = &s->settings;
    s->request.traceparent = text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    sample_lists(s);
}

/* The packed request; the caller frees it. */
static uint8_t *sample_pack(const struct sample *s, size_t *len)
{
    *len = protobuf_c_message_get_packed_size(&s->request.base);
    uint8_t *bytes = mem_zero(*len + 1, 1);
    assert_int_equal(protobuf_c_message_pack(&s->request.base, bytes), *len);
    return bytes;
}

static char *big(struct sample *s, size_t len)
{
    s->big = mem_zero(len + 1, 1);
    memset(s->big, 'x', len);
    return s->big;
}

typedef void change_fn(struct sample *s);
#define CHANGE(name, body)                                                                     \
    static void name(struct sample *s)                                                         \
    {                                                                                          \
        body;                                                                                  \
    }

CHANGE(nothing, (void)s)
CHANGE(no_id, s->request.id = text(""))
CHANGE(id_128, s->request.id = big(s, 128))
CHANGE(id_129, s->request.id = big(s, 129))
CHANGE(id_blank, s->request.id = text("a b"))
CHANGE(id_slash, s->request.id = text("../a"))
CHANGE(id_utf8, s->request.id = text("\xc3\xbc"))
CHANGE(id_all, s->request.id = text("aZ09._:@+=-"))
CHANGE(no_message, s->request.message = NULL)
CHANGE(profile_star, s->request.profile = text("a*"))
CHANGE(kind_unknown, s->request.kind = (int)44)
CHANGE(kind_negative, s->request.kind = (int)-1)
CHANGE(time_negative, s->request.not_before_ms = -1)
CHANGE(time_year_9999, s->request.expire_at_ms = 253402300799999)
CHANGE(time_late, s->request.expire_at_ms = 253402300800000)
CHANGE(key_line, s->request.supersede_key = text("a\nb"))
CHANGE(trace_long, s->request.traceparent = big(s, 56))
CHANGE(labels_32, s->request.n_labels = 32)
CHANGE(labels_33, s->request.n_labels = 33)
CHANGE(label_no_name, s->label.name = text(""))
CHANGE(label_value_crlf, s->label.value = text("a\r\n"))
CHANGE(no_from, s->message.from = NULL)
CHANGE(from_no_address, s->from.address = text(""))
CHANGE(from_crlf, s->from.address = text("a@b\r\nRCPT TO:<c@d>"))
CHANGE(to_crlf, s->to[2].address = text("a@b\r\n"))
CHANGE(to_long, s->to[2].address = big(s, 255))
CHANGE(to_254, s->to[2].address = big(s, 254))
CHANGE(to_name_lf, s->to[1].name = text("a\nBcc: x@y"))
CHANGE(to_name_c1, s->to[1].name = text("a\xc2\x85"))
CHANGE(to_name_cut, s->to[1].name = text("a\xe2\x82"))
CHANGE(to_name_surrogate, s->to[1].name = text("\xed\xa0\x80"))
CHANGE(to_1000, s->message.n_to = 1000)
CHANGE(to_1001, s->message.n_to = 1001)
CHANGE(subject_tab, s->message.subject = text("a\tb"))
CHANGE(subject_1001, s->message.subject = big(s, 1001))
CHANGE(subject_late_cr, s->message.subject = big(s, 200); s->big[150] = '\r')
CHANGE(subject_late_utf8, s->message.subject = big(s, 200); s->big[63] = '\xc3';
       s->big[64] = '\xa4')
CHANGE(text_escape, s->message.text = text("a\x1b[31m"))
CHANGE(text_late_bs, s->message.text = big(s, 4096); s->big[4000] = '\b')
CHANGE(text_bad, s->message.text = big(s, 4096); s->big[4095] = '\x80')
CHANGE(text_8m, s->message.text = big(s, 8U << 20))
CHANGE(text_more, s->message.text = big(s, (8U << 20) + 1))
CHANGE(importance_unknown, s->message.importance = (int)9)
CHANGE(type_parameter, s->attachment.content_type = text("text/plain; charset=utf-8"))
CHANGE(type_half, s->attachment.content_type = text("text/"))
CHANGE(type_crlf, s->attachment.content_type = text("text/plain\r\nX: y"))
CHANGE(file_name_nl, s->attachment.file_name = text("a\n.pdf"))
CHANGE(cid_angle, s->attachment.content_id = text("<a@b>"))
CHANGE(headers_33, s->message.n_headers = 33)
CHANGE(header_no_name, s->header.name = text(""))
CHANGE(header_colon, s->header.name = text("X:Y"))
CHANGE(header_blank, s->header.name = text("X Y"))
CHANGE(header_crlf, s->header.value = text("a\r\nBcc: x@y"))
CHANGE(uri_none, s->unsubscribe.n_uris = 0)
CHANGE(uri_5, s->unsubscribe.n_uris = 5)
CHANGE(uri_http, s->uris[0] = text("http://example.com"))
CHANGE(uri_angle, s->uris[0] = text("mailto:a@b>,<x"))
CHANGE(uri_mailto, s->uris[0] = text("mailto:a@b?subject=stop"))
CHANGE(port_65536, s->settings.smtp_port = 65536)
CHANGE(port_0, s->settings.smtp_port = 0)
CHANGE(timeout_99, s->settings.reply_timeout_ms = 99)
CHANGE(server_nl, s->settings.smtp_server = text("a\n"))
CHANGE(tls_unknown, s->settings.tls_mode = (int)4)

struct value_row {
    change_fn *change;
    const char *name;
    enum err wanted;
    const char *field;
    const char *rule;
};

#define GOOD(change)                                                                           \
    {                                                                                          \
        change, #change, ERR_OK, "", ""                                                        \
    }
#define BAD(change, field, rule)                                                               \
    {                                                                                          \
        change, #change, ERR_INVALID, field, rule                                              \
    }
#define LIMIT(change, field, rule)                                                             \
    {                                                                                          \
        change, #change, ERR_LIMIT, field, rule                                                \
    }
#define NO_CONTROL "must not contain CR, LF or other control characters"
#define ID_RULE "may only contain letters, digits and . _ : @ + = -"

static const struct value_row value_rows[] = {
    GOOD(nothing),
    BAD(no_id, "id", "required"),
    GOOD(id_128),
    LIMIT(id_129, "id", "at most 128 bytes"),
    BAD(id_blank, "id", ID_RULE),
    BAD(id_slash, "id", ID_RULE),
    BAD(id_utf8, "id", ID_RULE),
    GOOD(id_all),
    BAD(no_message, "message", "required"),
    BAD(profile_star, "profile", ID_RULE),
    BAD(kind_unknown, "kind", "has no value 44"),
    BAD(kind_negative, "kind", "has no value 18446744073709551615"),
    BAD(time_negative, "not_before_ms", "must be from 0 to 253402300799999"),
    GOOD(time_year_9999),
    BAD(time_late, "expire_at_ms", "must be from 0 to 253402300799999"),
    BAD(key_line, "supersede_key", NO_CONTROL),
    LIMIT(trace_long, "traceparent", "at most 55 bytes"),
    GOOD(labels_32),
    LIMIT(labels_33, "labels", "at most 32 entries"),
    BAD(label_no_name, "labels[0].name", "required"),
    BAD(label_value_crlf, "labels[0].value", NO_CONTROL),
    BAD(no_from, "message.from", "required"),
    BAD(from_no_address, "message.from.address", "required"),
    BAD(from_crlf, "message.from.address", NO_CONTROL),
    BAD(to_crlf, "message.to[2].address", NO_CONTROL),
    LIMIT(to_long, "message.to[2].address", "at most 254 bytes"),
    GOOD(to_254),
    BAD(to_name_lf, "message.to[1].name", NO_CONTROL),
    BAD(to_name_c1, "message.to[1].name", NO_CONTROL),
    BAD(to_name_cut, "message.to[1].name", "must be valid UTF-8"),
    BAD(to_name_surrogate, "message.to[1].name", "must be valid UTF-8"),
    GOOD(to_1000),
    LIMIT(to_1001, "message.to", "at most 1000 entries"),
    BAD(subject_tab, "message.subject", NO_CONTROL),
    LIMIT(subject_1001, "message.subject", "at most 1000 bytes"),
    BAD(subject_late_cr, "message.subject", NO_CONTROL),
    GOOD(subject_late_utf8),
    BAD(text_escape, "message.text",
        "must not contain control characters other than tab, CR and LF"),
    BAD(text_late_bs, "message.text",
        "must not contain control characters other than tab, CR and LF"),
    BAD(text_bad, "message.text", "must be valid UTF-8"),
    GOOD(text_8m),
    LIMIT(text_more, "message.text", "at most 8388608 bytes"),
    BAD(importance_unknown, "message.importance", "has no value 9"),
    BAD(type_parameter, "message.attachments[0].content_type",
        "must be type/subtype without parameters"),
    BAD(type_half, "message.attachments[0].content_type",
        "must be type/subtype without parameters"),
    BAD(type_crlf, "message.attachments[0].content_type",
        "must be type/subtype without parameters"),
    BAD(file_name_nl, "message.attachments[0].file_name", NO_CONTROL),
    BAD(cid_angle, "message.attachments[0].content_id",
        "may only contain visible ASCII without < > ( ) , quotes and backslash"),
    LIMIT(headers_33, "message.headers", "at most 32 entries"),
    BAD(header_no_name, "message.headers[0].name", "required"),
    BAD(header_colon, "message.headers[0].name", "may only contain letters, digits, - and _"),
    BAD(header_blank, "message.headers[0].name", "may only contain letters, digits, - and _"),
    BAD(header_crlf, "message.headers[0].value", NO_CONTROL),
    BAD(uri_none, "message.list_unsubscribe.uris", "required"),
    LIMIT(uri_5, "message.list_unsubscribe.uris", "at most 4 entries"),
    BAD(uri_http, "message.list_unsubscribe.uris[0]",
        "must be a mailto: or https: URI of visible ASCII without < > quotes and backslash"),
    BAD(uri_angle, "message.list_unsubscribe.uris[0]",
        "must be a mailto: or https: URI of visible ASCII without < > quotes and backslash"),
    GOOD(uri_mailto),
    BAD(port_65536, "settings.smtp_port", "must be from 1 to 65535"),
    GOOD(port_0),
    BAD(timeout_99, "settings.reply_timeout_ms", "must be from 100 to 3600000"),
    BAD(server_nl, "settings.smtp_server", NO_CONTROL),
    BAD(tls_unknown, "settings.tls_mode", "has no value 4"),
};

static void a_wrong_value_is_told_with_path_and_rule(void **state)
{
    (void)state;
    struct sample *s = mem_zero(1, sizeof *s);
    for (size_t i = 0; i < sizeof value_rows / sizeof value_rows[0]; i++) {
        const struct value_row *row = &value_rows[i];
        sample_init(s);
        row->change(s);
        size_t len;
        uint8_t *bytes = sample_pack(s, &len);
        struct wire_fault fault = {"", ""};
        enum err got = check_bytes(PB_DESCRIPTOR(notification_request), bytes, len, &fault);
        if (got != row->wanted || strcmp(fault.field, row->field) != 0 ||
            strcmp(fault.rule, row->rule) != 0) {
            fail_msg("%s: got %s, \"%s\": \"%s\"", row->name, err_name(got), fault.field,
                     fault.rule);
        }
        free(bytes);
        free(s->big);
    }
    free(s);
}

/* ---- wrong bytes ---- */

struct bytes_row {
    const char *name;
    const ProtobufCMessageDescriptor *type;
    const char *bytes;
    size_t len;
    enum err wanted;
    const char *field;
    const char *rule;
};

#define BYTES(name, lower, bytes, wanted, field, rule)                                         \
    {                                                                                          \
        name, PB_DESCRIPTOR(lower), (bytes), sizeof(bytes) - 1, wanted, field, rule            \
    }
#define TORN "is cut short or malformed"

static const struct bytes_row bytes_rows[] = {
    BYTES("nothing at all", beat, "", ERR_OK, "", ""),
    BYTES("nothing, with a required field", query, "", ERR_INVALID, "ids", "required"),
    BYTES("varint of ten bytes", beat, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", ERR_OK,
          "", ""),
    BYTES("varint past 64 bits", beat, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
          ERR_PROTO, "sequence", TORN),
    BYTES("varint that does not end", beat, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x80\x01",
          ERR_PROTO, "sequence", TORN),
    BYTES("cut in a varint", beat, "\x08\x80", ERR_PROTO, "sequence", TORN),
    BYTES("a tag and no value", beat, "\x08", ERR_PROTO, "sequence", TORN),
    BYTES("field number 0", beat, "\x00\x01", ERR_PROTO, "", TORN),
    BYTES("tag past 32 bits", beat, "\x88\x80\x80\x80\x10\x01", ERR_PROTO, "", TORN),
    BYTES("group", beat, "\x13\x14", ERR_PROTO, "", TORN),
    BYTES("wire type 7", beat, "\x0f", ERR_PROTO, "sequence", TORN),
    BYTES("text where a number should be", beat, "\x0a\x01x", ERR_PROTO, "sequence",
          "has the wrong wire type"),
    BYTES("fixed32 where a number should be", beat, "\x0d\x01\x02\x03\x04", ERR_PROTO,
          "sequence", "has the wrong wire type"),
    BYTES("number where a text should be", bye, "\x08\x01", ERR_PROTO, "reason",
          "has the wrong wire type"),
    BYTES("length past the end", bye, "\x0a\x02x", ERR_PROTO, "reason", TORN),
    BYTES("huge length", bye, "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", ERR_PROTO,
          "reason", TORN),
    BYTES("length past the end of the inner message", permit_ask, "\x0a\x02\x1a\x01\x08\x01",
          ERR_PROTO, "parts[0].recipients", TORN),
    BYTES("single field twice", beat, "\x08\x01\x08\x02", ERR_PROTO, "sequence",
          "is given twice"),
    BYTES("single message twice", profile, "\x0a\x01p\x10\x01\x1a\x00\x1a\x00", ERR_PROTO,
          "settings", "is given twice"),
    BYTES("fields in another order", profile, "\x1a\x00\x10\x01\x0a\x01p", ERR_OK, "", ""),
    BYTES("required number 0", profile, "\x0a\x01p\x10\x00\x1a\x00", ERR_INVALID, "version",
          "required"),
    BYTES("packed numbers", part, "\x08\x01\x1a\x03\x00\x80\x01", ERR_OK, "", ""),
    BYTES("numbers one by one", part, "\x08\x01\x18\x00\x18\x80\x01", ERR_OK, "", ""),
    BYTES("packed number cut", part, "\x08\x01\x1a\x02\x00\x80", ERR_PROTO, "recipients[0]",
          TORN),
    BYTES("packed number past 32 bits", part, "\x08\x01\x1a\x06\x07\x80\x80\x80\x80\x10",
          ERR_INVALID, "recipients[1]", "must be from 0 to 4294967295"),
    BYTES("number past 32 bits", part, "\x08\x01\x10\x80\x80\x80\x80\x10", ERR_INVALID, "part",
          "must be from 0 to 4294967295"),
    BYTES("packed enum unknown", queue_filter, "\x0a\x02\x01\x63", ERR_INVALID, "states[1]",
          "has no value 99"),
    BYTES("unknown fields of all types", beat, "\x10\x01\x19xxxxxxxx\x22\x01x\x2dxxxx\x08\x05",
          ERR_OK, "", ""),
    BYTES("unknown field cut", beat, "\x22\x02x", ERR_PROTO, "", TORN),
    BYTES("fields for a message without any", stats_ask, "\x08\x01", ERR_OK, "", ""),
    BYTES("NUL in a text", bye, "\x0a\x01\x00", ERR_INVALID, "reason", NO_CONTROL),
};

static void wrong_bytes_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bytes_rows / sizeof bytes_rows[0]; i++) {
        const struct bytes_row *row = &bytes_rows[i];
        uint8_t *exact =
            mem_copy(row->bytes, row->len); /* so that a read past the end is seen */
        struct wire_fault fault = {"", ""};
        enum err got = check_bytes(row->type, exact, row->len, &fault);
        if (got != row->wanted || strcmp(fault.field, row->field) != 0 ||
            strcmp(fault.rule, row->rule) != 0) {
            fail_msg("%s: got %s, \"%s\": \"%s\"", row->name, err_name(got), fault.field,
                     fault.rule);
        }
        free(exact);
    }
}

static void lists_have_a_maximum_packed_or_not(void **state)
{
    (void)state;
    enum { MAX = 3000 };
    static uint8_t packed[2 + 3 + MAX + 1] = {0x08, 1, 0x1a, 0xb8,
                                              0x17}; /* 0x1a, length 3000 */
    struct wire_fault fault = {"", ""};
    assert_int_equal(check_bytes(PB_DESCRIPTOR(part), packed, 5 + MAX, &fault), ERR_OK);
    packed[3] = 0xb9;
    assert_int_equal(check_bytes(PB_DESCRIPTOR(part), packed, 5 + MAX + 1, &fault), ERR_LIMIT);
    assert_string_equal(fault.field, "recipients");
    assert_string_equal(fault.rule, "at most 3000 entries");
    static uint8_t single[2 + 2 * (MAX + 1)] = {0x08, 1};
    for (size_t i = 2; i < sizeof single; i += 2) {
        single[i] = 0x18;
    }
    assert_int_equal(check_bytes(PB_DESCRIPTOR(part), single, 2 + 2 * (size_t)MAX, &fault),
                     ERR_OK);
    assert_int_equal(check_bytes(PB_DESCRIPTOR(part), single, sizeof single, &fault),
                     ERR_LIMIT);
}

static void unknown_fields_have_a_maximum(void **state)
{
    (void)state;
    uint8_t bytes[2 * (CHECK_MAX_UNKNOWN + 1)];
    for (size_t i = 0; i < sizeof bytes; i += 2) {
        bytes[i] = 0x50; /* field 10 */
        bytes[i + 1] = 1;
    }
    struct wire_fault fault = {"", ""};
    assert_int_equal(check_bytes(PB_DESCRIPTOR(beat), bytes, sizeof bytes - 2, &fault), ERR_OK);
    assert_int_equal(check_bytes(PB_DESCRIPTOR(beat), bytes, sizeof bytes, &fault), ERR_LIMIT);
    assert_string_equal(fault.rule, "at most 64 unknown fields");
}

/* What the check lets pass, protobuf-c can unpack; what it refuses, it says why. */
static void check_and_unpack(const uint8_t *bytes, size_t len)
{
    struct wire_fault fault = {"", ""};
    enum err got = check_bytes(PB_DESCRIPTOR(notification_request), bytes, len, &fault);
    if (got != ERR_OK) {
        assert_true(fault.rule[0] != '\0');
        return;
    }
    request_t *request = PB_UNPACK(notification_request, len, bytes);
    assert_non_null(request);
    protobuf_c_message_free_unpacked(&request->base, NULL);
}

static void a_cut_request_is_refused(void **state)
{
    (void)state;
    struct sample *s = mem_zero(1, sizeof *s);
    sample_init(s);
    size_t len;
    uint8_t *bytes = sample_pack(s, &len);
    size_t refused = 0;
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *exact = mem_copy(bytes, cut);
        struct wire_fault fault = {"", ""};
        enum err got = check_bytes(PB_DESCRIPTOR(notification_request), exact, cut, &fault);
        assert_true(got == ERR_OK || got == ERR_PROTO || got == ERR_INVALID);
        refused += got == ERR_PROTO;
        check_and_unpack(exact, cut);
        free(exact);
    }
    assert_true(refused > len / 2); /* the rest is cut between two fields */
    free(bytes);
    free(s);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void a_damaged_request_is_refused_or_can_be_unpacked(void **state)
{
    (void)state;
    struct sample *s = mem_zero(1, sizeof *s);
    sample_init(s);
    size_t len;
    uint8_t *bytes = sample_pack(s, &len);
    uint64_t seed = 0x9e3779b97f4a7c15;
    for (int round = 0; round < 20000; round++) {
        uint8_t *damaged = mem_copy(bytes, len);
        for (uint64_t hits = next_random(&seed) % 4 + 1; hits > 0; hits--) {
            damaged[next_random(&seed) % len] = (uint8_t)next_random(&seed);
        }
        check_and_unpack(damaged, len);
        free(damaged);
    }
    free(bytes);
    free(s);
}

/* ---- check_find_text ---- */

struct find_row {
    const char *name;
    const char *bytes;
    size_t len;
    size_t room;
    const char *wanted;
};

#define FIND(name, bytes, room, wanted)                                                        \
    {                                                                                          \
        name, bytes, sizeof(bytes) - 1, room, wanted                                           \
    }

static const struct find_row find_rows[] = {
    FIND("first field",
         "\x0a\x03"
         "abc",
         16, "abc"),
    FIND("behind others",
         "\x10\x01\x1a\x02xx\x0a\x03"
         "abc",
         16, "abc"),
    FIND("before torn bytes",
         "\x0a\x03"
         "abc\xff\xff",
         16, "abc"),
    FIND("behind torn bytes",
         "\x1a\x7fx\x0a\x03"
         "abc",
         16, ""),
    FIND("just fits",
         "\x0a\x03"
         "abc",
         4, "abc"),
    FIND("does not fit",
         "\x0a\x03"
         "abc",
         3, ""),
    FIND("no text",
         "\x0a\x02"
         "a\n",
         16, ""),
    FIND("no UTF-8",
         "\x0a\x02"
         "a\xff",
         16, ""),
    FIND("a number", "\x08\x05", 16, ""),
    FIND("missing", "\x10\x01", 16, ""),
    FIND("empty", "", 16, ""),
};

static void the_id_is_found_in_whatever_came(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof find_rows / sizeof find_rows[0]; i++) {
        char out[16] = "untouched";
        uint8_t *exact = mem_copy(find_rows[i].bytes, find_rows[i].len);
        check_find_text(exact, find_rows[i].len, 1, out, find_rows[i].room);
        if (strcmp(out, find_rows[i].wanted) != 0) {
            fail_msg("%s: got \"%s\"", find_rows[i].name, out);
        }
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_has_its_rule_in_its_place),
        cmocka_unit_test(every_rule_fits_the_type_of_its_field),
        cmocka_unit_test(every_message_of_the_proto_files_has_rules),
        cmocka_unit_test(no_message_nests_deeper_than_the_limit),
        cmocka_unit_test(the_readme_tells_the_same_rules),
        cmocka_unit_test(a_wrong_value_is_told_with_path_and_rule),
        cmocka_unit_test(wrong_bytes_are_refused),
        cmocka_unit_test(lists_have_a_maximum_packed_or_not),
        cmocka_unit_test(unknown_fields_have_a_maximum),
        cmocka_unit_test(a_cut_request_is_refused),
        cmocka_unit_test(a_damaged_request_is_refused_or_can_be_unpacked),
        cmocka_unit_test(the_id_is_found_in_whatever_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
