/*
 * depth.c - section "depth": how much of a change of the input n layers pass on, before any training.
 *
 *     h = tanh(W h)               layers in a row, an MLP
 *     h = h + tanh(W norm(h))     with a norm before each of them and an addition behind it, as in a Transformer's
 * block
 *
 * (He et al. 2016; Ba, Kiros, Hinton 2016.) A change dh goes along with h, multiplied by the Jacobian of each layer.
 * The gradient goes the same way back, so it arrives at the first layers with the same share. W starts as that of
 * PyTorch's nn.Linear: uniform, up to 1 / sqrt(size).
 */
#include <math.h>
#include <string.h>

#include "compare.h"

enum { SIZE = 64, N_DEPTHS = 7, DEEPEST = 64, N_NETWORKS = 25 };

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

/* arrived[i] = |dh| after 2^i layers of one network, where |dh| is 1 before the first. */
static void pass_layers(uint64_t *random, bool additions, double arrived[N_DEPTHS])
{
    double h[SIZE], dh[SIZE], n[SIZE], dn[SIZE], before = 0;
    for (size_t i = 0; i < SIZE; i++) {
        h[i] = sqrt(3) * draw(random); /* mean 0, variance 1 */
        dh[i] = draw(random);
        before += dh[i] * dh[i];
    }
    for (size_t layer = 1, depth = 0; layer <= DEEPEST; layer++) {
        if (additions) {
            norm(h, dh, n, dn);
        } else {
            memcpy(n, h, sizeof n);
            memcpy(dn, dh, sizeof dn);
            memset(h, 0, sizeof h);
            memset(dh, 0, sizeof dh);
        }
        double after = 0;
        for (size_t i = 0; i < SIZE; i++) {
            double sum = 0, d_sum = 0;
            for (size_t j = 0; j < SIZE; j++) {
                const double w = draw(random) / sqrt(SIZE);
                sum += w * n[j];
                d_sum += w * dn[j];
            }
            const double t = tanh(sum);
            h[i] += t;
            dh[i] += (1 - t * t) * d_sum;
            after += dh[i] * dh[i];
        }
        if ((layer & (layer - 1)) == 0)
            arrived[depth++] = sqrt(after / before);
    }
}

bool compare_depth(comparison *c, finding *f)
{
    static const char *const names[] = {"in a row", "additions"};
    double median[2][N_DEPTHS], arrived[N_NETWORKS][N_DEPTHS], one[N_NETWORKS];
    uint64_t random = c->seed;
    chart *picture = finding_chart(f, "depth", "Before training: how much of a change passes so many layers", "layers",
                                   "size of the change, 1 before the first", 4);
    picture->log_y = true;
    chart_powers(picture, N_DEPTHS);
    for (size_t additions = 0; additions < 2; additions++) {
        for (size_t k = 0; k < N_NETWORKS; k++)
            pass_layers(&random, additions != 0, arrived[k]);
        for (size_t depth = 0; depth < N_DEPTHS; depth++) {
            for (size_t k = 0; k < N_NETWORKS; k++)
                one[k] = arrived[k][depth];
            median[additions][depth] = stats_median(one, N_NETWORKS);
        }
        double *y = chart_line(picture, names[additions], additions ? 'T' : 'M', additions ? CHART_GPT : CHART_MLP);
        memcpy(y, median[additions], sizeof median[additions]);
    }
    finding_note(f, median[0][N_DEPTHS - 1] < VANISHED * median[0][0],
                 "through %d layers in a row a change vanishes: %.1g of it arrives, the median of %d networks", DEEPEST,
                 median[0][N_DEPTHS - 1], N_NETWORKS);
    finding_note(f, median[1][N_DEPTHS - 1] >= VANISHED * median[1][0],
                 "with norms and additions it does not: it arrives %.1f times as large", median[1][N_DEPTHS - 1]);
    return true;
}
