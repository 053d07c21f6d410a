// Products of rows with int8 matrices where the processor multiplies bytes (AVX-512 VNNI): each row is rounded to 255
// steps of its own largest number on the way, so that a row's product depends on that row alone.
#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

#ifdef __x86_64__
#include <immintrin.h>

#define FOR_BYTES __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

inline bool bytes_ready() {
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}

// A row of `size` numbers -> bytes 0 .. 255, 128 for zero; returns the size of a step.
FOR_BYTES inline float to_bytes(const float* x, int size, uint8_t* out) {
    __m512 most = _mm512_setzero_ps();
    for (int i = 0; i < size; i += 16) {
        const __mmask16 inside = size - i < 16 ? __mmask16((1 << (size - i)) - 1) : __mmask16(-1);
        most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_maskz_loadu_ps(inside, x + i)));
    }
    const float largest = _mm512_reduce_max_ps(most), step = largest / 127;
    const __m512 factor = _mm512_set1_ps(largest > 0 ? 127 / largest : 0.0f);
    for (int i = 0; i < size; i += 16) {
        const __mmask16 inside = size - i < 16 ? __mmask16((1 << (size - i)) - 1) : __mmask16(-1);
        const __m512i steps = _mm512_cvtps_epi32(_mm512_maskz_loadu_ps(inside, x + i) * factor);
        _mm512_mask_cvtepi32_storeu_epi8(out + i, inside, _mm512_add_epi32(steps, _mm512_set1_epi32(128)));
    }
    return step;
}

// R rows of bytes times a panel of 64 outputs, whose weights for four inputs lie together.
template <int R>
FOR_BYTES void dots(const int8_t* w, int words, const uint8_t* x, size_t x_row, const float* steps, float* y, size_t y_row,
                    const float* scale, const float* bias, const int32_t* zero) {
    __m512i sum[R][4];
    for (int r = 0; r < R; ++r)
        for (int v = 0; v < 4; ++v) sum[r][v] = _mm512_setzero_si512();
    for (int i = 0; i < words; ++i, w += 256) {
        __m512i weights[4];
        for (int v = 0; v < 4; ++v) weights[v] = _mm512_load_si512(w + 64 * v);
        for (int r = 0; r < R; ++r) {
            int32_t four;
            std::memcpy(&four, x + r * x_row + 4 * i, 4);
            const __m512i all = _mm512_set1_epi32(four);
            for (int v = 0; v < 4; ++v) sum[r][v] = _mm512_dpbusd_epi32(sum[r][v], all, weights[v]);
        }
    }
    for (int r = 0; r < R; ++r)
        for (int v = 0; v < 4; ++v) {
            const __m512 exact = _mm512_cvtepi32_ps(_mm512_sub_epi32(sum[r][v], _mm512_loadu_si512(zero + 16 * v)));
            const __m512 factor = _mm512_loadu_ps(scale + 16 * v) * _mm512_set1_ps(steps[r]);
            _mm512_storeu_ps(y + r * y_row + 16 * v, _mm512_fmadd_ps(exact, factor, _mm512_loadu_ps(bias + 16 * v)));
        }
}

// w: panels of 64 outputs; zero: 128 times the sum of each output's weights.
inline void dots(const int8_t* w, int inputs, int panels, const float* scale, const float* bias, const int32_t* zero,
                 const float* x, int rows, size_t x_row, float* y, size_t y_row) {
    const int words = (inputs + 3) / 4, most = 48;  // rows that stay in the cache while a panel goes over them
    thread_local std::vector<uint8_t> bytes;
    thread_local std::vector<float> steps;
    bytes.assign(size_t(most) * 4 * words, 128), steps.resize(most);
    for (; rows > 0; rows -= most, x += most * x_row, y += most * y_row) {
        const int some = rows < most ? rows : most, row = 4 * words;
        for (int r = 0; r < some; ++r) steps[r] = to_bytes(x + r * x_row, inputs, bytes.data() + r * row);
        for (int p = 0; p < panels; ++p) {
            const int8_t* of_panel = w + size_t(p) * 256 * words;
            const int at = 64 * p;
            int r = 0;
            const auto rest = [&](auto block, int count) {
                for (; r + count <= some; r += count)
                    block(of_panel, words, bytes.data() + r * row, row, &steps[r], y + r * y_row + at, y_row, scale + at,
                          bias + at, zero + at);
            };
            rest(dots<6>, 6), rest(dots<2>, 2), rest(dots<1>, 1);
        }
    }
}
#else
inline bool bytes_ready() { return false; }
inline void dots(const int8_t*, int, int, const float*, const float*, const int32_t*, const float*, int, size_t, float*,
                 size_t) {}
#endif
