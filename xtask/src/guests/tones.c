/*
 * Plays and records by Linux's sound drivers; without a C library.
 *
 *   tones volume PERCENT                    of the output, of samples and of the synthesizer
 *   tones play RATE BITS CHANNELS HZ MS     a sine; the right channel an octave above the left
 *   tones record RATE BITS CHANNELS MS      says how many samples were not silence
 *   tones note VOICE FNUM BLOCK MS          a sine of the FM synthesizer
 *
 * Exit code: 0, or which step failed.
 */

static int call(int n, int a, int b, int c)
{
	int r;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory");
	return r;
}

enum { EXIT = 1, READ = 3, WRITE = 4, OPEN = 5, CLOSE = 6, IOCTL = 54, NANOSLEEP = 162 };
enum { O_RDONLY, O_WRONLY, O_RDWR };

#define DSP_SYNC 0x5001
#define DSP_SPEED 0xc0045002u
#define DSP_SETFMT 0xc0045005u
#define DSP_CHANNELS 0xc0045006u
#define MIXER_WRITE(n) (0xc0044d00u | (n))
#define FM_RESET 0x4821
#define FM_PLAY_NOTE 0x400c4822u
#define FM_SET_VOICE 0x40124823u
#define FM_SET_MODE 0x40044825u

static unsigned char data[65536];

static void wait_ms(int ms)
{
	int t[2] = { ms / 1000, ms % 1000 * 1000000 };
	call(NANOSLEEP, (int)t, 0, 0);
}

static double sine(double turns)
{
	double r, a = turns * 6.283185307179586;
	__asm__("fsin" : "=t"(r) : "0"(a));
	return r;
}

static int number(const char *s)
{
	int n = 0;
	for (; *s >= '0' && *s <= '9'; s++)
		n = n * 10 + *s - '0';
	return n;
}

static int volume(char **a)
{
	int fd = call(OPEN, (int)"/dev/mixer", O_RDWR, 0);
	static const int which[] = { 0, 3, 4 };
	for (int i = 0; i < 3; i++) {
		int v = number(a[0]) * 0x101;
		if (call(IOCTL, fd, (int)MIXER_WRITE(which[i]), (int)&v) < 0)
			return 10 + i;
	}
	return 0;
}

static int dsp(int how, int rate, int bits, int channels)
{
	int fd = call(OPEN, (int)"/dev/dsp", how, 0);
	int format = bits == 8 ? 8 : 16, want = rate, n = channels;
	if (fd < 0 || call(IOCTL, fd, (int)DSP_SETFMT, (int)&format) < 0)
		return -1;
	if (call(IOCTL, fd, (int)DSP_CHANNELS, (int)&n) < 0 || call(IOCTL, fd, (int)DSP_SPEED, (int)&want) < 0)
		return -1;
	return format == (bits == 8 ? 8 : 16) && n == channels && want == rate ? fd : -1;
}

static int put_all(int fd, int len)
{
	for (int done = 0; done < len;) {
		int n = call(WRITE, fd, (int)data + done, len - done);
		if (n <= 0)
			return -1;
		done += n;
	}
	return 0;
}

static int play(char **a)
{
	int rate = number(a[0]), bits = number(a[1]), channels = number(a[2]), hz = number(a[3]);
	int frames = rate / 100 * number(a[4]) / 10, fd = dsp(O_WRONLY, rate, bits, channels), at = 0;
	int phase[2] = { 0, 0 };
	if (fd < 0)
		return 20;
	for (int f = 0; f < frames; f++) {
		for (int c = 0; c < channels; c++) {
			double s = sine((double)phase[c] / rate);
			phase[c] = (phase[c] + hz * (c + 1)) % rate;
			if (bits == 8) {
				data[at++] = (unsigned char)(128.5 + s * 64);
			} else {
				short v = (short)(s * 16000);
				data[at++] = v & 255;
				data[at++] = v >> 8 & 255;
			}
		}
		if (at > 60000 || f == frames - 1) {
			if (put_all(fd, at) < 0)
				return 21;
			at = 0;
		}
	}
	if (call(IOCTL, fd, DSP_SYNC, 0) < 0)
		return 22;
	return call(CLOSE, fd, 0, 0) < 0 ? 23 : 0;
}

static int record(char **a)
{
	int rate = number(a[0]), bits = number(a[1]), channels = number(a[2]);
	int len = rate / 100 * number(a[3]) / 10 * channels * bits / 8, fd = dsp(O_RDONLY, rate, bits, channels);
	if (fd < 0)
		return 30;
	while (len > 0) {
		int n = call(READ, fd, (int)data, len < 4096 ? len : 4096);
		if (n <= 0)
			return 31;
		for (int i = 0; i < n; i++)
			if (data[i] != (bits == 8 ? 128 : 0))
				return 32;
		len -= n;
	}
	return 0;
}

struct note {
	unsigned char voice, octave;
	unsigned int fnum;
	unsigned char key_on;
};

static int note(char **a)
{
	/* A carrier alone: the modulator is as quiet as can be. */
	unsigned char v = number(a[0]);
	unsigned char op[2][18] = {
		{ 0, v, 0, 0, 1, 0, 1, 0, 0, 15, 0, 0, 15, 0, 0, 1, 1, 0 },
		{ 1, v, 0, 0, 1, 0, 1, 0, 63, 15, 0, 0, 15, 0, 0, 1, 1, 0 },
	};
	struct note n = { v, number(a[2]), number(a[1]), 1 };
	int fd = call(OPEN, (int)"/dev/snd/hwC0D0", O_RDWR, 0);
	if (fd < 0)
		return 40;
	if (call(IOCTL, fd, FM_RESET, 0) < 0 || call(IOCTL, fd, (int)FM_SET_MODE, 1) < 0)
		return 41;
	for (int i = 0; i < 2; i++)
		if (call(IOCTL, fd, (int)FM_SET_VOICE, (int)op[i]) < 0)
			return 42;
	if (call(IOCTL, fd, (int)FM_PLAY_NOTE, (int)&n) < 0)
		return 43;
	wait_ms(number(a[3]));
	n.key_on = 0;
	if (call(IOCTL, fd, (int)FM_PLAY_NOTE, (int)&n) < 0)
		return 44;
	wait_ms(200);
	return call(CLOSE, fd, 0, 0) < 0 ? 45 : 0;
}

__attribute__((used)) static void begin(int *stack)
{
	char **a = (char **)stack + 3;
	char what = stack[0] > 2 ? ((char **)stack)[2][0] : 0;
	int n = stack[0] - 2;
	int code = what == 'v' && n == 1   ? volume(a)
		   : what == 'p' && n == 5 ? play(a)
		   : what == 'r' && n == 4 ? record(a)
		   : what == 'n' && n == 4 ? note(a)
					   : 1;
	call(EXIT, code, 0, 0);
}

__asm__(".globl _start\n_start:\n\tmov %esp, %eax\n\tand $-16, %esp\n\tsub $12, %esp\n\tpush %eax\n\tcall begin\n");
