/* Log lines.
 *
 * The level and the program's name are set once, before threads start, and only read after that: the one
 * piece of process-wide state that base keeps, because a log without it would need a handle in every call. */
#include "log.h"

#include "buf.h"
#include "clock.h"
#include "digits.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 2048 };

static const char *const level_names[LOG_LEVEL_COUNT] = {"error", "warn", "info", "debug"};
static const char *program_name = "tpn";
static enum log_level max_level = LOG_LEVEL_INFO;
static long program_pid; /* 0 until log_init: not every program calls it */

void log_init(const char *program, enum log_level level)
{
    program_name = program;
    max_level = level;
    program_pid = (long)getpid();
}

enum err log_level_parse(const char *name, enum log_level *level)
{
    for (int i = 0; i < LOG_LEVEL_COUNT; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return ERR_OK;
        }
    }
    return ERR_INVALID;
}

bool log_enabled(enum log_level level)
{
    return level <= max_level;
}

/* Put a word at line[used], as much of it as leaves room for the line's end; returns the new length. */
static size_t put_word(char line[LINE_BYTES], size_t used, const char *word)
{
    size_t len = strlen(word);
    size_t room = LINE_BYTES - 2 - used;
    len = len < room ? len : room;
    // NOLINTNEXTLINE(bugprone-not-null-terminated-result): the line ends with its length
    memcpy(line + used, word, len);
    return used + len;
}

static size_t put_head(char line[LINE_BYTES], enum log_level level, const char *event)
{
    char pid[DIGITS_MAX + 1];
    *digits_put(pid, (uint64_t)(program_pid != 0 ? program_pid : (long)getpid()), 1) = '\0';
    const char *const words[] = {
        " ", level_names[level], " ", program_name, "[", pid, "] ", event, " "};
    size_t used = strlen(clock_text(clock_wall_ms(), line));
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        used = put_word(line, used, words[i]);
    }
    return used;
}

/* One line with its end into `line`; returns its length. */
static size_t put_line(char line[LINE_BYTES], enum log_level level, const char *event,
                       const char *fmt, va_list args)
{
    size_t used = put_head(line, level, event);
    int body = vsnprintf(line + used, LINE_BYTES - used - 1, fmt, args);
    used += body > 0 ? (size_t)body : 0;
    if (used > LINE_BYTES - 2) {
        used = LINE_BYTES - 2;
    }
    line[used] = '\n';
    return used + 1;
}

/* Nothing can be done about a failing standard error, and the product does not depend on it. */
static void put_out(const char *data, size_t len)
{
    ssize_t written = write(STDERR_FILENO, data, len);
    (void)written;
}

void log_write(enum log_level level, const char *event, const char *fmt, ...)
{
    if (!log_enabled(level)) {
        return;
    }
    int saved = errno;
    char line[LINE_BYTES];
    va_list args;
    va_start(args, fmt);
    size_t len = put_line(line, level, event, fmt, args);
    va_end(args);
    put_out(line, len);
    errno = saved;
}

static void add_line(struct buf *batch, const char *line, size_t len)
{
    if (batch->len + len > batch->max) {
        log_flush(batch);
    }
    buf_add(batch, line, len);
}

void log_add(struct buf *batch, enum log_level level, const char *event, const char *fmt, ...)
{
    if (!log_enabled(level)) {
        return;
    }
    int saved = errno;
    char line[LINE_BYTES];
    va_list args;
    va_start(args, fmt);
    size_t len = put_line(line, level, event, fmt, args);
    va_end(args);
    add_line(batch, line, len);
    errno = saved;
}

void log_add_words(struct buf *batch, enum log_level level, const char *event,
                   const char *const words[], size_t count)
{
    if (!log_enabled(level)) {
        return;
    }
    int saved = errno;
    char line[LINE_BYTES];
    size_t used = put_head(line, level, event);
    for (size_t i = 0; i < count; i++) {
        used = put_word(line, used, words[i]);
    }
    line[used++] = '\n';
    add_line(batch, line, used);
    errno = saved;
}

void log_flush(struct buf *batch)
{
    if (batch->len > 0) {
        int saved = errno;
        put_out(batch->data, batch->len);
        buf_reset(batch);
        errno = saved;
    }
}

const char *log_quote(const char *text, char out[LOG_QUOTE_BYTES])
{
    static const char more[] = "…\"";
    size_t used = 0;
    out[used++] = '"';
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if (used + 4 + sizeof more > LOG_QUOTE_BYTES) {
            memcpy(out + used, more, sizeof more);
            return out;
        }
        if (*p == '"' || *p == '\\') {
            out[used++] = '\\';
            out[used++] = (char)*p;
        } else if (*p < 0x20 || *p == 0x7f) {
            (void)snprintf(out + used, 5, "\\x%02x", *p);
            used += 4;
        } else {
            out[used++] = (char)*p;
        }
    }
    out[used++] = '"';
    out[used] = '\0';
    return out;
}
