/*
 * circuit.c - the amplifier that the network imitates.
 */
#include "circuit.h"

#include <math.h>

#define PI 3.14159265358979323846

/*
 * H(s) = (low + high s / w) / (1 + s / w) with w = 2 pi corner, made discrete by the bilinear transform. With
 * K = tan(pi corner / rate):
 *
 *     b0 = (low K + high) / (K + 1),   b1 = (low K - high) / (K + 1),   a1 = (K - 1) / (K + 1)
 */
static circuit_filter filter(double rate, double corner, double low, double high)
{
    double k = tan(PI * fmin(corner / rate, 0.49)); /* no sound has frequencies above half its rate */
    return (circuit_filter){
        .b0 = (low * k + high) / (k + 1), .b1 = (low * k - high) / (k + 1), .a1 = (k - 1) / (k + 1)};
}

static double run_filter(circuit_filter *f, double x)
{
    f->y = f->b0 * x + f->b1 * f->x - f->a1 * f->y;
    f->x = x;
    return f->y;
}

void circuit_start(circuit *c, double rate)
{
    *c = (circuit){
        .input = filter(rate, 80, 0, 1),     /* no rumble */
        .bright = filter(rate, 800, 1, 4),   /* treble meets the valve four times as strong */
        .coupling = filter(rate, 30, 0, 1),  /* no direct current, which a valve that clips on one side makes */
        .tone = filter(rate, 1200, 1, 0.4),  /* and treble is taken back */
        .speaker = filter(rate, 4500, 1, 0), /* a loudspeaker for guitars plays nothing above some kHz */
        .cone = filter(rate, 5500, 1, 0),
        .attack = 1 - exp(-1 / (0.010 * rate)), /* the supply drops in 10 ms, and recovers in 120 */
        .release = 1 - exp(-1 / (0.120 * rate)),
    };
}

void circuit_process(circuit *c, const float *x, size_t n, float *y)
{
    const double drive = 8, bias = 0.3, sag = 0.3, level = 0.6;
    for (size_t t = 0; t < n; t++) {
        double grid = run_filter(&c->bright, run_filter(&c->input, (double)x[t]));
        double supply = 1 - sag * c->load;
        double plate = supply * (tanh(drive * grid / supply + bias) - tanh(bias));
        c->load += (fabs(plate) > c->load ? c->attack : c->release) * (fabs(plate) - c->load);
        double tone = run_filter(&c->tone, run_filter(&c->coupling, plate));
        y[t] = (float)(level * run_filter(&c->cone, run_filter(&c->speaker, tone)));
    }
}
