/* Floating point. The file is compiled twice: for the x87 unit alone, and for SSE2. */
#include <math.h>
#include <string.h>

#include "bench.h"

/* Mandelbrot: sums, products and a compare. The sum is of whole numbers, and the same on any IEEE machine. */

static uint32_t mandelbrot_round(void)
{
    enum { WIDE = 60, HIGH = 40, DEPTH = 200 };
    uint32_t sum = 0;
    for (int y = 0; y < HIGH; y++)
        for (int x = 0; x < WIDE; x++) {
            double cr = x * (3.0 / WIDE) - 2.25, ci = y * (2.5 / HIGH) - 1.25;
            double zr = 0, zi = 0;
            int n = 0;
            while (n < DEPTH) {
                double rr = zr * zr, ii = zi * zi;
                if (rr + ii > 4.0)
                    break;
                zi = 2 * zr * zi + ci;
                zr = rr - ii + cr;
                n++;
            }
            sum = sum * 31 + n;
        }
    return sum;
}

/* Millionths of a sum: emulators may differ from the x87 unit in the last bits of a sine, not in these. */
static uint32_t millionths(double sum)
{
    int64_t n = (int64_t)(sum * 1e6);
    return (uint32_t)n ^ (uint32_t)(n >> 32);
}

#ifdef __SSE2__

/* Sine and arc tangent as such code is written for SSE2: range reduction and a polynomial. */

static double polynomial(const double *c, int n, double x)
{
    double p = c[--n];
    while (n > 0)
        p = p * x + c[--n];
    return p;
}

static NOINLINE double sine(double x)
{
    /* Taylor's series to x^15: on half a quadrant its error is below that of the arithmetic. */
    static const double s[] = { 1.0, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800,
                                1.0 / 6227020800.0, -1.0 / 1307674368000.0 };
    static const double c[] = { 1.0, -1.0 / 2, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800,
                                1.0 / 479001600.0, -1.0 / 87178291200.0 };
    int q = (int)(x * (2 / M_PI) + (x < 0 ? -0.5 : 0.5));
    /* pi/2 in two parts, the first short enough that its product with q is exact. */
    double r = (x - q * 0x1.921fb544p+0) - q * 0x1.0b4611a626331p-34;
    double v = q & 1 ? polynomial(c, 8, r * r) : r * polynomial(s, 8, r * r);
    return q & 2 ? -v : v;
}

static NOINLINE double angle(double y, double x)
{
    double ay = fabs(y), ax = fabs(x), base = 0, sign = 1;
    double t = ay < ax ? ay / ax : ax / ay;
    if (ay >= ax) {
        base = M_PI / 2;
        sign = -1;
    }
    if (t > 0.41421356237309503) {
        base += sign * (M_PI / 4);
        t = (t - 1) / (t + 1);
    }
    static const double c[] = { 1.0, -1.0 / 3, 1.0 / 5, -1.0 / 7, 1.0 / 9, -1.0 / 11, 1.0 / 13, -1.0 / 15, 1.0 / 17,
                                -1.0 / 19, 1.0 / 21 };
    double v = base + sign * t * polynomial(c, 11, t * t);
    if (x < 0)
        v = M_PI - v;
    return y < 0 ? -v : v;
}

static NOINLINE double root(double x)
{
    double v;
    __asm__("sqrtsd %1, %0" : "=x"(v) : "x"(x));
    return v;
}

/* The C library's: on 32-bit x86 its code is of the x87 unit, and sets the rounding mode in every call. */
static uint32_t library_round(void)
{
    double sum = 0;
    for (int i = 0; i < 10000; i++) {
        volatile double x = i * 0.001 - 5;
        sum += sin(x) + atan2(x, 1.5) + sqrt(x * x + 1);
    }
    return millionths(sum);
}

#define MANDELBROT "sse2-mandelbrot"
#define TRIGONOMETRY "sse2-trig"

#else

static double sine(double x)
{
    long double v;
    __asm__("fsin" : "=t"(v) : "0"((long double)x));
    return v;
}

static double angle(double y, double x)
{
    long double v;
    __asm__("fpatan" : "=t"(v) : "0"((long double)x), "u"((long double)y) : "st(1)");
    return v;
}

static double root(double x)
{
    long double v;
    __asm__("fsqrt" : "=t"(v) : "0"((long double)x));
    return v;
}

#define MANDELBROT "x87-mandelbrot"
#define TRIGONOMETRY "x87-trig"

#endif

static uint32_t trigonometry_round(void)
{
    double sum = 0;
    for (int i = 0; i < 10000; i++) {
        double x = i * 0.001 - 5;
        sum += sine(x) + angle(x, 1.5) + root(x * x + 1);
    }
    return millionths(sum);
}

const struct line float_lines[] = {
    { MANDELBROT, 400, NULL, mandelbrot_round, NULL },
    { TRIGONOMETRY, 200, NULL, trigonometry_round, NULL },
#ifdef __SSE2__
    { "libm-trig", 200, NULL, library_round, NULL },
#endif
    { 0 },
};
