/*
 * circuit.h - the amplifier that the network of amp.c imitates, as a small model of a circuit.
 *
 *     input -> coupling capacitor -> bright switch -> valve -> coupling capacitor -> loudspeaker -> output
 *                                                      ^  |
 *                                                      +- power supply that sags
 *
 * The valve bends the wave: it clips, on one side sooner than on the other. What comes in front of it decides which
 * frequencies it bends most, what comes behind it how that sounds. The supply remembers: after a loud chord the valve
 * has less room for a tenth of a second. So the output depends on the past of the input, and is not linear. No filter
 * and no curve alone can imitate it (examples/train/log.md has both, measured).
 */
#ifndef EXAMPLES_CIRCUIT_H
#define EXAMPLES_CIRCUIT_H

#include <stddef.h>

/* One capacitor and two resistors: gain `low` far below the corner frequency, gain `high` far above it. */
typedef struct circuit_filter {
    double b0, b1, a1; /* y[t] = b0 x[t] + b1 x[t-1] - a1 y[t-1] */
    double x, y;       /* of the last sample */
} circuit_filter;

typedef struct circuit {
    circuit_filter input, bright, coupling, tone, speaker, cone;
    double load, attack, release; /* of the power supply */
} circuit;

/* A circuit at rest, for `rate` samples a second. */
void circuit_start(circuit *c, double rate);

/* The next n samples: y [n] from x [n]; they may be the same array. */
void circuit_process(circuit *c, const float *x, size_t n, float *y);

#endif
