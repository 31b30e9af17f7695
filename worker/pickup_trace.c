/* Traces on disk: written, read, compared with what lies in the folder.
 *
 * A folder is read once a look and its names are sorted; each trace is then found by its name. What one reading of a folder shows
 * while files are renamed is not exact, so a missing file is asked for by name as well. */
#include "pickup_trace.h"

#include "clock.h"
#include "log.h"
#include "mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATH_BYTES = 160,
    LINE_MAX_BYTES = 512,
    TRACE_MAX_BYTES = (TRACE_LINES_MAX + 1) * LINE_MAX_BYTES,
    TIME_DIGITS = 8, /* NAME<time>.bad: fewer would be the end of another part's number */
    BEING_WRITTEN_MS = 60000,
    BACK_KEPT_MS = 24 * 3600 * 1000, /* longer than anybody waits before looking */
    DEPTH_MAX = 3,
    VISITS_MAX = 1000
};

static const char head[] = "TPN-FOLLOW 1 ";
static const char suffix[] = ".follow";
static const char back_suffix[] = ".back";

static bool exists(int folder_fd, const char *name)
{
    struct stat st;
    return fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- writing ---- */

void pickup_trace_begin(struct buf *trace, const char *instance)
{
    buf_init(trace, TRACE_MAX_BYTES);
    buf_add_format(trace, "%s%s\n", head, instance);
}

void pickup_trace_add(struct buf *trace, const struct delivery *delivery)
{
    buf_add_format(trace, "%" PRIu64 " %" PRIu32 " %s %s %s\n", delivery->lease, delivery->part,
                   delivery->producer, delivery->request_id, delivery->file_name);
}

void pickup_trace_write(int folder_fd, const struct delivery *first, const struct buf *trace,
                        char name[TRACE_FILE_BYTES])
{
    (void)snprintf(name, TRACE_FILE_BYTES, ".%.127s.%" PRId64 "%s", first->file_name,
                   clock_mono_us(), suffix);
    int fd =
        openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0660);
    bool good = fd >= 0 && buf_status(trace) == ERR_OK &&
                write(fd, trace->data, trace->len) == (ssize_t)trace->len;
    if (!good) {
        log_warn("pickup", "file=%s result=\"not followed\" errno=%d", first->file_name, errno);
    }
    if (fd >= 0) {
        (void)close(fd);
        if (!good) {
            pickup_trace_remove(folder_fd, name); /* half a line would be of no file */
        }
    }
    if (!good) {
        name[0] = '\0';
    }
}

void pickup_trace_remove(int folder_fd, const char *name)
{
    if (name[0] != '\0') {
        (void)unlinkat(folder_fd, name, 0);
    }
}

/* ---- reading ---- */

/* The next word of a line, cut off at `end`; false when there is none or it does not fit. */
static bool take_word(char **text, char end, char *out, size_t room)
{
    char *stop = strchr(*text, end);
    if (stop == NULL || stop == *text || (size_t)(stop - *text) >= room) {
        return false;
    }
    memcpy(out, *text, (size_t)(stop - *text));
    out[stop - *text] = '\0';
    *text = stop + 1;
    return strpbrk(out, " \n/") == NULL;
}

static bool take_number(char **text, uint64_t *out)
{
    char word[24];
    char *end = NULL;
    if (!take_word(text, ' ', word, sizeof word) || word[0] < '0' || word[0] > '9') {
        return false;
    }
    errno = 0;
    *out = strtoull(word, &end, 10);
    return errno == 0 && *end == '\0';
}

static bool take_line(char **text, struct pickup_fate *out)
{
    uint64_t part = 0;
    bool good = take_number(text, &out->lease) && out->lease != 0 && take_number(text, &part) &&
                part <= UINT32_MAX &&
                take_word(text, ' ', out->producer, sizeof out->producer) &&
                take_word(text, ' ', out->request_id, sizeof out->request_id) &&
                take_word(text, '\n', out->name, sizeof out->name) && out->name[0] != '.';
    out->part = (uint32_t)part;
    return good;
}

/* The bytes of a trace with a NUL, the caller's; null when it cannot be read. */
static char *read_text(int folder_fd, const char *name)
{
    int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    char *text = mem_zero(TRACE_MAX_BYTES + 1, 1);
    ssize_t len = read(fd, text, TRACE_MAX_BYTES);
    (void)close(fd);
    if (len < 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* ---- a folder ---- */

struct names {
    char **items;
    size_t count;
    size_t room;
};

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_hidden_with(const char *name, const char *end)
{
    size_t len = strlen(name);
    size_t tail = strlen(end);
    return len > tail + 1 && len < TRACE_FILE_BYTES && name[0] == '.' &&
           strcmp(name + len - tail, end) == 0;
}

static bool is_trace(const char *name)
{
    return is_hidden_with(name, suffix);
}

static void names_fini(struct names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        free(names->items[i]);
    }
    free(names->items);
}

static bool names_read(int folder_fd, struct names *names)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    *names = (struct names){.items = NULL};
    if (folder == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return false;
    }
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): glibc's readdir is safe for a stream of one thread */
    for (const struct dirent *e = readdir(folder); e != NULL; e = readdir(folder)) {
        if (names->count == TRACE_NAMES_MAX) {
            break;
        }
        if (names->count == names->room) {
            names->room = names->room * 2 + 64;
            names->items = mem_resize(names->items, names->room, sizeof *names->items);
        }
        names->items[names->count++] = mem_text(e->d_name);
    }
    (void)closedir(folder);
    if (names->count == 0) {
        return true;
    }
    qsort(names->items, names->count, sizeof *names->items, compare);
    return names->count < TRACE_NAMES_MAX;
}

static bool names_have(const struct names *names, const char *name)
{
    return names->count > 0 &&
           bsearch(&name, names->items, names->count, sizeof *names->items, compare) != NULL;
}

/* The file NAME<end> or NAME<time><end>, or null. */
static const char *names_find(const struct names *names, const char *name, const char *end)
{
    size_t len = strlen(name);
    size_t low = 0;
    for (size_t high = names->count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(names->items[middle], name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < names->count && strncmp(names->items[low], name, len) == 0; low++) {
        const char *rest = names->items[low] + len;
        size_t rest_len = strlen(rest);
        size_t end_len = strlen(end);
        if (rest_len < end_len || strcmp(rest + rest_len - end_len, end) != 0) {
            continue;
        }
        size_t between = rest_len - end_len;
        if (between == 0 || between >= TIME_DIGITS) {
            return names->items[low];
        }
    }
    return NULL;
}

/* How old a trace is, by the clocks of this machine and of the folder's. */
static int64_t age_of(int folder_fd, const char *name)
{
    struct stat st;
    if (fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return 0;
    }
    int64_t age_ms = clock_wall_ms() - (int64_t)st.st_mtim.tv_sec * 1000;
    return age_ms > 0 ? age_ms : 0;
}

/* What was taken back and never tried again: cancelled, or too late. */
static void sweep_back(int folder_fd, const char *name)
{
    if (is_hidden_with(name, back_suffix) && age_of(folder_fd, name) > BACK_KEPT_MS) {
        (void)unlinkat(folder_fd, name, 0);
    }
}

/* The fate of NAME, or UNSPECIFIED: not decided. */
static int fate_of(int folder_fd, const struct names *names, struct pickup_fate *fate,
                   bool stale)
{
    char part[PATH_BYTES];
    char back[PATH_BYTES];
    char eml[PATH_BYTES];
    (void)snprintf(part, sizeof part, ".%.127s.part", fate->name);
    (void)snprintf(back, sizeof back, ".%.127s%s", fate->name, back_suffix);
    (void)snprintf(eml, sizeof eml, "%.127s.eml", fate->name);
    (void)snprintf(fate->file, sizeof fate->file, "%s", eml);
    if (names_have(names, part) || names_have(names, back)) {
        return PB_FATE(UNSPECIFIED);
    }
    const char *bad = names_find(names, fate->name, ".bad");
    if (bad != NULL) {
        (void)snprintf(fate->file, sizeof fate->file, "%.199s", bad);
        return PB_FATE(BAD);
    }
    /* A file is renamed from .part to .back or .eml, never from those: asked in this order, "none" was true at some moment. */
    if (!names_have(names, eml) && names_find(names, fate->name, ".tmp") == NULL &&
        !exists(folder_fd, part) && !exists(folder_fd, back) && !exists(folder_fd, eml)) {
        return PB_FATE(TAKEN);
    }
    return stale ? PB_FATE(STALE) : PB_FATE(UNSPECIFIED);
}

static struct pickup_fate *new_fate(struct pickup_look *look)
{
    if (look->fate_count % TRACE_LINES_MAX == 0) {
        look->fates =
            mem_resize(look->fates, look->fate_count + TRACE_LINES_MAX, sizeof *look->fates);
    }
    return &look->fates[look->fate_count++];
}

/* Read one trace into the look; false when it is none of ours. */
static bool look_at(int folder_fd, const struct names *names, struct pickup_look *look,
                    struct pickup_trace *trace, int64_t stale_ms)
{
    char *text = read_text(folder_fd, trace->name);
    char *at = text;
    bool good = text != NULL && strncmp(text, head, sizeof head - 1) == 0;
    if (good) {
        at += sizeof head - 1;
        good = take_word(&at, '\n', trace->instance, sizeof trace->instance);
    }
    trace->whole = true;
    while (good && *at != '\0') {
        struct pickup_fate fate = {.lease = 0};
        good = take_line(&at, &fate);
        fate.fate = !good || look->fate_count == TRACE_DECIDED_MAX
                        ? (int)PB_FATE(UNSPECIFIED)
                        : fate_of(folder_fd, names, &fate, trace->age_ms >= stale_ms);
        if (fate.fate == PB_FATE(UNSPECIFIED)) {
            trace->whole = false;
        } else {
            *new_fate(look) = fate;
            trace->count++;
        }
    }
    free(text);
    return good;
}

void pickup_trace_look(int folder_fd, int64_t stale_ms, struct pickup_look *out)
{
    struct names names;
    *out = (struct pickup_look){.traces = NULL};
    bool all = names_read(folder_fd, &names);
    for (size_t i = 0; all && i < names.count; i++) {
        if (!is_trace(names.items[i])) {
            sweep_back(folder_fd, names.items[i]);
            continue;
        }
        struct pickup_trace trace = {.first = out->fate_count};
        (void)snprintf(trace.name, sizeof trace.name, "%s", names.items[i]);
        trace.age_ms = age_of(folder_fd, trace.name);
        if (!look_at(folder_fd, &names, out, &trace, stale_ms)) {
            out->fate_count = trace.first;
            if (trace.age_ms > BEING_WRITTEN_MS) {
                log_warn("pickup", "file=%s result=\"cannot be read, removed\"", trace.name);
                pickup_trace_remove(folder_fd, trace.name);
            }
            continue;
        }
        out->traces = mem_resize(out->traces, out->trace_count + 1, sizeof *out->traces);
        out->traces[out->trace_count++] = trace;
    }
    names_fini(&names);
}

void pickup_look_fini(struct pickup_look *look)
{
    free(look->traces);
    free(look->fates);
    *look = (struct pickup_look){.traces = NULL};
}

/* ---- below the roots ---- */

struct search {
    char **out;
    size_t count;
    unsigned visits;
};

static bool has_trace(const struct names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        if (is_trace(names->items[i])) {
            return true;
        }
    }
    return false;
}

/* Spares the search an open of each file in a full folder. */
static bool is_file_of_pickup(const char *name)
{
    static const char *const ends[] = {".eml", ".tmp", ".bad"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < sizeof ends / sizeof ends[0]; i++) {
        if (strcmp(dot, ends[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Breadth does not matter, depth does: a root may be a large tree. NOLINTNEXTLINE(misc-no-recursion): at most DEPTH_MAX deep */
static void search_in(struct search *search, const char *path, int folder_fd, unsigned depth)
{
    struct names names;
    if (search->count == TRACE_FOLDERS_MAX || ++search->visits > VISITS_MAX) {
        return;
    }
    (void)names_read(folder_fd, &names);
    if (has_trace(&names)) {
        search->out[search->count++] = mem_text(path);
    }
    for (size_t i = 0; i < names.count && depth < DEPTH_MAX; i++) {
        if (names.items[i][0] == '.' || is_file_of_pickup(names.items[i])) {
            continue;
        }
        int fd = openat(folder_fd, names.items[i],
                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0) {
            char *child = mem_format("%s/%s", path, names.items[i]);
            search_in(search, child, fd, depth + 1);
            free(child);
            (void)close(fd);
        }
    }
    names_fini(&names);
}

size_t pickup_trace_find(const char *const *roots, char *out[TRACE_FOLDERS_MAX])
{
    struct search search = {.out = out};
    for (size_t i = 0; roots[i] != NULL; i++) {
        int fd = open(roots[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0) {
            search_in(&search, roots[i], fd, 0);
            (void)close(fd);
        }
    }
    return search.count;
}
