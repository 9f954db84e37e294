/*
 * depth.c - section "depth": how much of a change of the input n layers pass on, before any training.
 *
 *     h = tanh(W h)               layers in a row
 *     h = tanh(W norm(h))         with a norm before each (Ba, Kiros, Hinton 2016)
 *     h = h + tanh(W norm(h))     and with an addition behind it, as in a Transformer's block (He et al. 2016)
 *
 * A change dh goes along with h, multiplied by the Jacobian of each layer. The gradient goes the same way back, so the
 * same share of it arrives. W starts as that of PyTorch's nn.Linear, uniform up to 1 / sqrt(size), which has the
 * variance 1 / (3 size); or with the variance 1 / size (Glorot, Bengio 2010), up to sqrt(3) times as large.
 */
#include <math.h>
#include <string.h>

#include "compare.h"

enum { SIZE = 64, N_DEPTHS = 7, DEEPEST = 64, N_NETWORKS = 25 };

static const struct {
    const char *name;
    bool large, norms, additions;
} kinds[] = {{"in a row", false, false, false},
             {"larger start", true, false, false},
             {"norms", false, true, false},
             {"norms, additions", false, true, true}};

enum { N_KINDS = sizeof kinds / sizeof *kinds };

/* From -1 to 1. */
static double draw(uint64_t *random) { return (double)random_below(random, 1 << 24) / (1 << 23) - 1; }

/* n = norm(h), and dn, what becomes of dh. */
static void norm(const double *h, const double *dh, double *n, double *dn)
{
    double mean = 0, d_mean = 0, variance = 0, along = 0;
    for (size_t i = 0; i < SIZE; i++) {
        mean += h[i] / SIZE;
        d_mean += dh[i] / SIZE;
    }
    for (size_t i = 0; i < SIZE; i++)
        variance += (h[i] - mean) * (h[i] - mean) / SIZE;
    for (size_t i = 0; i < SIZE; i++) {
        n[i] = (h[i] - mean) / sqrt(variance);
        along += n[i] * dh[i] / SIZE;
    }
    for (size_t i = 0; i < SIZE; i++)
        dn[i] = (dh[i] - d_mean - n[i] * along) / sqrt(variance);
}

/* arrived[i] = |dh| after 2^i layers of one network, where |dh| is 1 before the first. tanh is the library's, which has
   the same bits on every machine. */
static bool pass_layers(ink_context *ctx, uint64_t *random, size_t kind, double arrived[N_DEPTHS])
{
    const double most = kinds[kind].large ? sqrt(3.0 / SIZE) : sqrt(1.0 / SIZE);
    double h[SIZE], dh[SIZE], n[SIZE], dn[SIZE], before = 0;
    for (size_t i = 0; i < SIZE; i++) {
        h[i] = sqrt(3) * draw(random); /* mean 0, variance 1 */
        dh[i] = draw(random);
        before += dh[i] * dh[i];
    }
    for (size_t layer = 1, depth = 0; layer <= DEEPEST; layer++) {
        float sums[SIZE], t[SIZE];
        double d_sums[SIZE], after = 0;
        if (kinds[kind].norms) {
            norm(h, dh, n, dn);
        } else {
            memcpy(n, h, sizeof n);
            memcpy(dn, dh, sizeof dn);
        }
        for (size_t i = 0; i < SIZE; i++) {
            double sum = d_sums[i] = 0;
            for (size_t j = 0; j < SIZE; j++) {
                const double w = most * draw(random);
                sum += w * n[j];
                d_sums[i] += w * dn[j];
            }
            sums[i] = (float)sum;
        }
        if (!console_ok(ctx, ink_activate(ctx, INK_TANH, sums, SIZE, t)))
            return false;
        for (size_t i = 0; i < SIZE; i++) {
            h[i] = (kinds[kind].additions ? h[i] : 0) + (double)t[i];
            dh[i] = (kinds[kind].additions ? dh[i] : 0) + (1 - (double)t[i] * (double)t[i]) * d_sums[i];
            after += dh[i] * dh[i];
        }
        if ((layer & (layer - 1)) == 0)
            arrived[depth++] = sqrt(after / before);
    }
    return true;
}

bool compare_depth(comparison *c, finding *f)
{
    double arrived[N_NETWORKS][N_DEPTHS], one[N_NETWORKS], last[N_KINDS];
    uint64_t random = c->seed;
    bool passes[N_KINDS];
    chart *picture = finding_chart(f, "depth", "Before training: how much of a change passes so many layers", "layers",
                                   "size of the change, 1 before the first", 4);
    picture->log_y = true;
    chart_powers(picture, N_DEPTHS);
    for (size_t kind = 0; kind < N_KINDS; kind++) {
        for (size_t k = 0; k < N_NETWORKS; k++)
            if (!pass_layers(c->ctx, &random, kind, arrived[k]))
                return false;
        double *y = chart_line(picture, kinds[kind].name, "RLNA"[kind], (chart_style)kind);
        for (size_t depth = 0; depth < N_DEPTHS; depth++) {
            for (size_t k = 0; k < N_NETWORKS; k++)
                one[k] = arrived[k][depth];
            y[depth] = stats_median(one, N_NETWORKS);
        }
        last[kind] = y[N_DEPTHS - 1];
        passes[kind] = last[kind] >= VANISHED * y[0];
    }
    finding_note(f, !passes[0],
                 "through %d layers in a row a change vanishes: %.1g of it arrives, the median of %d networks", DEEPEST,
                 last[0], N_NETWORKS);
    finding_note(f, passes[1], "with larger starting values it does not: %.2g of it arrives", last[1]);
    finding_note(f, passes[2], "with a norm before each layer it does not: it arrives %.1f times as large", last[2]);
    finding_note(f, passes[3], "with an addition behind each as well it does not: %.1f times as large", last[3]);
    return true;
}
