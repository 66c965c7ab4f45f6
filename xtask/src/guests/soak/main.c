/*
 * Keeps disk, network, sound, screen and clocks busy and says what was done; without a C library.
 *
 *   soak MS MARK_MS SERVER DOWN UP PIECE_MS PICTURE_MS
 *
 * For MS it writes and reads /dev/sda past the cache, moves TCP both ways (SERVER is an address, DOWN and UP are ports of it,
 * whose services are those of `bench net`), plays a tone, scrolls /dev/fb0, and takes the battery clock's interrupts; a piece
 * of a mebibyte each PIECE_MS and a picture each PICTURE_MS, where that is possible. Before and after, it rests for some marks.
 *
 * A mark is lines, each MARK_MS:
 *   soak at PHASE mono=S raw=S real=S tsc=HIGH:LOW      PHASE: first, busy, last. Always as long: the host notes when it came
 *   soak did NAME=COUNT...
 *   soak irq NUMBER=COUNT:DEVICE...
 * "soak failed WHO ERROR" says that something went wrong, once for each mark. The last line is "soak over".
 */

/* SIGKILL. */
enum { WORKERS = 6, RESTS = 42, KILLED = 9 };

static u32 address(const char *s)
{
	u32 a = 0, n;
	for (n = 0; n < 4; n++) {
		a |= number(s) << 8 * n;
		while (*s >= '0' && *s <= '9')
			s++;
		s += *s == '.';
	}
	return a;
}

static void say_hex(u32 n)
{
	char b[9];
	int i;
	for (i = 0; i < 8; i++)
		b[i] = "0123456789abcdef"[n >> (28 - 4 * i) & 15];
	b[8] = 0;
	say(b);
}

static void say_clocks(const char *phase)
{
	u32 low, high;
	struct time mono = clock_of(MONOTONIC), raw = clock_of(RAW), real = clock_of(REALTIME);
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	say("soak at ");
	say(phase);
	say_time("mono", mono);
	say_time("raw", raw);
	say_time("real", real);
	say(" tsc=");
	say_hex(high);
	say(":");
	say_hex(low);
	said();
}

/* Which word of a line; 0 behind its end. */
static const char *word_of(const char *s, int n)
{
	for (;; n--) {
		while (*s == ' ')
			s++;
		if (!*s || *s == '\n')
			return 0;
		if (!n)
			return s;
		while (*s && *s != ' ' && *s != '\n')
			s++;
	}
}

/* Commands that the disk has done, after what the kernel merged: reads and writes, of which a flush is one. */
static u32 commands(void)
{
	const char *text = text_of("/sys/block/sda/stat"), *reads = word_of(text, 0), *writes = word_of(text, 4);
	return reads && writes ? number(reads) + number(writes) : 0;
}

/* Segments that TCP sent more than once: field RetransSegs of the second line. */
static u32 sent_again(void)
{
	const char *s = text_of("/proc/net/snmp"), *n;
	int seen = 0;
	for (; *s; s += *s == '\n') {
		if (s[0] == 'T' && s[1] == 'c' && s[2] == 'p' && ++seen == 2)
			return (n = word_of(s, 12)) ? number(n) : 0;
		while (*s && *s != '\n')
			s++;
	}
	return 0;
}

static void say_counts(void)
{
	u32 before = did->played, samples = heard();
	struct time at = clock_of(MONOTONIC);
	say("soak did");
	say_count("commands", commands());
	say_count("written", did->disk_written);
	say_count("read", did->disk_read);
	say_count("flushed", did->disk_flushed);
	say_count("disk_ms", did->disk_ms);
	say_count("down", did->down);
	say_count("down_ms", did->down_ms);
	say_count("up", did->up);
	say_count("up_ms", did->up_ms);
	say_count("again", sent_again());
	say_count("samples", before + samples);
	say_time("samples_at", at);
	say_count("underruns", did->underruns);
	say_count("pictures", did->pictures);
	say_count("picture_ms", did->picture_ms);
	say_count("seconds", did->seconds);
	say_time("second_at", did->second_at);
	said();
}

/* /proc/interrupts has a line for each: "NUMBER: COUNT CONTROLLER DEVICE..."; ERR and others only a count. */
static void say_interrupts(void)
{
	const char *s = text_of("/proc/interrupts");
	say("soak irq");
	for (; *s; s += *s == '\n') {
		const char *name = word_of(s, 0), *count = word_of(s, 1), *last = 0, *p;
		int n;
		for (n = 3; name && (p = word_of(s, n)); n++)
			last = p;
		if (name && count && *count >= '0' && *count <= '9' && (name[0] <= '9' || name[0] == 'E')) {
			char b[40];
			for (n = 0; n < 10 && name[n] != ':' && name[n] > ' '; n++)
				b[n] = name[n];
			b[n] = 0;
			say_count(b, number(count));
			for (n = 0; last && n < 30 && last[n] > ' '; n++)
				b[n] = last[n];
			b[last ? n : 0] = 0;
			if (last && name[0] <= '9') {
				say(":");
				say(b);
			}
		}
		while (*s && *s != '\n')
			s++;
	}
	said();
}

static void mark(const char *phase)
{
	static u32 told;
	say_clocks(phase);
	say_counts();
	say_interrupts();
	if (did->failures != told) {
		told = did->failures;
		say("soak failed ");
		say(did->who);
		say(" ");
		say_number(did->error, 0);
		said();
	}
}

/* A mark at rest. A machine that only ticks is woken for twenty ticks at once, and what it says then is late; one that has
   worked has the host's time again when it has slept for that long. On a crowded host the clocks are behind by ten seconds at
   most, which they make good while the machine sleeps: so long all rests are together. */
static void rest(const char *phase)
{
	u32 begun = milliseconds();
	while (milliseconds() - begun < 3)
		;
	sleep_ms(90);
	mark(phase);
	sleep_ms(150);
}

static void work(int n, char **a)
{
	u32 each = number(a[5]);
	switch (n) {
	case 0: work_disk(each); break;
	case 1: work_down(address(a[2]), number(a[3]), each); break;
	case 2: work_up(address(a[2]), number(a[4]), each); break;
	case 3: work_sound(); break;
	case 4: work_screen(number(a[6])); break;
	default: work_seconds();
	}
	call(EXIT, 1, 0, 0);
}

static int soak(char **a)
{
	u32 all = number(a[0]), each = number(a[1]), begun, n, pid[WORKERS];
	did = map(sizeof *did, 1, -1);
	sound_fd = open_sound();
	if (!did || sound_fd < 0)
		return 1;
	for (n = 0; n < RESTS; n++)
		rest("first");
	for (n = 0; n < WORKERS; n++)
		if (!(pid[n] = (u32)call(FORK, 0, 0, 0)))
			work((int)n, a);
	begun = milliseconds();
	while (milliseconds() - begun < all) {
		sleep_ms(each);
		mark("busy");
	}
	for (n = 0; n < WORKERS; n++)
		call(KILL, (int)pid[n], KILLED, 0);
	for (n = 0; n < RESTS; n++)
		rest("last");
	say("soak over");
	said();
	/* Whoever watches may have a question left. */
	sleep_ms(1000);
	return 0;
}

__attribute__((used)) static void begin(int *stack)
{
	call(EXIT, stack[0] == 8 ? soak((char **)(stack + 2)) : 2, 0, 0);
}

__asm__(".globl _start\n_start:\n\tmov %esp, %eax\n\tand $-16, %esp\n\tsub $12, %esp\n\tpush %eax\n\tcall begin\n");
