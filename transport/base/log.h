/* One line an event on standard error: time level area event key=value …
 *
 * Never a body, a password or a whole address list. Log once, where the thing is handled. */
#ifndef TPN_LOG_H
#define TPN_LOG_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>

enum log_level {
    LOG_LEVEL_ERROR, /* something is lost or stopped until a person acts */
    LOG_LEVEL_WARN,  /* handled, but a person should know */
    LOG_LEVEL_INFO,  /* start, stop, reload, one line a delivery */
    LOG_LEVEL_DEBUG, /* each step of each request */
    LOG_LEVEL_COUNT
};

/* Name this process in every line; borrowed for the life of the process. Call once, before any thread starts. */
void log_init(const char *program, enum log_level level);

/* Level by its name, "error" … "debug". ERR_INVALID when there is none. */
enum err log_level_parse(const char *name, enum log_level *level) NODISCARD;

/* True when a line of this level would be written: guards the making of costly values. */
bool log_enabled(enum log_level level);

/* Write one line. `event` is one word; the rest is key=value pairs, values with blanks in quotes (log_quote).
 * The line goes out in one write(2), so lines of threads and processes do not mix. errno is kept. */
void log_write(enum log_level level, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Append one line to a batch instead of writing it: for what is said many times a turn. A batch that is full is written
 * at once. The owner calls log_flush before it waits. */
struct buf;
void log_add(struct buf *batch, enum log_level level, const char *event, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* As log_add, of words that are put one behind the other as they are: for what is said with every message, where printf(3) costs
 * more than the rest. The words make the key=value pairs and their blanks; count of them, none null. */
void log_add_words(struct buf *batch, enum log_level level, const char *event,
                   const char *const words[], size_t count);

/* Write a batch in one write(2) and empty it. errno is kept. */
void log_flush(struct buf *batch);

#define log_error(event, ...) log_write(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...) log_write(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_info(event, ...) log_write(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...)                                                                  \
    do {                                                                                       \
        if (log_enabled(LOG_LEVEL_DEBUG)) {                                                    \
            log_write(LOG_LEVEL_DEBUG, event, __VA_ARGS__);                                    \
        }                                                                                      \
    } while (0)

enum { LOG_QUOTE_BYTES = 256 };

/* Put text into out as "…" with control bytes and quotes escaped, cut with … when too long; returns out. */
const char *log_quote(const char *text, char out[LOG_QUOTE_BYTES]);

#endif
