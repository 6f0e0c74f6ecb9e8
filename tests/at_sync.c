// What a program makes durable. It is preloaded, so that the program under test is the one that users run.
//
// The process ends just before its data sync number DETC_TEST_DIE_AT, as SIGKILL ends it: what was written and not synced
// is there, what would have come after is not. Where DETC_TEST_DIE_ARMED names a file, syncs count once that is there.
// What is synced is noted in the file that DETC_TEST_SYNCED names, a path in each line.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void note(int fd) {
    const char *notes = getenv("DETC_TEST_SYNCED");
    if (notes == NULL) {
        return;
    }
    char link[64], line[4097];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, line, sizeof line - 1);
    int out = open(notes, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (length < 0 || out < 0) {
        abort();
    }
    line[length++] = '\n';
    if (write(out, line, length) != length) {
        abort();
    }
    close(out);
}

int fsync(int fd) {
    int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    note(fd);
    return sync(fd);
}

int fdatasync(int fd) {
    static atomic_long syncs;
    int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    note(fd);
    const char *die_at = getenv("DETC_TEST_DIE_AT");
    const char *armed = getenv("DETC_TEST_DIE_ARMED");
    if (armed != NULL && access(armed, F_OK) != 0) {
        return sync(fd);
    }
    if (die_at != NULL && atomic_fetch_add(&syncs, 1) + 1 == atol(die_at)) {
        kill(getpid(), SIGKILL);
        pause();
    }
    return sync(fd);
}
