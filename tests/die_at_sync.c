// Ends the process just before its sync number DETC_TEST_DIE_AT, as SIGKILL ends it: what was written and not synced
// is there, what would have come after is not. It is preloaded, so that the program under test is the one that users run.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

int fdatasync(int fd) {
    static atomic_long syncs;
    int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    const char *die_at = getenv("DETC_TEST_DIE_AT");
    if (die_at != NULL && atomic_fetch_add(&syncs, 1) + 1 == atol(die_at)) {
        kill(getpid(), SIGKILL);
        pause();
    }
    return sync(fd);
}
