// asr.language.ngram.NgramModel, for scoring.
#pragma once
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
    Array<uint32_t> word;
    Array<int64_t> first;
    Array<float> log_prob, backoff;
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
        double log_prob = levels[0].log_prob[word];
        for (int n = 1; n <= before.n; ++n) {
            int64_t context = before.places[n - 1], place = context >= 0 ? find(n, context, word) : -1;
            if (place >= 0) log_prob = levels[n].log_prob[place];
            else if (context >= 0) log_prob += levels[n - 1].backoff[context];
            if (n < MOST_PLACES) after.places[after.n++] = place;
        }
        after.n = std::min(after.n, int(levels.size()) - 1);
        while (after.n && !tells(after.n, after.places[after.n - 1])) --after.n;
        return log_prob;
    }

private:
    int64_t find(int n, int64_t context, int64_t word) const {
        const Level& level = levels[n];
        const uint32_t* end = level.word.data + level.first[context + 1];
        const uint32_t* place = std::lower_bound(level.word.data + level.first[context], end, uint32_t(word));
        return place < end && *place == word ? place - level.word.data : -1;
    }

    bool tells(int n, int64_t place) const {  // does this context say something about the next word?
        return place >= 0 &&
               (levels[n].first[place] < levels[n].first[place + 1] || levels[n - 1].backoff[place] != 0.0f);
    }
};
