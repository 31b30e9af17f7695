/* A progress bar on standard error.
 *
 * Redraws at most ten times a second, one line, and wipes itself, so that what is printed after
 * it stands alone. */
#include "progress.h"

#include "clock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 40, REDRAW_MS = 100 };

void progress_init(struct progress *progress, const char *what, size_t total)
{
    *progress = (struct progress){.what = what, .total = total};
    progress->on = total > 1 && isatty(STDERR_FILENO) == 1;
}

void progress_show(struct progress *progress, size_t done)
{
    int64_t now_ms = progress->on ? clock_mono_ms() : 0;
    if (!progress->on || now_ms < progress->next_ms) {
        return;
    }
    char bar[WIDTH + 1];
    size_t filled = done >= progress->total ? WIDTH : done * WIDTH / progress->total;
    memset(bar, '.', WIDTH);
    memset(bar, '#', filled);
    bar[WIDTH] = '\0';
    (void)fprintf(stderr, "\r[%s] %zu of %zu %s", bar, done, progress->total, progress->what);
    progress->next_ms = now_ms + REDRAW_MS;
    progress->drawn = true;
}

void progress_end(struct progress *progress)
{
    if (progress->drawn) {
        (void)fputs("\r\033[K", stderr);
        progress->drawn = false;
    }
}
