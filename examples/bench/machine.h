/*
 * machine.h - the ceilings of the machine, measured by small loops: how fast one core multiplies and adds, how fast it
 * reads and copies, and how fast its clock runs.
 */
#ifndef EXAMPLES_MACHINE_H
#define EXAMPLES_MACHINE_H

#include <stdbool.h>
#include <stddef.h>

/* The instructions that measure a ceiling: those of a kernel ("avx2", "avx512"), or plain C for any other name. */
typedef enum machine_isa { MACHINE_PLAIN, MACHINE_AVX2, MACHINE_AVX512 } machine_isa;

machine_isa machine_isa_of(const char *kernel);

/* Floating-point operations a second of one short run (some 40 us) of independent fused multiply-adds in registers. */
double machine_multiply_adds(machine_isa isa);

/* Bytes a second of reading `size` bytes at `data` from beginning to end, `times` times. `data` is aligned to 64 bytes,
   `size` a multiple of 1024. */
double machine_reads(machine_isa isa, const void *data, size_t size, size_t times);

/* The same, once, in the order in which a product of one row reads a packed matrix: four panels of `panel` bytes side
   by side, then the next four. */
double machine_reads_panels(machine_isa isa, const void *data, size_t size, size_t panel);

/* Bytes a second of copying `size` bytes; each counts once. */
double machine_copies(const void *from, void *to, size_t size);

/* Cycles a second, from a short run (some 10 us) of additions that wait for each other; 0 if the compiler offers no way
   to keep them apart. */
double machine_clock(void);

/* `size` bytes, aligned to 2 MiB, on pages as large as the system gives, all of them written to. Release with free();
   NULL without memory. */
void *machine_memory(size_t size);

#endif
