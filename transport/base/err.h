/* Error codes, grouped by what the caller does, and the sentence for the person who must act. */
#ifndef TPN_ERR_H
#define TPN_ERR_H

#define NODISCARD __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* What a fallible function returns. Try again: AGAIN, IO. Give up this item: PROTO, INVALID, LIMIT,
 * NOT_FOUND, CONFLICT. Stop the program: CONFIG, STORAGE. */
enum err {
    ERR_OK = 0,
    ERR_AGAIN,     /* not now: would block, busy, not connected yet */
    ERR_IO,        /* a system call or a peer failed; the text has the errno */
    ERR_PROTO,     /* bytes from a peer break the protocol */
    ERR_INVALID,   /* a value breaks a rule; the text names field and rule */
    ERR_LIMIT,     /* larger or more than the stated maximum */
    ERR_NOT_FOUND, /* no such thing */
    ERR_CONFLICT,  /* stands against something that is already there */
    ERR_CONFIG,    /* configuration is wrong; a program does not start with it */
    ERR_STORAGE,   /* disk full, failed commit or failed fsync: acknowledge nothing more */
    ERR_COUNT
};

enum { ERR_TEXT_BYTES = 512 };

/* Why something failed, for a person. Zero-initialise before use; text is always terminated. */
struct err_text {
    enum err code;
    int sys_errno; /* 0 when no system call was involved */
    char text[ERR_TEXT_BYTES];
};

/* Name of a code, "again", "io", …; borrowed, never null. */
const char *err_name(enum err code);

/* Fill *why (which may be null) and return code, so that a caller can write `return err_set(…)`.
 * A text longer than the room is cut. */
enum err err_set(struct err_text *why, enum err code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* As err_set, with ": " and strerror(saved_errno) appended and saved_errno kept. */
enum err err_set_errno(struct err_text *why, enum err code, int saved_errno, const char *fmt,
                       ...) PRINTF_LIKE(4, 5);

/* Abort with file, line and sentence: our own broken invariant, never a peer's bytes. */
#define bug(...) err_bug(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void err_bug(const char *file, int line, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
