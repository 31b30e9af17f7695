/* Memory that nobody else reads. A program under a sanitizer stays dumpable: LeakSanitizer attaches to its own
 * process at the end, and gives up where it may not. */
#include "confine.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#if defined(__SANITIZE_ADDRESS__)
static const bool stays_dumpable = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
static const bool stays_dumpable = true;
#else
static const bool stays_dumpable = false;
#endif
#else
static const bool stays_dumpable = false;
#endif

enum err confine_memory(struct err_text *why)
{
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0) {
        return err_set_errno(why, ERR_IO, errno, "setrlimit RLIMIT_CORE");
    }
    if (!stays_dumpable && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        return err_set_errno(why, ERR_IO, errno, "prctl PR_SET_DUMPABLE");
    }
    return ERR_OK;
}
