/* Error codes and texts.
 *
 * Nothing here allocates or locks, so an error can be told when memory or disk are the trouble. */
#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[ERR_COUNT] = {
    [ERR_OK] = "ok",
    [ERR_AGAIN] = "again",
    [ERR_IO] = "io",
    [ERR_PROTO] = "proto",
    [ERR_INVALID] = "invalid",
    [ERR_LIMIT] = "limit",
    [ERR_NOT_FOUND] = "not-found",
    [ERR_CONFLICT] = "conflict",
    [ERR_CONFIG] = "config",
    [ERR_STORAGE] = "storage",
};

const char *err_name(enum err code)
{
    if ((unsigned)code >= ERR_COUNT || names[code] == NULL) {
        return "?";
    }
    return names[code];
}

static void fill(struct err_text *why, enum err code, const char *fmt, va_list args)
{
    why->code = code;
    why->sys_errno = 0;
    if (vsnprintf(why->text, sizeof why->text, fmt, args) < 0) {
        why->text[0] = '\0';
    }
}

enum err err_set(struct err_text *why, enum err code, const char *fmt, ...)
{
    if (why != NULL) {
        va_list args;
        va_start(args, fmt);
        fill(why, code, fmt, args);
        va_end(args);
    }
    return code;
}

enum err err_set_errno(struct err_text *why, enum err code, int saved_errno, const char *fmt,
                       ...)
{
    if (why != NULL) {
        va_list args;
        va_start(args, fmt);
        fill(why, code, fmt, args);
        va_end(args);
        char reason[128];
        size_t used = strlen(why->text);
        /* The GNU strerror_r returns the text, which may or may not lie in the buffer. */
        (void)snprintf(why->text + used, sizeof why->text - used, ": %s",
                       strerror_r(saved_errno, reason, sizeof reason));
        why->sys_errno = saved_errno;
    }
    return code;
}

_Noreturn void err_bug(const char *file, int line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)fprintf(stderr, "bug at %s:%d: ", file, line);
    (void)vfprintf(stderr, fmt, args);
    (void)fputc('\n', stderr);
    va_end(args);
    abort();
}
