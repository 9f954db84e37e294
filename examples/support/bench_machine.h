/*
 * bench_machine.h - the ceilings of the machine, measured by small loops of their own: how fast one core multiplies and
 * adds, and how fast it reads.
 */
#ifndef EXAMPLES_BENCH_MACHINE_H
#define EXAMPLES_BENCH_MACHINE_H

#include <stdbool.h>
#include <stddef.h>

/* The instructions a ceiling is measured with: those of a kernel ("avx2", "avx512"), or plain C for any other name. */
typedef enum machine_isa { MACHINE_PLAIN, MACHINE_AVX2, MACHINE_AVX512 } machine_isa;

machine_isa machine_isa_of(const char *kernel);

/* Floating-point operations a second of one short run (some 40 us) of independent fused multiply-adds in registers. */
double machine_multiply_adds(machine_isa isa);

/* Bytes a second of reading `size` bytes at `data` from beginning to end, `times` times over. `data` is at a multiple
   of 64, `size` a multiple of 1024. */
double machine_reads(machine_isa isa, const void *data, size_t size, size_t times);

#endif
