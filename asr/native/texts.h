// asr.search.texts: the texts that a search follows, and those that it dropped for likelier ones with the same future.
#pragma once
#include <cmath>
#include <deque>
#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "look_ahead.h"

struct Text {
    int32_t word;
    const Text* parent;
    uint64_t number, future;
    LanguageState state;
    int64_t spot;  // of the hotwords
    double language, fused;
    std::shared_ptr<Context> ahead;
    mutable double end = NAN;  // ln probability that the text ends here, once it is asked for
};

struct WordEnd {
    double factor;
    const Text* text;
};

// Two texts came to the same place with the same future, and the likelier one was kept.
struct Merge {
    const Text *kept, *lost;
    double gap;     // ln, how much less likely the other was
    double likely;  // the other, among all that was followed at that time
    const Merge* before;
};

// All texts of an utterance, where their words end, and what was dropped.
struct Arena {
    std::deque<Text> texts;
    std::deque<Merge> merges;
    Table<int32_t> known;  // text and node -> place in ends, counted from 1
    std::vector<std::vector<WordEnd>> ends;
};

struct Found {
    const Text* text;
    double score, acoustic, language;
    bool whole;
};

const int TRIES = 20;  // texts put together for each one that is wanted, at most

// A text that is put together: some words, and those that follow them.
struct Way {
    Found found;
    size_t number;                   // of the same scores the first counts
    const Text* start;               // of which other beginnings are still to be tried
    std::vector<const Text*> after;  // the last one first

    bool operator<(const Way& other) const {
        return found.score < other.found.score || (found.score == other.found.score && number > other.number);
    }
};

// The words that follow others as a text of its own, which has no scores.
inline const Text* joined(Arena& arena, const Text* start, const std::vector<const Text*>& after) {
    for (auto w = after.rbegin(); w != after.rend(); ++w) {
        arena.texts.push_back({(*w)->word, start, mixed(start->number, (*w)->word + 1), 0, {}, 0, 0.0, 0.0, nullptr});
        start = &arena.texts.back();
    }
    return start;
}

// Whether a text goes on from another one.
inline bool begins(const Text* stable, const Text* text) {
    while (text && text->number != stable->number) text = text->parent;
    return text;
}

// The n best of the texts found, and of those that begin otherwise, by what was dropped. All go on from `stable`.
inline std::vector<Found> with_merged(const std::vector<Found>& found, Arena& arena, const Merge* merged, size_t n,
                                      const Text* stable) {
    std::unordered_map<uint64_t, const Merge*> gaps;
    std::vector<uint64_t> order;
    for (; merged; merged = merged->before) {
        const uint64_t pair = mixed(merged->kept->number, merged->lost->number);
        const Merge*& best = gaps[pair];
        if (!best) order.push_back(pair);
        if (!best || merged->likely > best->likely) best = merged;
    }
    std::unordered_map<uint64_t, std::vector<const Merge*>> others;
    for (uint64_t pair : order)
        if (begins(stable, gaps[pair]->lost)) others[gaps[pair]->kept->number].push_back(gaps[pair]);
    std::vector<Way> ways;
    for (const Found& f : found) ways.push_back({f, ways.size(), f.text, {}});
    std::make_heap(ways.begin(), ways.end());
    std::vector<Found> all;
    std::unordered_set<uint64_t> seen;
    size_t number = ways.size();
    for (size_t tries = 0; tries < TRIES * n && !ways.empty() && all.size() < n; ++tries) {
        std::pop_heap(ways.begin(), ways.end());
        Way way = std::move(ways.back());
        ways.pop_back();
        uint64_t text = way.start->number;
        for (auto w = way.after.rbegin(); w != way.after.rend(); ++w) text = mixed(text, (*w)->word + 1);
        if (seen.insert(text).second) {
            way.found.text = joined(arena, way.start, way.after);
            all.push_back(way.found);
        }
        for (const Text* at = way.start; at->parent && at->number != stable->number;
             way.after.push_back(at), at = at->parent) {
            auto known = others.find(at->number);
            if (known == others.end()) continue;
            for (const Merge* merge : known->second) {
                const double fused = merge->lost->fused - merge->kept->fused;
                Way next{way.found, number++, merge->lost, way.after};
                next.found.score += merge->gap, next.found.acoustic += merge->gap - fused;
                next.found.language += merge->lost->language - merge->kept->language;
                ways.push_back(std::move(next));
                std::push_heap(ways.begin(), ways.end());
            }
        }
    }
    return all;
}
