/* A progress bar on standard error; silent when that is no terminal. */
#ifndef TPN_PROGRESS_H
#define TPN_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    const char *what; /* "accepted", "final"; borrowed */
    size_t total;
    int64_t next_ms; /* not drawn before, so that drawing costs nothing */
    bool on;
    bool drawn;
};

/* A bar for total things; one or none needs no bar. */
void progress_init(struct progress *progress, const char *what, size_t total);
void progress_show(struct progress *progress, size_t done);
/* Wipe the bar. */
void progress_end(struct progress *progress);

#endif
