/* Configuration files: broker.yaml and profiles.yaml.
 *
 * Input: a byte (odd: profiles, even: broker), then the file. It is good without a complaint, or bad with at least one,
 * each a line that begins with the file's name. */
#include "fuzz.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[FUZZ_PATH_BYTES];
    struct buf errors;
    if (size == 0) {
        return 0;
    }
    int fd = fuzz_file(data + 1, size - 1, path);
    buf_init(&errors, ERRORS_MAX_BYTES);
    if (data[0] % 2 == 1) {
        try_profiles(path, &errors);
    } else {
        try_broker(path, &errors);
    }
    buf_fini(&errors);
    (void)close(fd);
    return 0;
}
