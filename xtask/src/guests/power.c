/* What no tool of busybox does: the clock's interrupts, and input events; without a C library.
 *
 * power aie SECS      an alarm by RTC_ALM_SET and RTC_AIE_ON; prints what read() gives
 * power uie COUNT     so many update interrupts
 * power pie HZ COUNT  so many periodic interrupts
 * power wake SECS     an alarm that wakes, by RTC_WKALM_SET; does not wait
 * power events FILE COUNT   so many input events: type code value
 * power modem         CTS, DSR, DCD of /dev/ttyS1, as they are now
 */

typedef unsigned int u32;

static int call(int n, int a, int b, const void *c)
{
	int r;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory");
	return r;
}

enum { EXIT = 1, READ = 3, WRITE = 4, OPEN = 5, IOCTL = 54, O_RDWR_NONBLOCK = 04002, O_NOCTTY = 0400 };

#define AIE_ON 0x7001
#define AIE_OFF 0x7002
#define UIE_ON 0x7003
#define UIE_OFF 0x7004
#define PIE_ON 0x7005
#define PIE_OFF 0x7006
#define ALM_SET 0x40247007u
#define RD_TIME 0x80247009u
#define IRQP_SET 0x4004700cu
#define WKALM_SET 0x4028700fu
#define TIOCMGET 0x5415

struct rtc_time {
	int sec, min, hour, mday, mon, year, wday, yday, isdst;
};

struct rtc_wkalrm {
	unsigned char enabled, pending;
	struct rtc_time time;
};

struct event {
	u32 sec, usec;
	unsigned short type, code;
	int value;
};

static void text(const char *s)
{
	int n = 0;
	while (s[n])
		n++;
	call(WRITE, 1, (int)s, (void *)n);
}

static void number(int v)
{
	char b[12], *p = b + sizeof b;
	u32 u = v < 0 ? -(u32)v : (u32)v;
	*--p = 0;
	do
		*--p = '0' + u % 10;
	while (u /= 10);
	if (v < 0)
		*--p = '-';
	text(p);
}

static int value(const char *s)
{
	int v = 0;
	while (*s)
		v = v * 10 + *s++ - '0';
	return v;
}

static int same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static int fail(const char *what, int error)
{
	text(what);
	text(" failed: ");
	number(error);
	text("\n");
	return 1;
}

/* In so many seconds, less than a day. */
static void later(struct rtc_time *t, int secs)
{
	int all = (t->hour * 60 + t->min) * 60 + t->sec + secs;
	if (all >= 86400) {
		all -= 86400;
		t->mday++;
	}
	t->hour = all / 3600;
	t->min = all / 60 % 60;
	t->sec = all % 60;
}

/* Reads interrupts: how many, and which kinds. */
static int interrupts(int fd, int want)
{
	int got = 0, kinds = 0;
	while (got < want) {
		u32 v;
		int r = call(READ, fd, (int)&v, (void *)4);
		if (r != 4)
			return fail("read", r);
		got += v >> 8;
		kinds |= v & 0xff;
	}
	text("interrupts ");
	number(got);
	text(" kinds ");
	number(kinds);
	text("\n");
	return 0;
}

static int rtc(int argc, char **argv)
{
	struct rtc_wkalrm w;
	int r, fd = call(OPEN, (int)"/dev/rtc0", 2, 0);
	if (fd < 0)
		return fail("/dev/rtc0", fd);
	r = call(IOCTL, fd, RD_TIME, &w.time);
	if (r < 0)
		return fail("RTC_RD_TIME", r);
	if (same(argv[1], "aie")) {
		later(&w.time, value(argv[2]));
		if ((r = call(IOCTL, fd, ALM_SET, &w.time)) < 0 || (r = call(IOCTL, fd, AIE_ON, 0)) < 0)
			return fail("alarm", r);
		return interrupts(fd, 1) | call(IOCTL, fd, AIE_OFF, 0);
	}
	if (same(argv[1], "uie")) {
		if ((r = call(IOCTL, fd, UIE_ON, 0)) < 0)
			return fail("RTC_UIE_ON", r);
		return interrupts(fd, value(argv[2])) | call(IOCTL, fd, UIE_OFF, 0);
	}
	if (same(argv[1], "pie") && argc > 3) {
		if ((r = call(IOCTL, fd, IRQP_SET, (void *)value(argv[2]))) < 0 || (r = call(IOCTL, fd, PIE_ON, 0)) < 0)
			return fail("RTC_PIE_ON", r);
		return interrupts(fd, value(argv[3])) | call(IOCTL, fd, PIE_OFF, 0);
	}
	w.enabled = 1;
	w.pending = 0;
	later(&w.time, value(argv[2]));
	r = call(IOCTL, fd, WKALM_SET, &w);
	return r < 0 ? fail("RTC_WKALM_SET", r) : 0;
}

static int events(const char *file, int want)
{
	int fd = call(OPEN, (int)file, 0, 0);
	if (fd < 0)
		return fail(file, fd);
	text("listening\n");
	while (want > 0) {
		struct event e;
		int r = call(READ, fd, (int)&e, (void *)sizeof e);
		if (r != sizeof e)
			return fail("read", r);
		/* What ends a report, and the scan code before a key, are no events of their own. */
		if (e.type == 0 || e.type == 4)
			continue;
		want--;
		text("event ");
		number(e.type);
		text(" ");
		number(e.code);
		text(" ");
		number(e.value);
		text("\n");
	}
	return 0;
}

static int modem(void)
{
	int lines = 0, r, fd = call(OPEN, (int)"/dev/ttyS1", O_RDWR_NONBLOCK | O_NOCTTY, 0);
	if (fd < 0)
		return fail("/dev/ttyS1", fd);
	r = call(IOCTL, fd, TIOCMGET, &lines);
	if (r < 0)
		return fail("TIOCMGET", r);
	text("modem");
	text(lines & 0x020 ? " CTS" : "");
	text(lines & 0x100 ? " DSR" : "");
	text(lines & 0x040 ? " DCD" : "");
	text(".\n");
	return 0;
}

static int run(int argc, char **argv)
{
	if (argc == 2 && same(argv[1], "modem"))
		return modem();
	if (argc == 4 && same(argv[1], "events"))
		return events(argv[2], value(argv[3]));
	return argc > 2 ? rtc(argc, argv) : 2;
}

__attribute__((used)) static void start(int *stack)
{
	call(EXIT, run(stack[0], (char **)(stack + 1)), 0, 0);
}

__asm__(".globl _start\n_start: mov %esp, %eax\n push %eax\n call start\n");
