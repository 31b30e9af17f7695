/* deploy/samples: every key stands there, with the default of its table, and every file is good. */
#include "access.h"
#include "broker_conf.h"
#include "mem.h"
#include "path.h"
#include "profile.h"
#include "worker_conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SAMPLES TPN_SOURCE_DIR "/deploy/samples/"
#define BLOCK "  # every_key:\n"

enum { KEY_BYTES = 128, LINE_BYTES = 512, FILE_BYTES = 65536 };

/* One "key: value  # remark". */
struct line {
    char key[KEY_BYTES]; /* with dots */
    char value[LINE_BYTES];
    char remark[LINE_BYTES];
};

static void read_file(const char *path, struct buf *out)
{
    struct err_text why = {0};
    buf_init(out, FILE_BYTES);
    if (path_read(path, out, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
}

static void copy(char *out, size_t room, const char *from, size_t len)
{
    while (len > 0 && from[len - 1] == ' ') {
        len--;
    }
    if (len >= 2 && from[0] == '"' && from[len - 1] == '"') {
        from++;
        len -= 2;
    }
    (void)snprintf(out, room, "%.*s", (int)len, from);
}

/* Read the next line that has a key; group is the key that it stands below. Null at the end. What it knows of YAML is
 * what the samples use: two levels, one line a value. */
static const char *next_line(const char *at, char group[KEY_BYTES], struct line *out)
{
    while (*at != '\0') {
        const char *end = at + strcspn(at, "\n");
        size_t indent = strspn(at, " ");
        const char *word = at + indent;
        size_t len = strcspn(word, ":# \n");
        at = *end == '\n' ? end + 1 : end;
        if (len == 0 || word[len] != ':') {
            continue;
        }
        if (indent == 0) {
            (void)snprintf(group, KEY_BYTES, "%.*s", (int)len, word);
            (void)snprintf(out->key, sizeof out->key, "%s", group);
        } else {
            (void)snprintf(out->key, sizeof out->key, "%.60s.%.*s", group, (int)len, word);
        }
        word += len + 1;
        word += strspn(word, " ");
        const char *hash = word;
        while (hash < end && !(*hash == '#' && hash[-1] == ' ')) {
            hash++;
        }
        copy(out->value, sizeof out->value, word, (size_t)(hash - word));
        copy(out->remark, sizeof out->remark, hash, (size_t)(end - hash));
        return at;
    }
    return NULL;
}

/* Does the line say the default of the row? A remark "default: …" says it instead. */
static bool says_default(const struct conf_row *row, const struct line *line)
{
    return row->default_text == NULL || strstr(line->remark, "default:") != NULL ||
           strcmp(line->value, row->default_text) == 0;
}

static void check_rows(const char *path, const struct conf_row *rows)
{
    struct buf text;
    size_t found = 0;
    size_t wanted = 0;
    read_file(path, &text);
    for (const struct conf_row *row = rows; row->key != NULL; row++) {
        char group[KEY_BYTES] = "";
        struct line line;
        const char *at = buf_text(&text);
        bool here = false;
        wanted++;
        while (!here && (at = next_line(at, group, &line)) != NULL) {
            here = strcmp(line.key, row->key) == 0;
        }
        if (!here) {
            print_error("%s: the key %s is not there\n", path, row->key);
        } else if (!says_default(row, &line)) {
            print_error("%s: %s: \"%s\", but the default is \"%s\"\n", path, row->key,
                        line.value, row->default_text);
        } else {
            found++;
        }
    }
    buf_fini(&text);
    assert_int_equal(found, wanted);
}

static void broker_sample_has_every_key_and_default(void **state)
{
    (void)state;
    struct broker_conf conf;
    struct broker_conf usual;
    struct buf errors;
    buf_init(&errors, FILE_BYTES);
    check_rows(SAMPLES "broker.yaml", broker_conf_rows);
    enum err err = broker_conf_read(SAMPLES "broker.yaml", &conf, &errors);
    assert_string_equal(buf_text(&errors), "");
    assert_int_equal(err, ERR_OK);
    assert_int_equal(broker_conf_read(NULL, &usual, &errors), ERR_OK);
    assert_int_equal(conf.retry_steps, usual.retry_steps); /* a list has no default text */
    assert_memory_equal(conf.retry_ms, usual.retry_ms, sizeof conf.retry_ms);
    broker_conf_free(&conf);
    broker_conf_free(&usual);
    buf_fini(&errors);
}

static void worker_sample_has_every_key_and_default(void **state)
{
    (void)state;
    struct worker_conf conf;
    struct buf errors;
    buf_init(&errors, FILE_BYTES);
    check_rows(SAMPLES "worker.yaml", worker_conf_rows);
    enum err err = worker_conf_read(SAMPLES "worker.yaml", &conf, &errors);
    assert_string_equal(buf_text(&errors), "");
    assert_int_equal(err, ERR_OK);
    worker_conf_free(&conf);
    buf_fini(&errors);
}

/* The block of all keys as a file of its own, and a profile with nothing but a server behind it. */
static void uncomment(const char *at, struct buf *out)
{
    buf_init(out, FILE_BYTES);
    buf_add_text(out, "profiles:\n");
    for (; strncmp(at, "  # ", 4) == 0; at += strcspn(at, "\n") + 1) {
        buf_add_text(out, "  ");
        buf_add(out, at + 4, strcspn(at + 4, "\n") + 1);
    }
    buf_add_text(out, "  usual:\n    smtp_server: relay.example.org\n");
}

/* Every key of an owner stands in the block with its default and the words of its row, and the examples are good. */
static void allow_sample_has_every_key_and_default(void **state)
{
    (void)state;
    struct buf text;
    struct buf errors;
    struct access *access = NULL;
    size_t found = 0;
    size_t wanted = 0;
    read_file(SAMPLES "allow.yaml", &text);
    const char *block = strstr(buf_text(&text), BLOCK);
    assert_non_null(block);
    for (const struct conf_row *row = access_rows; row->key != NULL; row++) {
        const char *usual = row->default_text != NULL ? row->default_text : "";
        char *head = mem_format("\n  #   %s: %s", row->key, usual);
        const char *at = strstr(block, head);
        const char *doc = at != NULL ? strstr(at, row->doc) : NULL;
        bool same = doc != NULL && doc < at + 1 + strcspn(at + 1, "\n");
        if (!same) {
            print_error("allow.yaml: no line \"%s  # %s\"\n", head + 1, row->doc);
        }
        found += same;
        wanted++;
        free(head);
    }
    assert_int_equal(found, wanted);
    buf_init(&errors, FILE_BYTES);
    enum err err = access_read(SAMPLES "allow.yaml", &access, &errors);
    assert_string_equal(buf_text(&errors), "");
    assert_int_equal(err, ERR_OK);
    assert_int_equal(access_keys(access), 4);
    access_free(&access);
    buf_fini(&errors);
    buf_fini(&text);
}

static struct profiles *read_profiles(const char *path)
{
    struct profiles *profiles = NULL;
    struct buf errors;
    buf_init(&errors, FILE_BYTES);
    enum err err = profiles_read(path, &profiles, &errors);
    assert_string_equal(buf_text(&errors), "");
    assert_int_equal(err, ERR_OK);
    buf_fini(&errors);
    return profiles;
}

static void assert_plans_equal(const struct settings_plan *a, const struct settings_plan *b)
{
    assert_int_equal(a->route, b->route);
    assert_int_equal(a->tls, b->tls);
    assert_string_equal(a->server, b->server);
    assert_int_equal(a->port, b->port);
    assert_string_equal(a->folder, b->folder);
    assert_string_equal(a->user_name, b->user_name);
    assert_string_equal(a->password, b->password);
    assert_int_equal(a->authentication, b->authentication);
    assert_string_equal(a->ca_file, b->ca_file);
    assert_string_equal(a->pinned_public_key, b->pinned_public_key);
    assert_int_equal(a->verify, b->verify);
    assert_int_equal(a->allow_cleartext_auth, b->allow_cleartext_auth);
    assert_string_equal(a->helo_name, b->helo_name);
    assert_int_equal(a->connect_timeout_ms, b->connect_timeout_ms);
    assert_int_equal(a->reply_timeout_ms, b->reply_timeout_ms);
    assert_int_equal(a->content_timeout_ms, b->content_timeout_ms);
    assert_int_equal(a->max_connections, b->max_connections);
    assert_int_equal(a->max_recipients_per_message, b->max_recipients_per_message);
    assert_int_equal(a->max_messages_per_connection, b->max_messages_per_connection);
    assert_int_equal(a->max_connection_age_ms, b->max_connection_age_ms);
    assert_int_equal(a->idle_timeout_ms, b->idle_timeout_ms);
    assert_int_equal(a->pipelining, b->pipelining);
    assert_int_equal(a->dialect, b->dialect);
    assert_int_equal(a->unknown_policy, b->unknown_policy);
}

/* Where the line of a key begins; one with a dot stands below its first word. *head: the caller frees it. */
static const char *find_line(const char *block, const char *indent, const char *key,
                             char **head)
{
    const char *dot = strchr(key, '.');
    const char *at = block;
    if (dot != NULL) {
        char *group = mem_format("\n%s%.*s:", indent, (int)(dot - key), key);
        at = strstr(block, group);
        free(group);
    }
    *head =
        mem_format("\n%s%s%s: ", indent, dot != NULL ? "  " : "", dot != NULL ? dot + 1 : key);
    return at != NULL ? strstr(at, *head) : NULL;
}

/* Every key has its line with the words of its row. */
static void check_block(const char *block, const struct conf_row *rows, const char *indent)
{
    size_t found = 0;
    size_t wanted = 0;
    for (const struct conf_row *row = rows; row->key != NULL; row++) {
        char *head = NULL;
        const char *at = find_line(block, indent, row->key, &head);
        const char *doc = at != NULL ? strstr(at, row->doc) : NULL;
        bool same = doc != NULL && doc < at + 1 + strcspn(at + 1, "\n");
        if (!same) {
            print_error("profiles.yaml: no line \"%sDEFAULT  # %s\"\n", head + 1, row->doc);
        }
        found += same;
        wanted++;
        free(head);
    }
    assert_int_equal(found, wanted);
}

/* The examples are good, when their profile is there. */
static void check_expectations(const char *at)
{
    struct buf file;
    struct err_text why = {0};
    char folder[] = "/tmp/tpn-samples-XXXXXX";
    buf_init(&file, FILE_BYTES);
    for (; *at == '#'; at += strcspn(at, "\n") + 1) {
        buf_add(&file, at + 2, strcspn(at + 2, "\n") + 1);
    }
    buf_add_text(&file, "profiles:\n  relay:\n    smtp_server: relay.example.org\n");
    assert_non_null(mkdtemp(folder));
    char *path = path_join(folder, "profiles.yaml");
    assert_int_equal(path_write(path, buf_text(&file), file.len, 0600, &why), ERR_OK);
    struct profiles *profiles = read_profiles(path);
    profiles_free(&profiles);
    (void)unlink(path);
    (void)rmdir(folder);
    free(path);
    buf_fini(&file);
}

static void profiles_sample_has_every_key_and_default(void **state)
{
    (void)state;
    struct buf text;
    struct buf file;
    struct err_text why = {0};
    struct profiles *profiles = read_profiles(SAMPLES "profiles.yaml");
    assert_true(profiles_count(profiles) > 0);
    profiles_free(&profiles);

    read_file(SAMPLES "profiles.yaml", &text);
    const char *block = strstr(buf_text(&text), BLOCK);
    assert_non_null(block);
    check_block(block, profile_rows, "  #   ");
    block = strstr(buf_text(&text), "\n# expectations:");
    assert_non_null(block);
    check_block(block, expectation_rows, "#     ");
    check_expectations(block + 1);
    block = strstr(buf_text(&text), BLOCK);
    char folder[] = "/tmp/tpn-samples-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *path = path_join(folder, "profiles.yaml");
    uncomment(block, &file);
    assert_int_equal(path_write(path, buf_text(&file), file.len, 0600, &why), ERR_OK);
    profiles = read_profiles(path);
    assert_plans_equal(&profiles_find(profiles, "every_key")->plan,
                       &profiles_find(profiles, "usual")->plan);
    profiles_free(&profiles);
    (void)unlink(path);
    (void)rmdir(folder);
    free(path);
    buf_fini(&file);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broker_sample_has_every_key_and_default),
        cmocka_unit_test(worker_sample_has_every_key_and_default),
        cmocka_unit_test(allow_sample_has_every_key_and_default),
        cmocka_unit_test(profiles_sample_has_every_key_and_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
