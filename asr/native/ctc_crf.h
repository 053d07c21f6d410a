// The denominator of CTC-CRF: the sum over all phoneme sequences of P(s) times their CTC paths, and its gradient.
// asr/training/ctc_crf.py has the same in torch, and says what it means.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

const float TINY = 1e-30f;  // probabilities below this count as this

const int ROW = 48;  // symbols at most, the blank among them: whole vectors of every width

#if defined(__x86_64__) && defined(__gnu_linux__)
// By what a processor can do: "arch=" in its place would mean that one model and no other.
#define FOR_EVERY_WIDTH __attribute__((target_clones("avx512f", "fma", "default")))
#else
#define FOR_EVERY_WIDTH
#endif

// sum[c] = the sum over r < n of factors[r stride] matrix[r][c]
FOR_EVERY_WIDTH
static void times(const float* __restrict matrix, const float* __restrict factors, int stride, int n, float* __restrict sum) {
    float whole[ROW] = {};
    for (int r = 0; r < n; ++r)
        for (int c = 0; c < ROW; ++c) whole[c] += factors[r * stride] * matrix[r * ROW + c];
    std::copy(whole, whole + ROW, sum);
}

// The arrays of a state are [last symbol j][symbol before it i], rows of a fixed length.
struct Denominator {
    int n, size;
    std::vector<float> next, previous, repeat, end;  // p(k | i j) as [j][i][k] and [j][k][i]; p(j | i j); p(end | i j)

    Denominator(int n, const float* trigram)
        : n(n), size(n * ROW), next(size_t(n) * size), previous(size_t(n) * size), repeat(size), end(size) {
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < n; ++j) {
                const float* p = trigram + (size_t(i) * n + j) * n;
                for (int k = 1; k < n; ++k) {
                    next[size_t(j) * size + i * ROW + k] = p[k];
                    previous[size_t(j) * size + k * ROW + i] = p[k];
                }
                repeat[j * ROW + i] = j ? p[j] : 0.0f;
                end[j * ROW + i] = p[0];
            }
    }

    // probs (T, n) of an utterance -> ln of the sum; occupied (T, n): the probability of each symbol at each frame.
    float operator()(int frames, const float* probs, float* occupied) const {
        std::vector<float> kept(size_t(frames) * 2 * size), symbol(size), blank(size), both(size), entered(size);
        blank[0] = 1;
        double scale = 0;
        for (int t = 0; t < frames; ++t) {
            const float* now = probs + size_t(t) * n;
            for (int x = 0; x < size; ++x) both[x] = symbol[x] + blank[x];
            for (int j = 0; j < n; ++j) {
                float* sum = &entered[j * ROW];
                times(&next[size_t(j) * size], &both[j * ROW], 1, n, sum);
                for (int i = 0; i < n; ++i) sum[j] -= symbol[j * ROW + i] * repeat[j * ROW + i];
            }
            float *new_symbol = &kept[size_t(t) * 2 * size], *new_blank = new_symbol + size, mass = 0;
            for (int k = 1; k < n; ++k)
                for (int j = 0; j < n; ++j)
                    new_symbol[k * ROW + j] = (symbol[k * ROW + j] + entered[j * ROW + k]) * now[k];
            for (int x = 0; x < size; ++x) new_blank[x] = both[x] * now[0], mass += new_blank[x] + new_symbol[x];
            mass = std::max(mass, TINY);
            for (int x = 0; x < 2 * size; ++x) new_symbol[x] /= mass;
            symbol.assign(new_symbol, new_blank), blank.assign(new_blank, new_blank + size);
            scale += std::log(mass);
        }
        float at_end = 0;
        for (int x = 0; x < size; ++x) at_end += (symbol[x] + blank[x]) * end[x];
        backwards(frames, probs, kept, occupied);
        return float(std::log(std::max(at_end, TINY)) + scale);
    }

private:
    void backwards(int frames, const float* probs, const std::vector<float>& kept, float* occupied) const {
        std::vector<float> after_symbol(end), after_blank(end), leaving(size), entered(ROW);
        for (int t = frames - 1; t >= 0; --t) {
            if (t + 1 < frames) {
                const float* now = probs + size_t(t + 1) * n;
                for (int k = 0; k < n; ++k)
                    for (int j = 0; j < ROW; ++j) leaving[k * ROW + j] = after_symbol[k * ROW + j] * now[k];
                for (int j = 0; j < n; ++j) {
                    times(&previous[size_t(j) * size], &leaving[j], ROW, n, entered.data());
                    const float again = leaving[j * ROW + j];
                    for (int i = 0; i < ROW; ++i) {
                        const int x = j * ROW + i;
                        after_blank[x] = after_blank[x] * now[0] + entered[i];
                        after_symbol[x] = after_blank[x] + leaving[x] - again * repeat[x];
                    }
                }
            }
            const float *symbol = &kept[size_t(t) * 2 * size], *blank = symbol + size;
            float* here = occupied + size_t(t) * n;
            float total = 0, largest = TINY, on_blank = 0;
            for (int x = 0; x < size; ++x) {
                on_blank += blank[x] * after_blank[x];
                largest = std::max(largest, after_symbol[x] + after_blank[x]);
            }
            for (int j = 0; j < n; ++j) {
                float sum = 0;
                for (int i = 0; i < n; ++i) sum += symbol[j * ROW + i] * after_symbol[j * ROW + i];
                here[j] = j ? sum : on_blank;
                total += here[j];
            }
            for (int j = 0; j < n; ++j) here[j] /= std::max(total, TINY);
            for (int x = 0; x < size; ++x) after_symbol[x] /= largest, after_blank[x] /= largest;
        }
    }
};
