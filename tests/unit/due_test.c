/* The due list: dates, columns, TrackPro's rule, bad rows, and the mail that is made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "alert_mail.h"
#include "buf.h"
#include "due.h"
#include "path.h"

static due_day day(const char *text)
{
    due_day result = 0;
    assert_int_equal(due_parse_day(text, DUE_ORDER_ISO, &result, NULL), ERR_OK);
    return result;
}

/* ---- dates ---- */

struct date_row {
    const char *text;
    enum due_date_order order;
    const char *wanted; /* null = refused */
};

static const struct date_row dates[] = {
    {"2026-11-23", DUE_ORDER_AUTO, "2026-11-23"},
    {"2026/1/2", DUE_ORDER_MDY, "2026-01-02"},
    {"2026-11-23T08:15:00Z", DUE_ORDER_AUTO, "2026-11-23"},
    {"13.05.2026 00:00:00", DUE_ORDER_AUTO, "2026-05-13"},
    {"1.2.2026", DUE_ORDER_AUTO, "2026-02-01"},
    {"1.2.2026", DUE_ORDER_MDY, "2026-02-01"},
    {"5/13/2026 12:00:00 AM", DUE_ORDER_AUTO, "2026-05-13"},
    {"13/5/2026", DUE_ORDER_AUTO, "2026-05-13"},
    {"3/4/2026", DUE_ORDER_AUTO, NULL},
    {"4/4/2026", DUE_ORDER_AUTO, "2026-04-04"},
    {"3/4/2026", DUE_ORDER_DMY, "2026-04-03"},
    {"3/4/2026", DUE_ORDER_MDY, "2026-03-04"},
    {"13/4/2026", DUE_ORDER_MDY, NULL},
    {"3/4/2026", DUE_ORDER_ISO, NULL},
    {"29.02.2024", DUE_ORDER_AUTO, "2024-02-29"},
    {"29.02.2026", DUE_ORDER_AUTO, NULL},
    {"29.02.2100", DUE_ORDER_AUTO, NULL},
    {"31.04.2026", DUE_ORDER_AUTO, NULL},
    {"0.1.2026", DUE_ORDER_AUTO, NULL},
    {"01.02.26", DUE_ORDER_AUTO, NULL},
    {"1899-12-30", DUE_ORDER_AUTO, NULL},
    {"2026-11", DUE_ORDER_AUTO, NULL},
    {"2026-11.23", DUE_ORDER_AUTO, NULL},
    {"2026-11-23x", DUE_ORDER_AUTO, NULL},
    {"2026-11-23 noon", DUE_ORDER_AUTO, NULL},
    {"20261-11-23", DUE_ORDER_AUTO, NULL},
    {"soon", DUE_ORDER_AUTO, NULL},
    {"", DUE_ORDER_AUTO, NULL},
};

static void test_dates(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof dates / sizeof dates[0]; i++) {
        char text[DUE_DAY_BYTES];
        struct err_text why = {0};
        due_day got = 0;
        enum err err = due_parse_day(dates[i].text, dates[i].order, &got, &why);
        const char *shown = err == ERR_OK ? due_day_text(got, text) : NULL;
        bool same = (shown == NULL) == (dates[i].wanted == NULL) &&
                    (shown == NULL || strcmp(shown, dates[i].wanted) == 0);
        if (!same || (err != ERR_OK && why.text[0] == '\0')) {
            fail_msg("\"%s\": got %s %s", dates[i].text, shown != NULL ? shown : "refused",
                     why.text);
        }
    }
    assert_int_equal(day("1970-01-01"), 0);
    assert_int_equal(day("2000-03-01"), 11017);
}

/* Each day of four centuries goes there and back, one after the other. */
static void test_days_are_continuous(void **state)
{
    (void)state;
    for (due_day at = day("1999-12-31"); at < day("2401-01-01"); at++) {
        char text[DUE_DAY_BYTES];
        assert_int_equal(day(due_day_text(at, text)), at);
    }
}

/* ---- the rule ---- */

struct rule_row {
    const char *name;
    const char *status, *due, *done;
    unsigned early;
    bool counts;
};

static const struct rule_row rule_rows[] = {
    {"past due", "Active", "2026-11-22", "", 0, true},
    {"due today is not past due", "Active", "2026-11-23", "", 0, false},
    {"due today, within early warning", "Active", "2026-11-23", "", 1, true},
    {"last day of early warning", "Active", "2026-11-30", "", 7, true},
    {"one day beyond", "Active", "2026-12-01", "", 7, false},
    {"case of status", "ACTIVE", "2026-11-22", "", 0, true},
    {"inactive", "Inactive", "2026-11-22", "", 0, false},
    {"no status", "", "2026-11-22", "", 0, false},
    {"done", "Active", "2026-11-22", "2026-11-21", 0, false},
    {"no due date", "Active", "", "", 30, false},
};

static void test_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rule_rows / sizeof rule_rows[0]; i++) {
        const struct rule_row *row = &rule_rows[i];
        struct due_rule rule = {.today = day("2026-11-23"), .early_warning_days = row->early};
        struct due_list list;
        struct buf in;
        buf_init(&in, 4096);
        buf_add_format(
            &in,
            "Asset ID;Status;Due Date;Date Done;Custodian Email\nA;%s;%s;%s;a@example.org\n",
            row->status, row->due, row->done);
        assert_int_equal(due_read(in.data, in.len, &rule, &list, NULL), ERR_OK);
        if (list.items != (row->counts ? 1U : 0U) || list.bad_rows != 0) {
            fail_msg("%s: %zu items, bad: %s", row->name, list.items, buf_text(&list.bad));
        }
        due_free(&list);
        buf_fini(&in);
    }
}

/* ---- files ---- */

static enum err read_file(const char *name, struct due_list *list, struct err_text *why)
{
    struct due_rule rule = {.today = day("2026-11-23")};
    struct buf file;
    char *path = path_join(TPN_SOURCE_DIR, name);
    buf_init(&file, 1 << 20);
    assert_int_equal(path_read(path, &file, NULL), ERR_OK);
    enum err err = due_read(buf_text(&file), file.len, &rule, list, why);
    buf_fini(&file);
    free(path);
    return err;
}

struct file_row {
    const char *file;
    size_t items, custodians, bad_rows;
    const char *name;        /* of the first custodian */
    const char *description; /* of its first item */
};

static const struct file_row files[] = {
    {"tests/data/due-comma.csv", 2, 1, 0, "Ana Lima", "Wrench, large"},
    {"tests/data/due-bom.csv", 1, 1, 0, "Γιώργος", ""},
    {"tests/data/due-windows-1252.csv", 1, 1, 0, "Jürgen Größe", "Prüfgerät – groß"},
    {"tests/data/due-quoted.csv", 2, 1, 0, "", "A set of three \"gauge\" blocks, boxed"},
    {"tests/data/due-bad-rows.csv", 2, 1, 8, "", "good"},
};

static void test_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct due_list list;
        struct err_text why = {0};
        if (read_file(files[i].file, &list, &why) != ERR_OK) {
            fail_msg("%s: %s", files[i].file, why.text);
        }
        assert_int_equal(list.items, files[i].items);
        assert_int_equal(list.count, files[i].custodians);
        assert_int_equal(list.bad_rows, files[i].bad_rows);
        assert_string_equal(list.custodians[0].name, files[i].name);
        assert_string_equal(list.custodians[0].items[0].description, files[i].description);
        due_free(&list);
    }
}

static void test_bad_rows_have_line_and_reason(void **state)
{
    struct due_list list;
    (void)state;
    assert_int_equal(read_file("tests/data/due-bad-rows.csv", &list, NULL), ERR_OK);
    const char *bad = buf_text(&list.bad);
    assert_non_null(strstr(bad, "line 3: Due Date: \"31.02.2026\": there is no such day\n"));
    assert_non_null(strstr(bad, "line 4: Custodian Email: is empty"));
    assert_non_null(strstr(bad, "line 8: Due Date: \"03/04/2026\" can be read in two ways"));
    assert_non_null(strstr(bad, "line 10: text behind a closing quote"));
    due_free(&list);
}

static void test_sample_is_sound(void **state)
{
    struct due_list list;
    (void)state;
    assert_int_equal(read_file("deploy/samples/due.csv", &list, NULL), ERR_OK);
    assert_int_equal(list.bad_rows, 0);
    assert_true(list.rows >= 40);
    assert_true(list.count >= 12);
    assert_true(list.not_due > 0);
    due_free(&list);
}

struct header_row {
    const char *name;
    const char *header;
    const char *wanted; /* part of the reason; null = fine */
};

static const struct header_row headers[] = {
    {"any order, case and punctuation", "E-MAIL,due_date,[Asset No.],STATUS,\"Date Done\"",
     NULL},
    {"the better name wins", "ID,Asset ID,Status,Due Date,Date Done,Email", NULL},
    {"capital of Latin-1", "Asset,Status,FÄLLIG AM,Erledigt,Mail", NULL},
    {"no status", "Asset ID,Due Date,Date Done,Email", "no column for Status"},
    {"no date done", "Asset ID,Status,Due Date,Email", "no column for Date Done"},
    {"the same twice", "Asset ID,Status,Due Date,Due-Date,Date Done,Email",
     "two columns for Due Date"},
};

static void test_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        struct due_rule rule = {.today = 0};
        struct due_list list;
        struct err_text why = {0};
        enum err err =
            due_read(headers[i].header, strlen(headers[i].header), &rule, &list, &why);
        bool fine = headers[i].wanted == NULL ? err == ERR_OK
                                              : strstr(why.text, headers[i].wanted) != NULL;
        if (!fine) {
            fail_msg("%s: %s", headers[i].name, why.text);
        }
        due_free(&list);
    }
}

/* ---- the mail ---- */

static const char head[] =
    "Asset ID;Description;Location;Status;Due Date;Date Done;Custodian;Custodian Email\n";
static const char row_a[] =
    "A-1;<b>Scale</b> & \"co\";Hall 1;Active;2026-11-20;;Ana;Ana@example.org\n";
static const char row_b[] = "A-2;計測器;Hall 2;Active;2026-11-25;;Ana;ana@Example.org\n";
static const char row_c[] = "A-3;Older;Hall 2;Active;2026-10-01;;Ana;ana@example.org\n";

static void read_rows(struct due_list *list, const char *one, const char *two,
                      const char *three)
{
    struct due_rule rule = {.today = day("2026-11-23"), .early_warning_days = 7};
    struct buf in;
    buf_init(&in, 4096);
    buf_add_format(&in, "%s%s%s%s", head, one, two, three);
    assert_int_equal(due_read(in.data, in.len, &rule, list, NULL), ERR_OK);
    buf_fini(&in);
    assert_int_equal(list->count, 1);
}

static void test_id_and_text_do_not_depend_on_row_order(void **state)
{
    struct due_list list;
    struct due_list turned;
    char id[ALERT_ID_BYTES];
    char other[ALERT_ID_BYTES];
    struct buf text;
    struct buf same;
    (void)state;
    read_rows(&list, row_a, row_b, row_c);
    read_rows(&turned, row_c, row_a, row_b);
    buf_init(&text, 65536);
    buf_init(&same, 65536);
    alert_mail_html(&text, &list.custodians[0], day("2026-11-23"));
    alert_mail_html(&same, &turned.custodians[0], day("2026-11-23"));
    assert_string_equal(buf_text(&text), buf_text(&same));
    alert_mail_id(&list.custodians[0], day("2026-11-23"), id);
    assert_string_equal(id, alert_mail_id(&turned.custodians[0], day("2026-11-23"), other));
    assert_string_not_equal(id, alert_mail_id(&list.custodians[0], day("2026-11-24"), other));
    list.custodians[0].count--;
    assert_string_not_equal(id, alert_mail_id(&list.custodians[0], day("2026-11-23"), other));
    list.custodians[0].count++;
    buf_fini(&text);
    buf_fini(&same);
    due_free(&list);
    due_free(&turned);
}

static void test_mail(void **state)
{
    static const char wanted[] =
        "Hello Ana,\n\n"
        "3 items in your care need calibration as of 2026-11-23: 2 past due, 1 due soon.\n\n"
        "Asset ID  Description          Location  Due date    Days overdue\n"
        "--------  -------------------  --------  ----------  ------------\n"
        "A-3       Older                Hall 2    2026-10-01  53\n"
        "A-1       <b>Scale</b> & \"co\"  Hall 1    2026-11-20  3\n"
        "A-2       計測器               Hall 2    2026-11-25  due in 2\n\n"
        "Please arrange the calibration, or tell the calibration office when an entry is "
        "wrong.\n";
    struct due_list list;
    struct buf out;
    (void)state;
    read_rows(&list, row_a, row_b, row_c);
    buf_init(&out, 65536);
    alert_mail_text(&out, &list.custodians[0], day("2026-11-23"));
    assert_string_equal(buf_text(&out), wanted);
    buf_reset(&out);
    alert_mail_html(&out, &list.custodians[0], day("2026-11-23"));
    assert_null(strstr(buf_text(&out), "<b>"));
    assert_non_null(strstr(buf_text(&out), "&#60;b&#62;Scale&#60;/b&#62; &#38; &#34;co&#34;"));
    buf_reset(&out);
    alert_mail_subject(&out, &list.custodians[0], NULL);
    assert_string_equal(buf_text(&out), "Calibration due: 3 items (2 past due)");
    buf_reset(&out);
    alert_mail_subject(&out, &list.custodians[0], "{past_due} of {items} {x}");
    assert_string_equal(buf_text(&out), "2 of 3 {x}");
    buf_fini(&out);
    due_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_days_are_continuous),
        cmocka_unit_test(test_rule),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_bad_rows_have_line_and_reason),
        cmocka_unit_test(test_sample_is_sound),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_id_and_text_do_not_depend_on_row_order),
        cmocka_unit_test(test_mail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
