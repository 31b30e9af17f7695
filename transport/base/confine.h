/* What a process that holds passwords gives up at its start. */
#ifndef TPN_CONFINE_H
#define TPN_CONFINE_H

#include "err.h"

/* Leave no copy of the memory behind: no core file, whatever the limit of the shell (RLIMIT_CORE 0, soft and hard), and
 * not dumpable: no core through a pipe of core_pattern either, and no process without CAP_SYS_PTRACE attaches or reads
 * /proc/PID/mem. Call first thing in main; it holds for every thread.
 * Returns ERR_OK, or ERR_IO: then do not open a secret. Source: prctl(2) PR_SET_DUMPABLE, core(5), ptrace(2). */
enum err confine_memory(struct err_text *why) NODISCARD;

#endif
