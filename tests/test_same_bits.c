/*
 * test_same_bits.c - the promise that results are the same to the bit, held against numbers written down here.
 *
 * The other tests compare runs within one program; these values must come out of every program: gcc and clang, any
 * optimisation, every kernel, any machine. If a change of the arithmetic is meant, the new values are what the failing
 * test prints.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

static const struct {
    const char *name;
    uint64_t bits;
} expected[] = {
    {"gpt2", UINT64_C(0xc3ed3e23459fdfe4)},
    {"gpt2_bf16", UINT64_C(0xa20c93166b8c15cb)},
    {"rnn", UINT64_C(0xf84ed23b117671ad)},
    {"rnn_relu", UINT64_C(0x9c0998534ef171f7)},
    {"gru", UINT64_C(0xb587c03c1cc773e3)},
    {"lstm", UINT64_C(0xbdb94af079d4a477)},
    {"mlp", UINT64_C(0x40b3249608e066e9)},
    {"mlp_tied", UINT64_C(0x1dbdd2aeaf6a72b2)},
    {"gru_f16", UINT64_C(0x2a99c1be35712c50)},
    {"llama", UINT64_C(0x2c7c9816df9df029)},
    {"llama_bias", UINT64_C(0xaba3ec00e716bb9e)},
    {"mistral", UINT64_C(0x9a3dc8a654cbb7dc)},
    {"qwen2", UINT64_C(0xa8480001f0b906a7)},
    {"qwen3", UINT64_C(0x9f504584ad67eb11)},
};

/* FNV-1a over the bits of the floats, in little-endian order. */
static uint64_t checksum(const float *x, size_t n)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        for (unsigned byte = 0; byte < 4; byte++)
            hash = (hash ^ (bits >> 8 * byte & 0xFF)) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* All logits of all tokens, with the kernel this run is about and with every other. */
static void test_logits(void **unused)
{
    size_t wrong = 0;
    (void)unused;
    for (size_t i = 0; fixture_names[i] != NULL; i++) {
        fixture f;
        assert_string_equal(expected[i].name, fixture_names[i]);
        fixture_open(&f, fixture_names[i]);
        for (size_t k = 0; ink_kernel_name(k) != NULL; k++) {
            ink_context *ctx = ink_context_create(&(ink_context_options){.kernel = ink_kernel_name(k)});
            assert_non_null(ctx);
            float *logits = fixture_run(ctx, f.model, f.tokens, f.n_tokens);
            uint64_t found = checksum(logits, f.n_tokens * f.info->vocab_size);
            if (found != expected[i].bits) {
                print_error("%s, kernel %s: UINT64_C(0x%016" PRIx64 ")\n", f.name, ink_kernel_name(k), found);
                wrong++;
            }
            free(logits);
            ink_context_free(ctx);
        }
        fixture_close(&f);
    }
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_logits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
