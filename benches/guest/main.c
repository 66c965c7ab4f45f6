/* Runs lines of the benchmark and says how long each took.
 *
 *   bench [--limit SECS] LINE...                 lines by name
 *   bench [--limit SECS] --exec NAME ROUNDS -- PROGRAM ARGS...
 *                                                a line that is another program; its sum is its output's CRC
 *   bench --data FILE BYTES                      a file of text-like data
 *   bench --list                                 names of lines
 *
 * Each line prints, on standard output:
 *   bench begin NAME
 *   bench end NAME secs=S since=S rounds=DONE/ALL sum=HEX [more=NUMBER]... cpu=S
 * With a limit, a line ends after the round in which the limit passed. secs is CLOCK_MONOTONIC's time, since the same
 * from the first mark on; cpu is what the program and its children used, which is for runs without an emulator. A short
 * sleep lies between the marks and the work, so that whoever reads the marks has time to note what an emulator has used
 * so far. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

static const struct line *const families[] = {
    integer_lines, string_lines, float_lines, kernel_lines, selfcode_lines, interrupt_lines,
    io_lines,
};

static double limit = 1e9;

void die(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

void *memory(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (p == MAP_FAILED)
        die("mmap");
    return p;
}

void stay_here(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int cpu = sched_getcpu();
    CPU_SET(cpu < 0 ? 0 : cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set))
        die("sched_setaffinity");
}

uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static double used(int who)
{
    struct rusage r;
    getrusage(who, &r);
    return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

/* A line of output that has left before time is taken: the interrupts of a slow console are not the line's. */
static void said(void)
{
    fflush(stdout);
    if (isatty(1))
        tcdrain(1);
    usleep(30000);
}

static void measure(const struct line *l)
{
    if (l->prepare)
        l->prepare();
    double shown = now();
    printf("bench begin %s\n", l->name);
    said();
    unsigned done = 0;
    uint32_t sum = 0;
    double used_before = used(RUSAGE_SELF) + used(RUSAGE_CHILDREN), begin = now(), took;
    do {
        uint32_t s = l->round();
        if (done && s != sum) {
            fprintf(stderr, "bench: %s: round %u gives %08x, those before %08x\n", l->name, done, s, sum);
            exit(1);
        }
        sum = s;
        done++;
        took = now() - begin;
    } while (done < l->rounds && took < limit);
    printf("bench end %s secs=%.9f since=%.6f rounds=%u/%u sum=%08x", l->name, took, now() - shown, done,
           l->rounds, sum);
    if (l->finish)
        l->finish();
    printf(" cpu=%.6f\n", used(RUSAGE_SELF) + used(RUSAGE_CHILDREN) - used_before);
    said();
}

static char **program;

/* Runs the program once; the CRC of what it prints. */
static uint32_t run_program(void)
{
    int out[2];
    if (pipe(out))
        die("pipe");
    pid_t pid = vfork();
    if (pid < 0)
        die("vfork");
    if (pid == 0) {
        dup2(out[1], 1);
        close(out[0]);
        close(out[1]);
        execv(program[0], program);
        _exit(127);
    }
    close(out[1]);
    static char b[65536];
    uint32_t crc = 0;
    ssize_t n;
    while ((n = read(out[0], b, sizeof b)) > 0)
        crc = crc32_of(crc, b, n);
    close(out[0]);
    int status;
    if (waitpid(pid, &status, 0) != pid)
        die("waitpid");
    if (status) {
        fprintf(stderr, "bench: %s failed (status %x)\n", program[0], status);
        exit(1);
    }
    return crc;
}

/* Words of a small vocabulary, lines, numbers: compresses as text does. */
static void make_data(const char *file, size_t bytes)
{
    FILE *f = fopen(file, "w");
    if (!f)
        die(file);
    uint32_t seed = 1;
    while (bytes) {
        char word[16];
        uint32_t r = next_random(&seed), n = 0;
        /* Two draws: common words are much commoner than rare ones. */
        uint32_t w = (r & 0xfff) * (next_random(&seed) & 0xfff) >> 12;
        for (n = 0; n < 2 + w % 7; n++)
            word[n] = 'a' + (w * 2654435761u >> (3 * n)) % 26;
        if ((r & 0xf000) == 0)
            n += sprintf(word + n, "%u", r & 0xff);
        word[n++] = (r & 0x70000) == 0 ? '\n' : ' ';
        if (n > bytes)
            n = bytes;
        if (fwrite(word, 1, n, f) != n)
            die(file);
        bytes -= n;
    }
    if (fclose(f))
        die(file);
}

static const struct line *find(const char *name)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (const struct line *l = families[i]; l->name; l++)
            if (!strcmp(l->name, name))
                return l;
    fprintf(stderr, "bench: no line %s\n", name);
    exit(2);
}

int main(int argc, char **argv)
{
    int at = 1;
    if (argc > 2 && !strcmp(argv[1], "--limit")) {
        limit = atof(argv[2]);
        at = 3;
    }
    if (argc - at > 4 && !strcmp(argv[at], "--exec") && !strcmp(argv[at + 3], "--")) {
        program = argv + at + 4;
        struct line l = { argv[at + 1], atoi(argv[at + 2]), NULL, run_program, NULL };
        measure(&l);
        return 0;
    }
    if (argc - at == 3 && !strcmp(argv[at], "--data")) {
        make_data(argv[at + 1], strtoul(argv[at + 2], NULL, 0));
        return 0;
    }
    if (argc - at == 1 && !strcmp(argv[at], "--list")) {
        for (size_t i = 0; i < sizeof families / sizeof *families; i++)
            for (const struct line *l = families[i]; l->name; l++)
                puts(l->name);
        return 0;
    }
    if (at == argc || argv[at][0] == '-') {
        fprintf(stderr, "usage: bench [--limit SECS] LINE... | --exec NAME ROUNDS -- PROGRAM ARGS... |"
                        " --data FILE BYTES | --list\n");
        return 2;
    }
    for (; at < argc; at++)
        measure(find(argv[at]));
    return 0;
}
