// Ends the process just before its sync number DETC_TEST_DIE_AT, as SIGKILL ends it: what was written and not synced
// is there, what would have come after is not. Where DETC_TEST_DIE_ARMED names a file, syncs count once that is there. It is
// preloaded, so that the program under test is the one that users run.

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
