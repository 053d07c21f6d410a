// Products of rows with large matrices, and the gates of a GRU, for the widest vectors that the processor has.
// Weights are float32, or int8 with a scale for each output, which are multiplied out on their way: four bytes of a
// word are weights of four outputs, so that the shifts that part them are all it takes.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "dots.h"
#include "lanes.h"

const int WORDS = 16, PANEL = 4 * WORDS;  // outputs whose weights lie together
const int TILE = 48;                      // rows that stay in the cache while a panel goes over them
const float EPSILON = 1e-5f;              // of layer normalisation

template <class T>
struct Aligned {  // to a line of the cache
    std::vector<T> values;
    T* data = nullptr;
    void resize(size_t size) {
        values.assign(size + 64 / sizeof(T), T());
        data = reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(values.data()) + 63) & ~uintptr_t(63));
    }
};

// The weights of V times L outputs, of four, for one input.
template <int L, int V>
INLINE void read(const float* w, int part, typename Vectors<L>::F (&out)[V]) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) std::memcpy(&out[v], w + v * WORDS + part * L, 4 * L);
}

template <int L, int V>
INLINE void read(const int8_t* w, int part, typename Vectors<L>::F (&out)[V]) {
    typename Vectors<L>::I words;
    std::memcpy(&words, w + 4 * part * L, 4 * L);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
        out[v] = __builtin_convertvector((words << (24 - 8 * v)) >> 24, typename Vectors<L>::F);
}

// R rows of x times the weights of a part of a panel, scaled and with the bias.
template <int L, int V, int R, class W>
INLINE void block(const W* w, int part, const float* x, int inputs, size_t x_row, float* y, size_t y_row,
                  const float* scale, const float* bias) {
    using F = typename Vectors<L>::F;
    F sum[R][V];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sum[r][v] = F{};
    for (int i = 0; i < inputs; ++i, w += PANEL) {
        F weights[V];
        read<L, V>(w, part, weights);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const float factor = x[r * x_row + i];
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) sum[r][v] += weights[v] * factor;
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
            const int at = v * WORDS + part * L;
            F s, b;
            std::memcpy(&s, scale + at, sizeof(F)), std::memcpy(&b, bias + at, sizeof(F));
            s = sum[r][v] * s + b;
            std::memcpy(y + r * y_row + at, &s, sizeof(F));
        }
}

// Some rows times a part of a panel: V of its four vectors, as an output may have no others.
template <int L, int V, int R, class W>
INLINE void blocks(const W* w, int part, const float* x, int rows, int inputs, size_t x_row, float* y, size_t y_row,
                   const float* scale, const float* bias) {
    int r = 0;
    for (; r + R <= rows; r += R)
        block<L, V, R>(w, part, x + r * x_row, inputs, x_row, y + r * y_row, y_row, scale, bias);
    if constexpr (R > 2)
        for (; r + 2 <= rows; r += 2)
            block<L, V, 2>(w, part, x + r * x_row, inputs, x_row, y + r * y_row, y_row, scale, bias);
    for (; r < rows; ++r)
        block<L, V, 1>(w, part, x + r * x_row, inputs, x_row, y + r * y_row, y_row, scale, bias);
}

// R: rows whose sums fit into the registers
template <int L, int R, class W>
INLINE void product(const W* w, int inputs, int outputs, const float* scale, const float* bias, const float* x, int rows,
                    size_t x_row, float* y, size_t y_row) {
    for (; rows > 0; rows -= TILE, x += TILE * x_row, y += TILE * y_row) {
        const int some = rows < TILE ? rows : TILE;
        for (int o = 0; o < outputs; o += PANEL)
            for (int part = 0; part < WORDS / L; ++part) {
                const W* of_panel = w + size_t(o) * inputs;
                if (outputs - o > 2 * WORDS)
                    blocks<L, 4, R>(of_panel, part, x, some, inputs, x_row, y + o, y_row, scale + o, bias + o);
                else
                    blocks<L, 2, R>(of_panel, part, x, some, inputs, x_row, y + o, y_row, scale + o, bias + o);
            }
    }
}

INLINE float tanh_of(float x) {  // a quotient of polynomials, within some units of the last place (Eigen's)
    x = x < -7.99881172f ? -7.99881172f : x;
    x = x > 7.99881172f ? 7.99881172f : x;
    const float s = x * x;
    const float above = x * (4.89352455891786e-03f + s * (6.37261928875436e-04f + s * (1.48572235717979e-05f +
                        s * (5.12229709037114e-08f + s * (-8.60467152213735e-11f + s * (2.00018790482477e-13f +
                        s * -2.76076847742355e-16f))))));
    return above / (4.89352518554385e-03f + s * (2.26843463243900e-03f + s * (1.18534705686654e-04f +
                    s * 1.19825839466702e-06f)));
}

// What input and state bring to the gates reset, update, new (3 H each); the state h, which goes on (Cho et al. 2014), and
// is written to y, too.
INLINE void gates(const float* __restrict given, const float* __restrict own, float* __restrict h, float* __restrict y,
                  int size) {
    for (int j = 0; j < size; ++j) {
        const float reset = 0.5f + 0.5f * tanh_of(0.5f * (given[j] + own[j]));
        const float update = 0.5f + 0.5f * tanh_of(0.5f * (given[size + j] + own[size + j]));
        const float now = tanh_of(given[2 * size + j] + reset * own[2 * size + j]);
        h[j] = y[j] = now + update * (h[j] - now);
    }
}

// The sum of so many numbers less `centre`, or of their squares.
template <int L, bool SQUARED>
INLINE float sum_of(const float* row, int size, float centre) {
    typename Vectors<L>::F sums{}, x;
    int i = 0;
    for (; i + L <= size; i += L) {
        std::memcpy(&x, row + i, sizeof(x));
        x -= centre;
        sums += SQUARED ? x * x : x;
    }
    float sum = 0;
    for (; i < size; ++i) sum += SQUARED ? (row[i] - centre) * (row[i] - centre) : row[i] - centre;
    for (int k = 0; k < L; ++k) sum += sums[k];
    return sum;
}

// Layer normalisation (Ba et al. 2016), in place.
template <int L>
INLINE void normalise(float* __restrict row, int size, const float* __restrict scale, const float* __restrict shift) {
    const float centre = sum_of<L, false>(row, size, 0.0f) / size;
    const float factor = 1.0f / std::sqrt(sum_of<L, true>(row, size, centre) / size + EPSILON);
    for (int i = 0; i < size; ++i) row[i] = (row[i] - centre) * factor * scale[i] + shift[i];
}

// y = scale (W x) + bias, for rows of x.
struct Product {
    int inputs = 0, outputs = 0, lanes = 4;
    bool bytes = false;  // int8 weights
    Bytes dotted = NO_BYTES;  // by which x meets them as bytes, too; else as float32
    Aligned<int8_t> small;
    Aligned<float> large, scale, bias;
    Aligned<int32_t> zero;

    int panels() const { return (outputs + PANEL - 1) / PANEL; }
    size_t width() const { return size_t(panels()) * PANEL; }  // floats of a row of y

    // weights (outputs, inputs)
    template <class T>
    void take(Aligned<T>& to, const T* weights) {
        to.resize(width() * inputs);
        for (int o = 0; o < outputs; ++o) {
            const int v = o % PANEL / WORDS, lane = o % WORDS;
            const size_t at = sizeof(T) == 1 ? 4 * lane + v : v * WORDS + lane;
            T* column = to.data + size_t(o / PANEL) * PANEL * inputs + at;
            for (int i = 0; i < inputs; ++i) column[size_t(i) * PANEL] = weights[size_t(o) * inputs + i];
        }
    }

    // weights (outputs, inputs), by fours
    void take_for_dots(const int8_t* weights) {
        const int words = (inputs + 3) / 4;
        small.resize(width() * 4 * words), zero.resize(width());
        for (int o = 0; o < outputs; ++o) {
            int8_t* of_panel = small.data + size_t(o / PANEL) * words * 4 * PANEL + o % PANEL * 4;
            const int8_t* row = weights + size_t(o) * inputs;
            for (int i = 0; i < inputs; i += 4, of_panel += 4 * PANEL)
                std::memcpy(of_panel, row + i, size_t(inputs - i < 4 ? inputs - i : 4));
            int sum = 0;
            for (int i = 0; i < inputs; ++i) sum += row[i];
            zero.data[o] = 128 * sum;
        }
    }

    void operator()(const float* x, int rows, size_t x_row, float* y, size_t y_row) const {
        if (dotted)
            return dots(dotted, {small.data, inputs, panels(), scale.data, bias.data, zero.data}, x, rows, x_row, y, y_row);
        with_lanes(lanes, [&](auto l, auto r) INLINED {
            if (bytes) product<l, r>(small.data, inputs, outputs, scale.data, bias.data, x, rows, x_row, y, y_row);
            else product<l, r>(large.data, inputs, outputs, scale.data, bias.data, x, rows, x_row, y, y_row);
        });
    }
};
