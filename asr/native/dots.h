// Products of rows with int8 matrices where the processor multiplies bytes (AVX-512 VNNI, AVX-VNNI): each row is rounded to
// 255 steps of its own largest number on the way. Sums of whole numbers are exact, so that a row's product depends on
// that row alone and is the same by vectors of any width.
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

#ifdef __x86_64__
#define FOR_BYTES __attribute__((target("avx512f,avx512bw,avx512vl,fma")))
#define ENCODING ""
#define BYTE_LANES 16
#define BYTE_ROWS 6  // whose sums fit into the registers
namespace avx512 {
#include "dots_by.h"
}
#undef BYTE_LANES
#undef BYTE_ROWS

#define BYTE_LANES 8
#define BYTE_ROWS 2
namespace avx512_narrow {  // what AVX-VNNI computes, for tests where that is missing
#include "dots_by.h"
}
#undef FOR_BYTES
#undef ENCODING

#if __GNUC__ >= 11
#define HAVE_AVX_VNNI 1
#define FOR_BYTES __attribute__((target("avx2,fma")))
#define ENCODING "%{vex%} "
namespace avx {
#include "dots_by.h"
}
#endif

// Lanes of int32 in the vectors that multiply bytes, at most so many; 0: this processor has none.
inline int byte_lanes_at_most(int most) {
    const bool wide = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma");
    if (most >= 16 && wide) return 16;
#ifdef HAVE_AVX_VNNI
    if (most >= 8 && __builtin_cpu_supports("avxvnni") && __builtin_cpu_supports("fma")) return 8;
#endif
    return most >= 8 && wide ? 8 : 0;
}

inline void dots(int lanes, const ByteMatrix& m, const float* x, int rows, size_t x_row, float* y, size_t y_row) {
    if (lanes == 16) return avx512::dots(m, x, rows, x_row, y, y_row);
#ifdef HAVE_AVX_VNNI
    if (__builtin_cpu_supports("avxvnni")) return avx::dots(m, x, rows, x_row, y, y_row);
#endif
    avx512_narrow::dots(m, x, rows, x_row, y, y_row);
}
#else
inline int byte_lanes_at_most(int) { return 0; }
inline void dots(int, const ByteMatrix&, const float*, int, size_t, float*, size_t) {}
#endif
