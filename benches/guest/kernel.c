/* What an operating system's kernel is asked for all day. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

/* System calls, by the way in that the kernel offers (SYSENTER where it can). */

static uint32_t syscall_round(void)
{
    uint32_t same = 0;
    long parent = getppid();
    for (int i = 0; i < 100000; i++)
        same += syscall(SYS_getppid) == parent;
    return same;
}

/* Processes. */

static uint32_t fork_round(void)
{
    uint32_t sum = 0;
    for (int i = 0; i < 100; i++) {
        int status;
        pid_t pid = fork();
        if (pid < 0)
            die("fork");
        if (pid == 0)
            _exit(i);
        if (waitpid(pid, &status, 0) != pid)
            die("waitpid");
        sum += WEXITSTATUS(status);
    }
    return sum;
}

/* Page faults: memory is mapped, touched and given back. */

static uint32_t fault_round(void)
{
    enum { PAGES = 512 };
    uint32_t sum = 0;
    for (int n = 0; n < 20; n++) {
        uint8_t *p = mmap(NULL, PAGES << 12, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            die("mmap");
        /* Small pages everywhere; kernels without large ones refuse, and are right. */
        madvise(p, PAGES << 12, MADV_NOHUGEPAGE);
        for (int i = 0; i < PAGES; i++)
            p[i << 12] = i;
        for (int i = 0; i < PAGES; i++)
            sum += p[i << 12];
        munmap(p, PAGES << 12);
    }
    return sum;
}

/* Two processes that wake each other. */

static int to_child[2], to_parent[2];

static void pipe_prepare(void)
{
    stay_here();
    if (pipe(to_child) || pipe(to_parent))
        die("pipe");
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        uint8_t b;
        close(to_child[1]);
        close(to_parent[0]);
        while (read(to_child[0], &b, 1) == 1) {
            b++;
            if (write(to_parent[1], &b, 1) != 1)
                break;
        }
        _exit(0);
    }
    close(to_child[0]);
    close(to_parent[1]);
}

static uint32_t pipe_round(void)
{
    uint32_t sum = 0;
    for (int i = 0; i < 5000; i++) {
        uint8_t b = i;
        if (write(to_child[1], &b, 1) != 1 || read(to_parent[0], &b, 1) != 1)
            die("the other end of the pipe");
        sum += b;
    }
    return sum;
}

static void pipe_finish(void)
{
    close(to_child[1]);
    wait(NULL);
}

const struct line kernel_lines[] = {
    { "syscall", 10, NULL, syscall_round, NULL },
    { "fork", 20, stay_here, fork_round, NULL },
    { "page-fault", 15, NULL, fault_round, NULL },
    { "pipe", 10, pipe_prepare, pipe_round, pipe_finish },
    { 0 },
};
