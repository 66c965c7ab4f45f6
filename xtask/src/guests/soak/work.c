/* The soak's program, second part: what keeps each device busy, a process each. */

enum { PIECE = 1 << 20, DISK_PIECES = 64, FRAMES = 4096, PERIODS = 4, ROWS = 8 };

/* What processes did; each has fields of its own, and the parent reads them. */
struct counts {
	/* MiB; calls of FDATASYNC; the longest transfer */
	u32 disk_written, disk_read, disk_flushed, disk_ms;
	/* MiB; the longest piece */
	u32 down, down_ms, up, up_ms;
	/* Samples that were played before an underrun, and underruns */
	u32 played, underruns;
	u32 pictures, picture_ms;
	/* The battery clock's update interrupts, and when the last came */
	u32 seconds;
	struct time second_at;
	/* Who failed last, at what, and with which error */
	u32 failures, error;
	char who[24];
};

static struct counts *did;
/* The parent's, too. */
static int sound_fd;

static void failed(const char *who, int error)
{
	u32 i;
	for (i = 0; who[i] && i < sizeof did->who - 1; i++)
		did->who[i] = who[i];
	did->who[i] = 0;
	did->error = (u32)(error < 0 ? -error : error);
	did->failures++;
	sleep_ms(1000);
}

/* Waits until a piece's time is over, so that so many are done in a second; and notes how long it took. */
static void pace(u32 begun, u32 each_ms, u32 *longest)
{
	u32 took = milliseconds() - begun;
	if (took > *longest)
		*longest = took;
	if (took < each_ms)
		sleep_ms(each_ms - took);
}

/* No two pieces are alike, nor a piece in two rounds. */
static u32 word(u32 seed, u32 n)
{
	return (n + seed * 0x10001u) * 0x9e3779b9u;
}

static int transfer(int how, int fd, char *b, u32 bytes)
{
	u32 done = 0;
	while (done < bytes) {
		int n = call(how, fd, (int)(b + done), (int)(bytes - done));
		if (n <= 0)
			return n ? n : -5;
		done += (u32)n;
	}
	return 0;
}

/* Writes pieces and reads them back from the disk itself. */
static void work_disk(u32 each_ms)
{
	int fd = call(OPEN, (int)"/dev/sda", O_RDWR | O_DIRECT, 0), e;
	u32 *b = map(PIECE, 0, -1), seed = 0, n, i, begun;
	if (fd < 0)
		return failed("open-disk", fd);
	for (;; seed++) {
		n = seed % DISK_PIECES;
		begun = milliseconds();
		for (i = 0; i < PIECE / 4; i++)
			b[i] = word(seed, i);
		call(LSEEK, fd, (int)(n * PIECE), 0);
		if ((e = transfer(WRITE, fd, (char *)b, PIECE)) < 0)
			failed("write-disk", e);
		did->disk_written++;
		if (seed % 8 == 7) {
			if ((e = call(FDATASYNC, fd, 0, 0)) < 0)
				failed("flush-disk", e);
			did->disk_flushed++;
		}
		/* The piece that was written longest ago, once all are. */
		n = (n + 1) % DISK_PIECES;
		if (seed + 1 >= DISK_PIECES) {
			call(LSEEK, fd, (int)(n * PIECE), 0);
			if ((e = transfer(READ, fd, (char *)b, PIECE)) < 0)
				failed("read-disk", e);
			for (i = 0; i < PIECE / 4 && b[i] == word(seed + 1 - DISK_PIECES, i); i++)
				;
			if (i < PIECE / 4)
				failed("verify-disk", (int)i);
			did->disk_read++;
		}
		pace(begun, each_ms, &did->disk_ms);
	}
}

/* A connection to a service of `bench net`. */
static int connected(u32 server, u32 port)
{
	u32 to[4] = { 2 | (port >> 8 | (port & 255) << 8) << 16, server, 0, 0 }, a[3] = { 2, 1, 0 };
	int fd = call(SOCKETCALL, 1, (int)a, 0), e;
	a[0] = (u32)fd, a[1] = (u32)to, a[2] = sizeof to;
	e = call(SOCKETCALL, 3, (int)a, 0);
	return e < 0 ? e : fd;
}

static void work_down(u32 server, u32 port, u32 each_ms)
{
	int fd = connected(server, port), e;
	unsigned char *b = map(PIECE, 0, -1);
	u32 n, begun;
	if (fd < 0)
		return failed("connect-down", fd);
	for (;; did->down++) {
		begun = milliseconds();
		if ((e = transfer(READ, fd, (char *)b, PIECE)) < 0)
			return failed("receive", e);
		for (n = 0; n < PIECE && b[n] == (unsigned char)(n * 13 >> 4); n++)
			;
		if (n < PIECE)
			failed("verify-down", (int)n);
		pace(begun, each_ms, &did->down_ms);
	}
}

/* Four pieces, then the service says whether they were right. */
static void work_up(u32 server, u32 port, u32 each_ms)
{
	int fd = connected(server, port), e;
	unsigned char *b = map(PIECE, 0, -1), answer;
	u32 n, begun;
	if (fd < 0)
		return failed("connect-up", fd);
	for (n = 0; n < PIECE; n++)
		b[n] = 0x5a;
	for (n = 1;; n++) {
		begun = milliseconds();
		if ((e = transfer(WRITE, fd, (char *)b, PIECE)) < 0)
			return failed("send", e);
		if (n % 4 == 0) {
			if ((e = transfer(READ, fd, (char *)&answer, 1)) < 0)
				return failed("receive-answer", e);
			if (answer != 1)
				failed("verify-up", answer);
		}
		did->up++;
		pace(begun, each_ms, &did->up_ms);
	}
}

/* struct snd_pcm_hw_params: masks of access, format and subformat, then intervals. */
struct sound {
	u32 flags, mask[3][8], more_masks[5][8];
	struct {
		u32 least, most, flags;
	} interval[12], more_intervals[9];
	u32 wanted, changed, info, bits, rate[2], fifo;
	char rest[64];
};

enum { HW_PARAMS = 0xc25c4111, PREPARE = 0x4140, WRITE_FRAMES = 0x400c4150, STATUS = 0x806c4120 };

static void interval(struct sound *s, int n, u32 is)
{
	s->interval[n].least = s->interval[n].most = is;
	s->interval[n].flags = 4;
}

/* The card for 16 bits, stereo, 44.1 kHz. Before the processes part: the parent looks at the same stream. */
static int open_sound(void)
{
	static struct sound s;
	u32 i;
	int e, fd = call(OPEN, (int)"/dev/snd/pcmC0D0p", O_RDWR, 0);
	if (fd < 0)
		return fd;
	for (i = 0; i < 12; i++)
		s.interval[i].most = ~0u;
	/* Interleaved; signed 16 bits, little-endian; standard. */
	s.mask[0][0] = 1 << 3, s.mask[1][0] = 1 << 2, s.mask[2][0] = 1;
	interval(&s, 2, 2);
	interval(&s, 3, 44100);
	interval(&s, 5, FRAMES);
	interval(&s, 7, PERIODS);
	s.wanted = ~0u;
	if ((e = call(IOCTL, fd, (int)HW_PARAMS, (int)&s)) < 0 || (e = call(IOCTL, fd, PREPARE, 0)) < 0)
		return e;
	return fd;
}

/* Samples that the card has played since it was prepared: hw_ptr of struct snd_pcm_status. */
static u32 heard(void)
{
	u32 status[27];
	return call(IOCTL, sound_fd, (int)STATUS, (int)status) < 0 ? 0 : status[6];
}

/* A sine of 441 Hz: a hundred samples. */
static void work_sound(void)
{
	static short b[(FRAMES + 100) * 2];
	struct {
		int done;
		short *from;
		u32 frames;
	} some;
	u32 i, at = 0;
	int e;
	for (i = 0; i < FRAMES + 100; i++) {
		double s, turn = i % 100 * 0.06283185307179586;
		__asm__("fsin" : "=t"(s) : "0"(turn));
		b[i * 2] = b[i * 2 + 1] = (short)(s * 8000);
	}
	for (;;) {
		some.done = 0, some.from = b + at * 2, some.frames = FRAMES;
		e = call(IOCTL, sound_fd, WRITE_FRAMES, (int)&some);
		at = (at + (u32)(some.done > 0 ? some.done : 0)) % 100;
		if (e == -32) {
			u32 n = heard();
			did->underruns++;
			call(IOCTL, sound_fd, PREPARE, 0);
			did->played += n;
		} else if (e < 0) {
			failed("play", e);
		}
	}
}

/* The picture goes up by some lines, and new ones come below; what arrives at the top is what was drawn. */
static void work_screen(u32 each_ms)
{
	static u32 var[40], fix[17];
	int fd = call(OPEN, (int)"/dev/fb0", O_RDWR, 0);
	u32 *m, words, all, n = 0, i, begun;
	call(IOCTL, fd, 0x4600, (int)var);
	call(IOCTL, fd, 0x4602, (int)fix);
	words = fix[11] / 4 * ROWS;
	all = var[1] / ROWS * words;
	m = fd < 0 || !all ? 0 : map(all * 4, 1, fd);
	if (!m)
		return failed("map-screen", fd);
	for (;; n++) {
		u32 *to = m, *from = m + words, count = all - words;
		begun = milliseconds();
		__asm__ volatile("cld; rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
		for (i = 0; i < words; i++)
			to[i] = word(n, i);
		if (n + 1 >= all / words) {
			for (i = 0; i < words && m[i] == word(n + 1 - all / words, i); i++)
				;
			if (i < words)
				failed("verify-screen", (int)i);
		}
		did->pictures++;
		pace(begun, each_ms, &did->picture_ms);
	}
}

/* Each second of the battery clock interrupts. */
static void work_seconds(void)
{
	int fd = call(OPEN, (int)"/dev/rtc0", O_RDONLY, 0), e;
	u32 what;
	if (fd < 0)
		return failed("open-clock", fd);
	if ((e = call(IOCTL, fd, 0x7003, 0)) < 0)
		return failed("update-interrupts", e);
	for (;;) {
		if ((e = call(READ, fd, (int)&what, 4)) != 4)
			return failed("read-clock", e);
		did->second_at = clock_of(MONOTONIC);
		did->seconds += what >> 8;
	}
}
