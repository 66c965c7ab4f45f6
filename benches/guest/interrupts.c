/* Much interrupted work. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench.h"

/* Interrupts of all kinds so far. */
static unsigned long long interrupts(void)
{
    FILE *f = fopen("/proc/interrupts", "r");
    char line[1024], *word;
    unsigned long long n = 0;
    if (!f)
        return 0;
    while (fgets(line, sizeof line, f)) {
        word = strchr(line, ':');
        while (word) {
            char *end;
            unsigned long long v = strtoull(word + 1, &end, 10);
            if (end == word + 1)
                break;
            n += v;
            word = *end == ' ' ? end : NULL;
        }
    }
    fclose(f);
    return n;
}

static unsigned long long before;

static void tell(void)
{
    printf(" interrupts=%llu", interrupts() - before);
}

/* A computation under a timer of 10 kHz that raises a signal each time. */

static volatile sig_atomic_t signals;
static uint8_t *data;
enum { BYTES = 64 << 10 };

static void on_signal(int n)
{
    (void)n;
    signals++;
}

static void timer_prepare(void)
{
    uint32_t seed = 6;
    data = memory(BYTES);
    for (size_t i = 0; i < BYTES; i++)
        data[i] = next_random(&seed);
    struct sigaction a = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigaction(SIGALRM, &a, NULL);
    struct itimerval t = { { 0, 100 }, { 0, 100 } };
    before = interrupts();
    if (setitimer(ITIMER_REAL, &t, NULL))
        die("setitimer");
}

static uint32_t timer_round(void)
{
    return crc32_of(0, data, BYTES);
}

static void timer_finish(void)
{
    struct itimerval off = { 0 };
    setitimer(ITIMER_REAL, &off, NULL);
    printf(" signals=%d", (int)signals);
    tell();
}

/* Sectors of a disk one by one, past the cache: a command, an interrupt and a wake-up for each. */

static int disk;
static uint8_t *sector;

static void disk_prepare(void)
{
    disk = open("/dev/sda", O_RDONLY | O_DIRECT);
    if (disk < 0)
        die("/dev/sda");
    sector = memory(4096);
    before = interrupts();
}

static uint32_t disk_round(void)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < 100; i++) {
        if (pread(disk, sector, 512, (i * 37 % 4096) * 512) != 512)
            die("/dev/sda");
        sum = crc32_of(sum, sector, 512);
    }
    return sum;
}

const struct line interrupt_lines[] = {
    { "timer-signals", 1000, timer_prepare, timer_round, timer_finish },
    { "disk-sectors", 20, disk_prepare, disk_round, tell },
    { 0 },
};
