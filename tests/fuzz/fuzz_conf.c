/* Configuration files: broker.yaml, profiles.yaml and the allow list.
 *
 * Input: a byte (its rest by 3: 0 broker, 1 profiles, 2 allow list), then the file. It is good without a complaint, or bad with at least one,
 * each a line that begins with the file's name. */
#include "fuzz.h"

#include "access.h"
#include "broker_conf.h"
#include "profile.h"

#include <string.h>
#include <unistd.h>

enum { ERRORS_MAX_BYTES = 1 << 20 };

static void demand_errors(enum err err, const char *path, const struct buf *errors)
{
    const char *line = buf_text(errors);
    size_t prefix = strlen(path);
    demand((err == ERR_OK) == (errors->len == 0), "%s with %zu bytes of errors", err_name(err),
           errors->len);
    while (buf_status(errors) == ERR_OK && *line != '\0') {
        demand(strncmp(line, path, prefix) == 0 && line[prefix] == ':', "line: %s", line);
        const char *end = strchr(line, '\n');
        demand(end != NULL, "no end of line: %s", line);
        line = end + 1;
    }
}

static void try_broker(const char *path, struct buf *errors)
{
    struct broker_conf conf = {0};
    demand_errors(broker_conf_read(path, &conf, errors), path, errors);
    broker_conf_free(&conf);
}

static void try_profiles(const char *path, struct buf *errors)
{
    struct profiles *profiles = NULL;
    enum err err = profiles_read(path, &profiles, errors);
    demand_errors(err, path, errors);
    demand((err == ERR_OK) == (profiles != NULL), "profiles after %s", err_name(err));
    if (profiles != NULL) {
        profiles_free(&profiles);
    }
}

static void try_access(const char *path, struct buf *errors)
{
    struct access *access = NULL;
    enum err err = access_read(path, &access, errors);
    demand_errors(err, path, errors);
    demand((err == ERR_OK) == (access != NULL), "an allow list after %s", err_name(err));
    access_free(&access);
}

typedef void try_fn(const char *path, struct buf *errors);

static try_fn *const tries[] = {try_broker, try_profiles, try_access};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[FUZZ_PATH_BYTES];
    struct buf errors;
    if (size == 0) {
        return 0;
    }
    int fd = fuzz_file(data + 1, size - 1, path);
    buf_init(&errors, ERRORS_MAX_BYTES);
    tries[data[0] % (sizeof tries / sizeof tries[0])](path, &errors);
    buf_fini(&errors);
    (void)close(fd);
    return 0;
}
