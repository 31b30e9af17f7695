/* What a disk asks for a folder of new files, without anything of ours around it: threads that create, write, fsync, close and
 * rename one file after another.
 *
 *   files_bench [-n files] [-s bytes] [-j threads] [-g group] FOLDER
 *
 * With -g a thread syncs the folder too, once for so many of its files (and for the rest at its end); without, never. Prints
 * "files=… seconds=… per_second=… cpu_us=…". Names and order of the calls are those of the pickup back end: a .part that becomes
 * an .eml. */
#include "clock.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { THREADS_MAX = 64, NAME_BYTES = 64 };

/* One thread's part of the work. */
struct writer {
    pthread_t thread;
    const char *content;
    size_t size;
    size_t from; /* numbers of its files */
    size_t to;
    size_t group; /* 0 = the folder is not synced */
    int folder_fd;
    int error; /* errno of what failed, 0 = nothing */
};

static int write_file(const struct writer *writer, size_t number)
{
    char part[NAME_BYTES];
    char name[NAME_BYTES];
    (void)snprintf(part, sizeof part, ".bench-%016zu.part", number);
    (void)snprintf(name, sizeof name, "bench-%016zu.eml", number);
    int fd = openat(writer->folder_fd, part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
    if (fd < 0) {
        return errno;
    }
    bool good =
        write(fd, writer->content, writer->size) == (ssize_t)writer->size && fsync(fd) == 0;
    int error = good ? 0 : errno;
    if (close(fd) != 0 ||
        (good && renameat(writer->folder_fd, part, writer->folder_fd, name) != 0)) {
        error = errno;
    }
    return error;
}

static void *write_files(void *arg)
{
    struct writer *writer = arg;
    for (size_t i = writer->from; i < writer->to && writer->error == 0; i++) {
        writer->error = write_file(writer, i);
        size_t written = i + 1 - writer->from;
        bool due = writer->group > 0 && (written % writer->group == 0 || i + 1 == writer->to);
        if (writer->error == 0 && due && fsync(writer->folder_fd) != 0) {
            writer->error = errno;
        }
    }
    return NULL;
}

/* Returns 0, or errno. */
static int run(const struct writer *plan, size_t files, size_t threads)
{
    struct writer writers[THREADS_MAX];
    int error = 0;
    size_t started = 0;
    while (started < threads && error == 0) {
        writers[started] = *plan;
        writers[started].from = files * started / threads;
        writers[started].to = files * (started + 1) / threads;
        error = pthread_create(&writers[started].thread, NULL, write_files, &writers[started]);
        started += error == 0 ? 1 : 0;
    }
    for (size_t i = 0; i < started; i++) {
        (void)pthread_join(writers[i].thread, NULL);
        error = error != 0 ? error : writers[i].error;
    }
    return error;
}

static double cpu_us(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

int main(int argc, char **argv)
{
    struct writer plan = {.size = 4096};
    size_t files = 5000;
    size_t threads = 8;
    int option = 0;
    /* No thread yet. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while ((option = getopt(argc, argv, "n:s:j:g:")) != -1) {
        size_t value = option == '?' ? 0 : strtoul(optarg, NULL, 10);
        files = option == 'n' ? value : files;
        plan.size = option == 's' ? value : plan.size;
        threads = option == 'j' ? value : threads;
        plan.group = option == 'g' ? value : plan.group;
    }
    if (optind + 1 != argc || files == 0 || threads == 0 || threads > THREADS_MAX) {
        (void)fprintf(stderr,
                      "usage: %s [-n files] [-s bytes] [-j threads] [-g group] FOLDER\n",
                      argv[0]);
        return 2;
    }
    char *content = mem_zero(plan.size + 1, 1);
    memset(content, 'x', plan.size);
    plan.content = content;
    plan.folder_fd = open(argv[optind], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    double cpu_from_us = cpu_us();
    int64_t from_us = clock_mono_us();
    int error = plan.folder_fd < 0 ? errno : run(&plan, files, threads);
    double seconds = (double)(clock_mono_us() - from_us) / 1e6;
    free(content);
    if (error != 0) {
        errno = error;
        perror(argv[optind]);
        return EXIT_FAILURE;
    }
    (void)printf("files=%zu seconds=%.3f per_second=%.0f cpu_us=%.1f\n", files, seconds,
                 (double)files / seconds, (cpu_us() - cpu_from_us) / (double)files);
    return EXIT_SUCCESS;
}
