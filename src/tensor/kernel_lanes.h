/*
 * kernel_lanes.h - the end of a row that is no whole vec. Part of the kernel body (kernel_body.h), and of the files
 * with dot products of bytes.
 */

/* The elements of a row of n that the vec from element i on holds. */
INLINE size_t lanes_from(size_t i, size_t n) { return n - i < VEC_LANES ? n - i : VEC_LANES; }

INLINE vec load_lanes(const float *p, size_t lanes)
{
    return lanes == VEC_LANES ? vec_load(p) : vec_load_part(p, lanes);
}

INLINE void store_lanes(float *p, size_t lanes, vec a)
{
    if (lanes == VEC_LANES)
        vec_store(p, a);
    else
        vec_store_part(p, lanes, a);
}
