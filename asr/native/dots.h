// Products of rows with int8 matrices as whole numbers: each row is rounded to 255 steps of its own largest number on the
// way. Sums of whole numbers are exact, so that a row's product depends on that row alone; every kind of vectors comes to
// the same sums. AVX-512 VNNI, AVX-VNNI and newer ARMs add four products of bytes at a time; what came before adds pairs.
#pragma once
#include <cmath>
#include <cstring>
#include <vector>

#include "lanes.h"

struct ByteMatrix {
    const int8_t* weights;  // panels of 64 outputs, whose weights for four inputs lie together
    int inputs, panels;
    const float *scale, *bias;
    const int32_t* zero;  // 128 times the sum of each output's weights
};

// Kinds of vectors: how many products are added at a time, and bits of a vector.
enum Bytes { NO_BYTES, PAIRS_128, PAIRS_256, FOURS_256, FOURS_512 };  // ARM has both in 128 bits

#if defined(__x86_64__)
#include <immintrin.h>

// Two instructions are written as such: with GCC's functions for them the sums move between registers all the time.
#define NEAREST(whole, x) asm("vcvtps2dq %1, %0" : "=v"(whole) : "v"(x))
#define ENCODING ""
#define ADD_FOURS(sum, x, w) asm(ENCODING "vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w))
#define BYTE_ZERO 128
#define FOR_BYTES __attribute__((target("avx512f,avx512bw,avx512vl,fma")))
#define BYTE_LANES 16
#define BYTE_ROWS 6  // whose sums fit into the registers
namespace fours_512 {
#include "dots_by.h"
}
#undef BYTE_LANES
#undef BYTE_ROWS

#define BYTE_LANES 8
#define BYTE_ROWS 2
namespace fours_by_512 {  // what AVX-VNNI computes, for tests where that is missing
#include "dots_by.h"
}
#undef FOR_BYTES

#define FOR_BYTES __attribute__((target("avx2,fma")))
#if __GNUC__ >= 11
#undef ENCODING
#define HAVE_AVX_VNNI 1
#define ENCODING "%{vex%} "
namespace fours_256 {
#include "dots_by.h"
}
#endif

// Sums of pairs fit into 16 bits: 2 * 128 * 127. The sign of a weight goes over to the number that it meets.
#undef ADD_FOURS
#undef BYTE_ZERO
#define ADD_FOURS(sum, x, w)                                                                             \
    sum += (I)_mm256_madd_epi16(                                                                         \
        _mm256_maddubs_epi16(_mm256_abs_epi8((__m256i)w), _mm256_sign_epi8((__m256i)x, (__m256i)w)), \
        _mm256_set1_epi16(1))
#define BYTE_ZERO 0
namespace pairs_256 {
#include "dots_by.h"
}
#undef FOR_BYTES
#undef BYTE_LANES
#undef ADD_FOURS
#undef NEAREST

#define NEAREST(whole, x) asm("cvtps2dq %1, %0" : "=x"(whole) : "x"(x))
#define FOR_BYTES __attribute__((target("ssse3")))
#define BYTE_LANES 4
#define ADD_FOURS(sum, x, w)                                                                    \
    sum += (I)_mm_madd_epi16(                                                                   \
        _mm_maddubs_epi16(_mm_abs_epi8((__m128i)w), _mm_sign_epi8((__m128i)x, (__m128i)w)), \
        _mm_set1_epi16(1))
namespace pairs_128 {
#include "dots_by.h"
}

// The fastest kind that this processor has, `most` at most.
inline Bytes bytes_at_most(int most) {
    const bool narrow = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool wide = narrow && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512vnni");
    if (most >= FOURS_512 && wide) return FOURS_512;
    if (most >= FOURS_256 && wide) return FOURS_256;
#ifdef HAVE_AVX_VNNI
    if (most >= FOURS_256 && narrow && __builtin_cpu_supports("avxvnni")) return FOURS_256;
#endif
    if (most >= PAIRS_256 && narrow) return PAIRS_256;
    return most >= PAIRS_128 && __builtin_cpu_supports("ssse3") ? PAIRS_128 : NO_BYTES;
}

inline void dots(Bytes kind, const ByteMatrix& m, const float* x, int rows, size_t x_row, float* y, size_t y_row) {
    if (kind == FOURS_512) return fours_512::dots(m, x, rows, x_row, y, y_row);
    if (kind == PAIRS_256) return pairs_256::dots(m, x, rows, x_row, y, y_row);
    if (kind == PAIRS_128) return pairs_128::dots(m, x, rows, x_row, y, y_row);
#ifdef HAVE_AVX_VNNI
    if (__builtin_cpu_supports("avxvnni")) return fours_256::dots(m, x, rows, x_row, y, y_row);
#endif
    fours_by_512::dots(m, x, rows, x_row, y, y_row);
}
#elif defined(__aarch64__) && defined(__GNUC__)
#include <arm_neon.h>
#ifdef __linux__
#include <sys/auxv.h>
#endif

#define NEAREST(whole, x) whole = (I)vcvtnq_s32_f32((float32x4_t)x)
#define BYTE_ZERO 0
#define BYTE_LANES 4
#define BYTE_ROWS 4
#define FOR_BYTES
#define ADD_FOURS(sum, x, w)                                                                                       \
    sum += (I)vpaddq_s32(vpaddlq_s16(vmull_s8(vget_low_s8((int8x16_t)x), vget_low_s8((int8x16_t)w))), \
                         vpaddlq_s16(vmull_high_s8((int8x16_t)x, (int8x16_t)w)))
namespace pairs_128 {
#include "dots_by.h"
}
#undef FOR_BYTES
#undef ADD_FOURS

#ifdef __clang__
#define FOR_BYTES __attribute__((target("dotprod")))
#else
#define FOR_BYTES __attribute__((target("arch=armv8.2-a+dotprod")))
#endif
#define ADD_FOURS(sum, x, w) asm("sdot %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(x), "w"(w))
namespace fours_128 {
#include "dots_by.h"
}

inline bool adds_fours() {
#if defined(__ARM_FEATURE_DOTPROD)
    return true;
#elif defined(__linux__)
    return getauxval(AT_HWCAP) & (1 << 20);  // HWCAP_ASIMDDP
#else
    return false;
#endif
}

inline Bytes bytes_at_most(int most) {
    return most >= FOURS_256 && adds_fours() ? FOURS_256 : most >= PAIRS_128 ? PAIRS_128 : NO_BYTES;
}

inline void dots(Bytes kind, const ByteMatrix& m, const float* x, int rows, size_t x_row, float* y, size_t y_row) {
    if (kind == PAIRS_128) return pairs_128::dots(m, x, rows, x_row, y, y_row);
    fours_128::dots(m, x, rows, x_row, y, y_row);
}
#else
inline Bytes bytes_at_most(int) { return NO_BYTES; }
inline void dots(Bytes, const ByteMatrix&, const float*, int, size_t, float*, size_t) {}
#endif
