// What numpy is slow at, or what it computes in an order that depends on how many rows there are: matrices as numpy has
// them, (inputs, outputs), and each row of a result by itself.
#pragma once
#include "arrays.h"
#include "products.h"

// R rows of x times V vectors of outputs.
template <int L, int R, int V>
INLINE void columns(const float* w, size_t stride, int inputs, const float* bias, const float* x, float* y) {
    using F = typename Vectors<L>::F;
    F sum[R][V], weights;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) std::memcpy(&sum[r][v], bias + v * L, sizeof(F));
    for (int i = 0; i < inputs; ++i, w += stride)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
            std::memcpy(&weights, w + v * L, sizeof(F));
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) sum[r][v] += weights * x[size_t(r) * inputs + i];
        }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) std::memcpy(y + r * stride + v * L, &sum[r][v], sizeof(F));
}

// R rows times all outputs: by four vectors, by one, one by one.
template <int L, int R>
INLINE void some_rows(const float* w, int inputs, int outputs, const float* bias, const float* x, float* y) {
    const size_t stride = size_t(outputs);
    int o = 0;
    for (; o + 4 * L <= outputs; o += 4 * L) columns<L, R, 4>(w + o, stride, inputs, bias + o, x, y + o);
    for (; o + L <= outputs; o += L) columns<L, R, 1>(w + o, stride, inputs, bias + o, x, y + o);
    for (; o < outputs; ++o)
        for (int r = 0; r < R; ++r) {
            float sum = bias[o];
            for (int i = 0; i < inputs; ++i) sum += w[i * stride + o] * x[size_t(r) * inputs + i];
            y[r * stride + o] = sum;
        }
}

// y = x w + bias: x (rows, inputs), w (inputs, outputs), y (rows, outputs)
template <int L, int R>
INLINE void affine(const float* w, int inputs, int outputs, const float* bias, const float* x, Py_ssize_t rows, float* y) {
    Py_ssize_t r = 0;
    for (; r + R <= rows; r += R) some_rows<L, R>(w, inputs, outputs, bias, x + r * inputs, y + r * outputs);
    for (; r < rows; ++r) some_rows<L, 1>(w, inputs, outputs, bias, x + r * inputs, y + r * outputs);
}

// given (steps, rows, 3 H), states h (rows, H), which go on, w (H, 3 H) -> out (steps, rows, H)
template <int L, int R>
INLINE void recur(const float* given, float* h, const float* w, const float* bias, Py_ssize_t steps, Py_ssize_t rows,
                  int hidden, float* out, float* own) {
    for (; steps--; given += rows * 3 * hidden, out += rows * hidden) {
        affine<L, R>(w, hidden, 3 * hidden, bias, h, rows, own);
        for (Py_ssize_t r = 0; r < rows; ++r)
            gates(given + r * 3 * hidden, own + r * 3 * hidden, h + r * hidden, out + r * hidden, hidden);
    }
}

// Power of a spectrum (frames, bins) of real and imaginary parts, weighted by filters: filter k has its weights in
// weights[first[k]] up to weights[first[k + 1]], from the bin low[k] on. -> out (frames, filters)
INLINE void filtered(const float* spectrum, Py_ssize_t frames, int bins, const float* weights, const int32_t* first,
                     const int32_t* low, int filters, float* power, float* out) {
    for (; frames--; spectrum += 2 * bins) {
        for (int b = 0; b < bins; ++b)
            power[b] = spectrum[2 * b] * spectrum[2 * b] + spectrum[2 * b + 1] * spectrum[2 * b + 1];
        for (int k = 0; k < filters; ++k) {
            const float* from = power + low[k];
            float sum = 0;
            for (int32_t i = first[k]; i < first[k + 1]; ++i) sum += weights[i] * *from++;
            *out++ = sum;
        }
    }
}
