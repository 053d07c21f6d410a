// The acoustic model of asr.model.network with GRU layers: subsampling, latency-controlled layers, heads.
#pragma once
#include <algorithm>

#include "products.h"

struct Gru {
    Product from_input, from_state;
};

struct Layer {
    Gru forwards, backwards;
    std::vector<float> scale, shift;  // of the layer normalisation
};

struct Head {
    Product product;
    std::vector<int> layers;  // that it reads
};

const int FIELD = 7, TOGETHER = 12;  // log-mel frames that an output sees; outputs

struct Encoder {
    int mels, channels, hidden, lanes, stride;  // log-mel frames from one output to the next
    std::vector<float> mean, deviation;
    Product first, second, project;  // inputs of the second: time, band, channel; of the last: band, channel
    std::vector<Layer> layers;
    std::vector<Head> heads;

    int bands(int of) const { return (of - 3) / 2 + 1; }

    // Steps of the two convolutions in time, as asr.model.checkpoint.ModelOptions.subsampling has them.
    int first_step() const { return 2 - stride % 2; }
    int outputs(int count) const { return (count - FIELD) / stride + 1; }

    // (T, mels) -> out (T', hidden)
    void subsample(const float* frames, int count, float* out) const {
        const int all = outputs(count), one = bands(mels), two = bands(one);
        auto& [x, y, given, own, ends, columns, product, joined, kept] = scratch();
        for (int from = 0; from < all; from += TOGETHER) {
            const int some = std::min(TOGETHER, all - from), seen = stride * (some - 1) + FIELD;
            x.resize(size_t(seen) * mels);
            const float* row = frames + size_t(stride) * from * mels;
            for (float* to = x.data(); to < x.data() + x.size(); to += mels, row += mels)
                for (int m = 0; m < mels; ++m) to[m] = (row[m] - mean[m]) / deviation[m];
            const int step = first_step(), halves = (seen - 3) / step + 1;
            convolve(first, x, halves, mels, 1, step, 1, columns, product, y);
            convolve(second, y, some, one, channels, stride / step, 2 / step, columns, product, x);
            reserve(product, some * project.width());
            project(x.data(), some, size_t(two) * channels, product.data(), project.width());
            for (int t = 0; t < some; ++t)
                std::copy_n(product.data() + t * project.width(), hidden, out + size_t(from + t) * hidden);
        }
    }

    // x (T, F, C) -> y (times, F', channels): 3 x 3, a step and a dilation in time, a step of 2 over bands, and no
    // negative numbers
    void convolve(const Product& kernel, const std::vector<float>& x, int times, int width, int size, int step, int dilation,
                  std::vector<float>& columns, std::vector<float>& product, std::vector<float>& y) const {
        const int places = bands(width), three = 3 * size;
        reserve(columns, size_t(times) * places * 3 * three);
        float* to = columns.data();
        for (int t = 0; t < times; ++t)
            for (int f = 0; f < places; ++f)
                for (int k = 0; k < 3; ++k, to += three) {
                    const float* seen = x.data() + (size_t(step * t + dilation * k) * width + 2 * f) * size;
                    if (size == 1) to[0] = seen[0], to[1] = seen[1], to[2] = seen[2];
                    else std::copy_n(seen, three, to);
                }
        reserve(product, size_t(times) * places * kernel.width());
        kernel(columns.data(), times * places, 3 * three, product.data(), kernel.width());
        y.resize(size_t(times) * places * channels);
        for (size_t i = 0; i < size_t(times) * places; ++i)
            for (int c = 0; c < channels; ++c)
                y[i * channels + c] = std::max(0.0f, product[i * kernel.width() + c]);
    }

    // Kept from call to call, as fresh memory has to be cleared by the system first.
    struct Scratch {
        std::vector<float> x, y, given, own, ends, columns, product, joined;
        std::vector<std::vector<float>> kept;
    };
    static void reserve(std::vector<float>& room, size_t size) {  // not cleared again where it was larger before
        if (room.size() < size) room.resize(size);
    }
    static Scratch& scratch() {
        thread_local Scratch of_thread;
        return of_thread;
    }

    // windows (B, n, W, hidden), valid (B, n); states (layers, B, hidden), which go on; out: of each head (B, n, W, V).
    void advance(const float* windows, const int32_t* valid, int streams, int count, int width, int chunk,
                 float* states, const std::vector<float*>& out) const {
        const int rows = count * streams, both = 2 * hidden;
        Scratch& s = scratch();
        auto &x = s.x, &y = s.y;
        x.resize(size_t(width) * rows * hidden), s.kept.resize(layers.size());
        for (int b = 0; b < streams; ++b)  // inside, time comes first, then windows, then streams
            for (int n = 0; n < count; ++n)
                for (int t = 0; t < width; ++t)
                    std::copy_n(windows + ((size_t(b) * count + n) * width + t) * hidden, hidden,
                                x.data() + (size_t(t) * rows + n * streams + b) * hidden);
        for (size_t l = 0; l < layers.size(); ++l) {
            const Layer& layer = layers[l];
            y.resize(size_t(width) * rows * both);
            forwards(layer.forwards, x, rows, streams, count, width, chunk, states + l * streams * hidden, y);
            backwards(layer.backwards, x, valid, rows, streams, count, width, y);
            normalise(layer, y);
            for (const Head& head : heads)
                if (std::count(head.layers.begin(), head.layers.end(), int(l))) s.kept[l] = y;
            std::swap(x, y);
        }
        for (size_t i = 0; i < heads.size(); ++i) judge(heads[i], s.kept, streams, count, width, out[i]);
    }

    const float* inputs(const Gru& gru, const std::vector<float>& x, int frames) const {
        std::vector<float>& given = scratch().given;
        reserve(given, frames * gru.from_input.width());
        gru.from_input(x.data(), frames, gru.from_input.inputs, given.data(), gru.from_input.width());
        return given.data();
    }

    // A step of `rows` states h; y: where the first of them is written, too.
    void step(const Gru& gru, const float* given, int rows, float* h, float* y) const {
        std::vector<float>& own = scratch().own;
        reserve(own, rows * gru.from_state.width());
        gru.from_state(h, rows, hidden, own.data(), gru.from_state.width());
        with_lanes(lanes, [&](auto, auto) INLINED {
            for (int r = 0; r < rows; ++r)
                gates(given + r * gru.from_input.width(), own.data() + r * gru.from_state.width(), h + size_t(r) * hidden,
                      y + size_t(r) * 2 * hidden, hidden);
        });
    }

    void forwards(const Gru& gru, const std::vector<float>& x, int rows, int streams, int count, int width, int chunk,
                  float* state, std::vector<float>& y) const {
        const float* given = inputs(gru, x, width * rows);
        const size_t in = gru.from_input.width(), out = 2 * hidden, size = size_t(streams) * hidden;
        std::vector<float>& ends = scratch().ends;
        reserve(ends, size_t(rows) * hidden);
        for (int n = 0; n < count; ++n) {
            for (int t = 0; t < chunk; ++t) {
                const size_t at = size_t(t) * rows + n * streams;
                step(gru, given + at * in, streams, state, y.data() + at * out);
            }
            std::copy_n(state, size, ends.data() + n * size);
        }
        for (int t = chunk; t < width; ++t) {
            const size_t at = size_t(t) * rows;
            step(gru, given + at * in, rows, ends.data(), y.data() + at * out);
        }
    }

    void backwards(const Gru& gru, const std::vector<float>& x, const int32_t* valid, int rows, int streams, int count,
                   int width, std::vector<float>& y) const {
        const float* given = inputs(gru, x, width * rows);
        std::vector<float>& h = scratch().ends;
        h.assign(size_t(rows) * hidden, 0.0f);
        for (int t = width; t--;) {
            const size_t at = size_t(t) * rows;
            step(gru, given + at * gru.from_input.width(), rows, h.data(), y.data() + at * 2 * hidden + hidden);
            for (int r = 0; r < rows; ++r)
                if (t >= valid[r % streams * count + r / streams]) {  // no audio yet
                    std::fill_n(h.data() + size_t(r) * hidden, hidden, 0.0f);
                    std::fill_n(y.data() + (at + r) * 2 * hidden + hidden, hidden, 0.0f);
                }
        }
    }

    void normalise(const Layer& layer, std::vector<float>& y) const {
        const int size = 2 * hidden;
        with_lanes(lanes, [&](auto l, auto) INLINED {
            for (float* row = y.data(); row < y.data() + y.size(); row += size)
                ::normalise<l>(row, size, layer.scale.data(), layer.shift.data());
        });
    }

    // -> out (B, n, W, V): log-probabilities
    void judge(const Head& head, const std::vector<std::vector<float>>& kept, int streams, int count, int width,
               float* out) const {
        const int rows = count * streams, size = 2 * hidden, read = int(head.layers.size()), symbols = head.product.outputs;
        const size_t frames = size_t(width) * rows, row_size = head.product.width();
        Scratch& s = scratch();
        auto &x = s.joined, &y = s.product;
        reserve(y, frames * row_size);
        const float* from = kept[head.layers[0]].data();
        if (read > 1) {
            reserve(x, frames * size * read);
            for (size_t i = 0; i < frames; ++i)
                for (int k = 0; k < read; ++k)
                    std::copy_n(kept[head.layers[k]].data() + i * size, size, x.data() + (i * read + k) * size);
            from = x.data();
        }
        head.product(from, int(frames), size_t(size) * read, y.data(), row_size);
        for (int t = 0; t < width; ++t)
            for (int r = 0; r < rows; ++r) {
                const float* row = y.data() + (size_t(t) * rows + r) * row_size;
                const float highest = *std::max_element(row, row + symbols);
                double sum = 0;
                for (int s = 0; s < symbols; ++s) sum += std::exp(row[s] - highest);
                const float total = highest + float(std::log(sum));
                float* to = out + ((size_t(r % streams) * count + r / streams) * width + t) * symbols;
                for (int s = 0; s < symbols; ++s) to[s] = row[s] - total;
            }
    }
};
