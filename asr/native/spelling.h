// The beam search of asr/search/lexicon.py: which chunks of phonemes the letters of a word stand for.
#pragma once
#include <vector>

#include "ngrams.h"

struct Spelt {
    double score;
    int64_t order;  // of equal scores the one that was found first counts as the better
    LanguageState state;
    std::vector<int32_t> tokens;
};

// The likeliest ways, best first. chunks[first[letter]..first[letter + 1]]: the model's tokens of a letter.
inline std::vector<Spelt> spelt(const Ngrams& lm, const uint8_t* letters, int64_t count, const Array<int32_t>& chunks,
                                const Array<int64_t>& first, size_t beam) {
    std::vector<Spelt> places(1), grown;
    places[0] = {0.0, 0, lm.start(), {}};
    auto better = [](const Spelt& a, const Spelt& b) {
        return a.score > b.score || (a.score == b.score && a.order < b.order);
    };
    int64_t found = 0;
    for (int64_t i = 0; i <= count; ++i) {
        grown.clear();
        std::sort(places.begin(), places.end(), better);
        for (const Spelt& place : places) {
            if (grown.size() >= beam && place.score <= grown.front().score) break;  // as no step makes it likelier
            const int64_t low = i < count ? first[letters[i]] : 0, high = i < count ? first[letters[i] + 1] : 1;
            for (int64_t k = low; k < high; ++k) {
                const int32_t token = i < count ? chunks[k] : END;
                Spelt next;
                next.order = found++;
                next.score = place.score + lm.score(place.state, token, next.state);
                if (grown.size() >= beam && next.score <= grown.front().score) continue;
                next.tokens = place.tokens;
                next.tokens.push_back(token);
                if (grown.size() >= beam) std::pop_heap(grown.begin(), grown.end(), better), grown.pop_back();
                grown.push_back(std::move(next));
                std::push_heap(grown.begin(), grown.end(), better);  // the worst in front
            }
        }
        places.swap(grown);
    }
    std::sort(places.begin(), places.end(), better);
    return places;
}
