// Part of dots.h, for each kind of vectors: BYTE_LANES, BYTE_ROWS, FOR_BYTES, NEAREST, ADD_FOURS, and BYTE_ZERO, what
// stands for zero: 128 where bytes of x count from 0, as vpdpbusd has them; 0 where they have a sign.

// A row of `size` numbers -> bytes, as many as fill words; returns the size of a step.
FOR_BYTES inline float to_bytes(const float* x, int size, uint8_t* out) {
    typedef float F __attribute__((vector_size(4 * BYTE_LANES)));
    typedef int32_t I __attribute__((vector_size(4 * BYTE_LANES)));
    typedef uint8_t B __attribute__((vector_size(BYTE_LANES)));
    F some, most{};
    int i = 0;
    for (; i + BYTE_LANES <= size; i += BYTE_LANES) {
        std::memcpy(&some, x + i, sizeof(F));
        some = some < 0 ? -some : some;
        most = most < some ? some : most;
    }
    float largest = 0;
    for (; i < size; ++i) largest = largest < std::fabs(x[i]) ? std::fabs(x[i]) : largest;
    for (int k = 0; k < BYTE_LANES; ++k) largest = largest < most[k] ? most[k] : largest;
    const float factor = largest > 0 ? 127 / largest : 0.0f;
    for (i = 0; i + BYTE_LANES <= size; i += BYTE_LANES) {
        std::memcpy(&some, x + i, sizeof(F));
        some *= factor;
        I nearest;
        NEAREST(nearest, some);
        const B bytes = __builtin_convertvector(nearest + BYTE_ZERO, B);
        std::memcpy(out + i, &bytes, sizeof(B));
    }
    for (; i < size; ++i) out[i] = uint8_t(std::lrint(x[i] * factor) + BYTE_ZERO);
    for (; i % 4; ++i) out[i] = BYTE_ZERO;
    return largest / 127;
}

// R rows of bytes times a part of a panel: four vectors of outputs.
template <int R>
FOR_BYTES void block(const int8_t* w, int words, const uint8_t* x, const float* steps, float* y, size_t y_row,
                     const float* scale, const float* bias, const int32_t* zero) {
    typedef float F __attribute__((vector_size(4 * BYTE_LANES)));
    typedef int32_t I __attribute__((vector_size(4 * BYTE_LANES)));
    I sum[R][4];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < 4; ++v) sum[r][v] = I{};
    for (int i = 0; i < words; ++i, w += 256) {
        I weights[4];
#pragma GCC unroll 4
        for (int v = 0; v < 4; ++v) std::memcpy(&weights[v], w + 4 * BYTE_LANES * v, sizeof(I));
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            int32_t four;
            std::memcpy(&four, x + 4 * (r * words + i), 4);
            const I all = four - I{};
#pragma GCC unroll 4
            for (int v = 0; v < 4; ++v) ADD_FOURS(sum[r][v], all, weights[v]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < 4; ++v) {
            const int at = v * BYTE_LANES;
            F s, b;
            I z;
            std::memcpy(&s, scale + at, sizeof(F)), std::memcpy(&b, bias + at, sizeof(F));
            std::memcpy(&z, zero + at, sizeof(I));
            s = __builtin_convertvector(BYTE_ZERO ? sum[r][v] - z : sum[r][v], F) * (s * steps[r]) + b;
            std::memcpy(y + r * y_row + at, &s, sizeof(F));
        }
}

template <int R>
FOR_BYTES void rows_of(const int8_t* w, int words, const uint8_t* x, int rows, const float* steps, float* y, size_t y_row,
                       const float* scale, const float* bias, const int32_t* zero) {
    int r = 0;
    for (; r + R <= rows; r += R)
        block<R>(w, words, x + 4 * r * words, steps + r, y + r * y_row, y_row, scale, bias, zero);
    if constexpr (R > 1)
        if (r < rows)
            rows_of<R - 1>(w, words, x + 4 * r * words, rows - r, steps + r, y + r * y_row, y_row, scale, bias, zero);
}

FOR_BYTES inline void dots(const ByteMatrix& m, const float* x, int rows, size_t x_row, float* y, size_t y_row) {
    const int words = (m.inputs + 3) / 4, most = 48;  // rows that stay in the cache while a panel goes over them
    thread_local std::vector<uint8_t> bytes;
    thread_local float steps[most];
    bytes.resize(size_t(most) * 4 * words);
    for (; rows > 0; rows -= most, x += most * x_row, y += most * y_row) {
        const int some = rows < most ? rows : most;
        for (int r = 0; r < some; ++r) steps[r] = to_bytes(x + r * x_row, m.inputs, bytes.data() + 4 * r * words);
        for (int at = 0; at < 64 * m.panels; at += 4 * BYTE_LANES) {
            const int8_t* part = m.weights + size_t(at / 64) * 256 * words + at % 64 * 4;
            rows_of<BYTE_ROWS>(part, words, bytes.data(), some, steps, y + at, y_row, m.scale + at, m.bias + at,
                               m.zero + at);
        }
    }
}
