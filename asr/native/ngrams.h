// asr.language.ngram.NgramModel, for scoring, on the bits of asr.language.packed.PackedLevel where they lie.
#pragma once
#include <cstring>
#include <deque>

#include "arrays.h"

const int UNKNOWN = 0, START = 1, END = 2;  // the ids of <unk>, <s>, </s>
const int MOST_PLACES = 7;                  // words that a state holds

struct LanguageState {
    int n = 0;
    int64_t places[MOST_PLACES];

    uint64_t hash() const {
        uint64_t h = n;
        for (int i = 0; i < n; ++i) h = mixed(h, places[i]);
        return h;
    }
};

struct Level {
    Array<uint8_t> records, is_node, nodes;
    Array<uint32_t> ranks;
    Array<float> prob_table, backoff_table;
    int64_t size = 0;
    int word_bits = 0, start_bits = 0;

    void prepare() {
        prob_bits_ = code_bits(prob_table);
        record_bits_ = word_bits + prob_bits_;
        node_bits_ = start_bits + code_bits(backoff_table);
        last_node_ = 8 * (nodes.size - PADDING) / node_bits_ - 1;
    }

    int64_t word(int64_t place) const { return word_bits ? field(records, place * record_bits_, word_bits) : place; }

    float log_prob(int64_t place) const {
        return value(field(records, place * record_bits_ + word_bits, prob_bits_), prob_table);
    }

    // Which of the nodes an n-gram is; -1: none.
    int64_t node(int64_t place) const {
        if (!(is_node.data[place >> 3] >> (place & 7) & 1)) return -1;
        uint64_t block;
        std::memcpy(&block, is_node.data + place / 64 * 8, 8);
        int64_t found = ranks[place / 64] + __builtin_popcountll(block & ((uint64_t(1) << place % 64) - 1));
        return std::min(found, last_node_ - 1);  // as all of them are, unless the file is damaged
    }

    double backoff(int64_t place) const {
        int64_t at = node(place);
        return at < 0 ? 0.0 : value(field(nodes, at * node_bits_ + start_bits, node_bits_ - start_bits), backoff_table);
    }

    // Where the n-grams of the next level that begin with this one start and end.
    std::pair<int64_t, int64_t> children(int64_t place) const {
        int64_t at = node(place);
        if (at < 0) return {0, 0};
        return {field(nodes, at * node_bits_, start_bits), field(nodes, (at + 1) * node_bits_, start_bits)};
    }

private:
    static constexpr int EXACT = 32;   // bits of a float
    static constexpr int PADDING = 9;  // bytes after the last field

    // Of the number of a value in the table, which has a power of two; without a table values are stored as they are.
    static int code_bits(const Array<float>& table) { return table.size ? __builtin_ctzll(table.size) : EXACT; }

    static int64_t field(const Array<uint8_t>& data, int64_t at, int bits) {
        const uint8_t* start = data.data + (at >> 3);
        const int shift = at & 7;
        uint64_t low;
        std::memcpy(&low, start, 8);  // the lowest byte first, as all machines have it that this is built for
        low >>= shift;
        if (shift + bits > 64) low |= uint64_t(start[8]) << (64 - shift);
        return int64_t(low & ((uint64_t(1) << bits) - 1));
    }

    static float value(int64_t code, const Array<float>& table) {
        if (table.size) return table[code];
        uint32_t bits = uint32_t(code);
        float exact;
        std::memcpy(&exact, &bits, 4);
        return exact;
    }

    int prob_bits_ = 0, record_bits_ = 0, node_bits_ = 0;
    int64_t last_node_ = 0;  // says only where the ones before it end
};

struct Ngrams {
    std::deque<Level> levels;

    LanguageState start() const {
        LanguageState state;
        if (levels.size() > 1) state.places[state.n++] = START;
        return state;
    }

    double score(const LanguageState& before, int64_t word, LanguageState& after) const {
        after.n = 0;
        after.places[after.n++] = word;
        double log_prob = levels[0].log_prob(word);
        for (int n = 1; n <= before.n; ++n) {
            int64_t context = before.places[n - 1], place = context >= 0 ? find(n, context, word) : -1;
            if (place >= 0) log_prob = levels[n].log_prob(place);
            else if (context >= 0) log_prob += levels[n - 1].backoff(context);
            if (n < MOST_PLACES) after.places[after.n++] = place;
        }
        after.n = std::min(after.n, int(levels.size()) - 1);
        while (after.n && !tells(after.n, after.places[after.n - 1])) --after.n;
        return log_prob;
    }

private:
    int64_t find(int n, int64_t context, int64_t word) const {
        const Level& level = levels[n];
        auto [low, end] = levels[n - 1].children(context);
        end = std::min(end, level.size);
        const int64_t stop = end;
        while (low < end) {
            int64_t middle = (low + end) / 2;
            if (level.word(middle) < word) low = middle + 1;
            else end = middle;
        }
        return low < stop && level.word(low) == word ? low : -1;
    }

    // Does this context say something about the next word?
    bool tells(int n, int64_t place) const { return place >= 0 && levels[n - 1].node(place) >= 0; }
};
