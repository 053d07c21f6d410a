// A GRU layer over whole sequences, forwards and backwards: products of bf16, by the matrix tiles of newer Xeons (AMX) or
// by the dot products of AMD's processors since Zen 4 (AVX512-BF16); sums, gates and states in float32. Gates in the
// order r, z, n, as in PyTorch; sizes are multiples of 32.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

using bf16 = uint16_t;

#if defined(__x86_64__) && defined(__linux__) && __GNUC__ >= 11
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#define HAVE_BF16 1

inline bool bf16_ready() { return __builtin_cpu_supports("avx512bf16"); }

// Whether this processor has tiles, and the system lets us use them.
inline bool tiles_ready() {
    const int ask_permission = 0x1023, tile_data = 18;
    return bf16_ready() && __builtin_cpu_supports("amx-bf16") &&
           syscall(SYS_arch_prctl, ask_permission, tile_data) == 0;
}

#pragma GCC push_options
#pragma GCC target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512bf16,fma")

const int LANES = 16, DEPTH = 32;  // a tile has 16 rows of 32 bf16

inline __m512 load(const bf16* p) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}
inline __m512 load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(bf16* p, __m512 x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
}
inline void store(float* p, __m512 x) { _mm512_storeu_ps(p, x); }
inline __m512 all(float x) { return _mm512_set1_ps(x); }

inline __m512 exponential(__m512 x) {  // 2^n times a polynomial, to seven digits
    x = _mm512_min_ps(_mm512_max_ps(x, all(-87.0f)), all(87.0f));
    const __m512 n = _mm512_roundscale_ps(x * all(1.44269504f), 0);
    const __m512 r = _mm512_fnmadd_ps(n, all(-1.90465421e-9f), _mm512_fnmadd_ps(n, all(0.693147182f), x));
    const float factors[] = {1 / 120.0f, 1 / 24.0f, 1 / 6.0f, 0.5f, 1.0f, 1.0f};
    __m512 p = all(1 / 720.0f);
    for (float factor : factors) p = _mm512_fmadd_ps(p, r, all(factor));
    return _mm512_scalef_ps(p, n);
}
inline __m512 sigmoid(__m512 x) { return all(1.0f) / (all(1.0f) + exponential(-x)); }
inline __m512 hyperbolic_tangent(__m512 x) { return all(1.0f) - all(2.0f) / (exponential(x + x) + all(1.0f)); }

// Zeros, to a line of the cache.
template <class T>
struct Zeros {
    T* data;
    explicit Zeros(size_t count) {
        const size_t bytes = (count * sizeof(T) + 63) / 64 * 64;
        data = static_cast<T*>(std::aligned_alloc(64, bytes));
        if (!data) throw std::bad_alloc();
        std::memset(data, 0, bytes);
    }
    Zeros(const Zeros&) = delete;
    ~Zeros() { std::free(data); }
};

// A matrix (depth, columns) as tiles: 16 columns after the other, and of these 32 rows after the other, two by two.
template <class At>
void pack(bf16* to, int depth, int columns, At at) {
    for (int n = 0; n < columns; n += LANES)
        for (int k = 0; k < depth; k += 2)
            for (int c = 0; c < LANES; ++c) *to++ = at(k, n + c), *to++ = at(k + 1, n + c);
}

// 16 columns of the product of N times 16 rows with packed tiles.
template <int N>
void tile_product(const bf16* rows, int depth, const bf16* tiles, float* to, int stride) {
    const size_t bytes = sizeof(bf16) * depth, block = size_t(LANES) * depth;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    for (int k = 0; k < depth; k += DEPTH, tiles += LANES * DEPTH) {
        _tile_loadd(6, tiles, 64);
        _tile_loadd(3, rows + k, bytes);
        _tile_dpbf16ps(0, 3, 6);
        if (N > 1) {
            _tile_loadd(4, rows + k + block, bytes);
            _tile_dpbf16ps(1, 4, 6);
        }
        if (N > 2) {
            _tile_loadd(5, rows + k + 2 * block, bytes);
            _tile_dpbf16ps(2, 5, 6);
        }
    }
    _tile_stored(0, to, sizeof(float) * stride);
    if (N > 1) {
        _tile_stored(1, to + size_t(LANES) * stride, sizeof(float) * stride);
    }
    if (N > 2) {
        _tile_stored(2, to + size_t(2 * LANES) * stride, sizeof(float) * stride);
    }
}

// How 16 columns of a product are made, of ``blocks`` times 16 rows. While one of these is there nothing else uses tiles.
struct Tiles {
    Tiles() {
        struct alignas(64) {
            uint8_t palette = 1, start = 0, reserved[14] = {};
            uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
            uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
        } shapes;
        _tile_loadconfig(&shapes);
    }
    ~Tiles() { _tile_release(); }

    void product(const bf16* rows, int blocks, int depth, const bf16* tiles, float* to, int stride) const {
        for (; blocks > 0; blocks -= 3, rows += size_t(3 * LANES) * depth, to += size_t(3 * LANES) * stride)
            if (blocks == 1) tile_product<1>(rows, depth, tiles, to, stride);
            else if (blocks == 2) tile_product<2>(rows, depth, tiles, to, stride);
            else tile_product<3>(rows, depth, tiles, to, stride);
    }
};

struct Dots {
    void product(const bf16* rows, int blocks, int depth, const bf16* tiles, float* to, int stride) const {
        for (; blocks > 0; --blocks, rows += size_t(LANES) * depth, to += size_t(LANES) * stride) {
            __m512 sums[LANES] = {};
            for (int k = 0; k < depth; k += 2) {
                const __m512bh columns = (__m512bh)_mm512_loadu_si512(tiles + size_t(LANES) * k);
#pragma GCC unroll 16
                for (int r = 0; r < LANES; ++r) {
                    int32_t pair;
                    std::memcpy(&pair, rows + size_t(r) * depth + k, sizeof(pair));
                    sums[r] = _mm512_dpbf16_ps(sums[r], (__m512bh)_mm512_set1_epi32(pair), columns);
                }
            }
            for (int r = 0; r < LANES; ++r) store(to + size_t(r) * stride, sums[r]);
        }
    }
};

// x = W i + b (B, T, 3H), U (3H, H), b of U h for n (H), the first state (B, H) -> y (B, T, H), and for the way back
// the state before each step (B, T, H); r, z and U h + b (B, T, 3H); n (B, T, H).
template <class Products>
void gru_forward(int batch, int time, int size, const bf16* x, const bf16* u, const float* bias,
                        const float* first, float* y, bf16* before, bf16* gates, float* fresh) {
    const int blocks = (batch + LANES - 1) / LANES, padded = LANES * blocks;
    Zeros<bf16> tiles(3u * size * size), one(size_t(padded) * size), two(size_t(padded) * size);
    Zeros<float> sums(3u * padded * LANES);
    pack(tiles.data, size, 3 * size, [&](int k, int n) { return u[size_t(n) * size + k]; });
    for (int i = 0; i < batch * size; i += LANES) store(one.data + i, load(first + i));
    bf16 *now = one.data, *next = two.data;
    const Products products;
    for (int t = 0; t < time; ++t, std::swap(now, next))
        for (int i = 0; i < size; i += LANES) {
            for (int g = 0; g < 3; ++g)
                products.product(now, blocks, size, tiles.data + size_t(g * size + i) * size,
                                 sums.data + LANES * g * padded, LANES);
            for (int b = 0; b < batch; ++b) {
                const size_t row = size_t(b) * time + t, here = size_t(b) * size + i;
                const bf16* given = x + 3 * size * row + i;
                const float* own = sums.data + LANES * b;
                const __m512 h = load(t ? y + (row - 1) * size + i : first + here);
                const __m512 r = sigmoid(load(given) + load(own));
                const __m512 z = sigmoid(load(given + size) + load(own + LANES * padded));
                const __m512 recurrent = load(own + 2 * LANES * padded) + load(bias + i);
                const __m512 n = hyperbolic_tangent(load(given + 2 * size) + r * recurrent);
                const __m512 out = n + z * (h - n);
                bf16* gate = gates + 3 * size * row + i;
                store(gate, r), store(gate + size, z), store(gate + 2 * size, recurrent);
                store(fresh + row * size + i, n), store(y + row * size + i, out);
                store(next + here, out);
                std::memcpy(before + row * size + i, now + here, sizeof(bf16) * LANES);
            }
        }
}

// dy (B, T, H) and what gru_forward left -> the gradients of W i and of U h (B, T, 3H), of the first state (B, H).
template <class Products>
void gru_backward(int batch, int time, int size, const float* dy, const bf16* u, const float* first,
                         const float* y, const bf16* gates, const float* fresh, bf16* d_given, bf16* d_own,
                         float* d_first) {
    const int blocks = (batch + LANES - 1) / LANES, padded = LANES * blocks, all_gates = 3 * size;
    Zeros<bf16> tiles(size_t(all_gates) * size), rows(size_t(padded) * all_gates);
    Zeros<float> through_gates(size_t(padded) * size), kept(size_t(padded) * size);
    pack(tiles.data, all_gates, size, [&](int k, int n) { return u[size_t(k) * size + n]; });
    const Products products;
    for (int t = time - 1; t >= 0; --t) {
        for (int b = 0; b < batch; ++b) {
            const size_t row = size_t(b) * time + t;
            bf16 *own = rows.data + size_t(b) * all_gates, *given = d_given + row * all_gates;
            for (int i = 0; i < size; i += LANES) {
                const size_t here = size_t(b) * size + i;
                const bf16* gate = gates + row * all_gates + i;
                const __m512 dh = load(dy + row * size + i) + load(through_gates.data + here) + load(kept.data + here);
                const __m512 r = load(gate), z = load(gate + size), n = load(fresh + row * size + i);
                const __m512 h = load(t ? y + (row - 1) * size + i : first + here);
                const __m512 stays = dh * z, dn = (dh - stays) * (all(1.0f) - n * n), d_recurrent = dn * r;
                store(own + i, d_recurrent * load(gate + 2 * size) * (all(1.0f) - r));
                store(own + size + i, stays * (h - n) * (all(1.0f) - z));
                store(own + 2 * size + i, d_recurrent);
                store(given + 2 * size + i, dn);
                store(kept.data + here, stays);
            }
            std::memcpy(given, own, sizeof(bf16) * 2 * size);
            std::memcpy(d_own + row * all_gates, own, sizeof(bf16) * all_gates);
        }
        for (int i = 0; i < size; i += LANES)
            products.product(rows.data, blocks, all_gates, tiles.data + size_t(i) * all_gates,
                             through_gates.data + i, size);
    }
    for (int i = 0; i < batch * size; ++i) d_first[i] = through_gates.data[i] + kept.data[i];
}

#pragma GCC pop_options
#endif
