// asr.search.words.LexiconSearch: names, order of work and results are those of the Python, which explains them.
#pragma once
#include <cfloat>
#include <cmath>

#include "hotwords.h"
#include "texts.h"

const double LEAST_SHOWN = 0.007;  // of a place's probability against the best one's

struct Place {
    const Text* text;
    int node;
    double in_blank, in_symbol;
    double total() const { return in_blank + in_symbol; }
};

struct State {
    std::vector<Place> beam;
    double offset = 0.0;
    bool resting = true;
    const Merge* merged = nullptr;  // the last one
    std::shared_ptr<Arena> arena;
};

struct Symbol {
    int symbol;
    double p;
};

struct Options {
    int beam, symbols;
    double lm_weight, word_bonus, sure_blank, least_symbol, width;
    int recombine, look_ahead;
};

class Engine {
public:
    Options o;
    Ngrams lm;
    Tree tree;
    Array<uint8_t> said;                       // phonemes of all pronunciations
    Array<int64_t> said_first, word, lm_word;  // where each begins; its word; a word's number in the model
    Array<double> penalty, due;                // ln, of words the model lacks; of pronunciations, without context
    Hotwords hotwords;

    void prepare() {
        tree.build(said, said_first, due);
        if (!o.look_ahead)
            for (Node& node : tree.nodes) node.alone = 1.0;
        std::vector<int32_t> lm_words;
        for (Py_ssize_t k = 0; k < word.size; ++k) lm_words.push_back(int32_t(lm_word[word[k]]));
        look_ahead_.prepare(lm, tree, lm_words, o.lm_weight, o.look_ahead);
        for (int s = 0; s < 256; ++s) first_[s] = tree.child(0, s);
    }

    State start() {
        State state;
        state.arena = std::make_shared<Arena>();
        state.beam.push_back({text(*state.arena, -1, nullptr, lm.start(), 0, 0.0, 0.0), 0, 1.0, 0.0});
        return state;
    }

    void feed(State& state, const double* log_probs, Py_ssize_t frames, Py_ssize_t width) {
        const double sure = std::log(o.sure_blank), least = std::log(std::max(o.least_symbol, 1e-300));
        for (const double* row = log_probs; frames--; row += width) {
            symbols_.clear();
            if (row[0] < sure)
                for (int s = 1; s < width; ++s)
                    if (row[s] > least) symbols_.push_back({s, row[s]});
            if (symbols_.empty()) {
                if (!state.resting)
                    for (Place& place : state.beam) place.in_blank = place.total(), place.in_symbol = 0.0;
                state.resting = true;
                state.offset += row[0];
                continue;
            }
            std::stable_sort(symbols_.begin(), symbols_.end(),
                             [](const Symbol& a, const Symbol& b) { return a.p > b.p; });
            if (int(symbols_.size()) > o.symbols) symbols_.resize(o.symbols);
            for (Symbol& symbol : symbols_) symbol.p = std::exp(symbol.p);
            state.offset += step(state, std::exp(row[0]));
            state.resting = false;
        }
    }

    std::vector<Found> best(const State& state, size_t n, bool shown) {
        std::vector<Found> all;
        Table<int32_t> at;
        bool ended = false;
        auto add = [&](const Text* text, double acoustic, bool whole) {
            ended |= whole;
            LanguageState unused;
            if (std::isnan(text->end)) text->end = lm.score(text->state, END, unused);
            const double last = text->end;
            const double fused = text->fused + o.lm_weight * last + hotwords.end(text->spot);
            auto [index, known] = at.at(2 * mixed(text->number, 1) + whole);
            if (known) acoustic = log_sum(acoustic, all[index - 1].acoustic);
            else all.push_back({}), index = int32_t(all.size());
            all[index - 1] = {text, acoustic + fused, acoustic, text->language + last, whole};
        };
        for (const Place& place : state.beam) {
            const Node& node = tree.nodes[place.node];
            double fused = place.text->fused + (node.depth ? std::log(ahead(*place.text, place.node)) : 0.0);
            double acoustic = std::log(place.total()) + state.offset - fused;
            if (node.words)
                for (const WordEnd& end : ends(*state.arena, place.text, place.node)) add(end.text, acoustic, true);
            else add(place.text, acoustic, !node.depth);
        }
        if (ended) all.erase(std::remove_if(all.begin(), all.end(), [](Found& f) { return !f.whole; }), all.end());
        std::stable_sort(all.begin(), all.end(), [](const Found& a, const Found& b) { return a.score > b.score; });
        if (n > 1 && state.merged) {
            const Text* stable = chain(state.beam[0].text)[shown ? agreed(state.beam) : 0];
            all = with_merged(all, *state.arena, state.merged, n, stable);
        }
        if (all.size() > n) all.resize(n);
        return all;
    }

    // LexiconSearch.partial
    std::pair<const Text*, int> so_far(const State& state) {
        const Text* shown = state.beam[0].text;
        double likeliest = 0.0;
        for (const Place& place : state.beam) {
            double probability = place.total();
            if (probability < LEAST_SHOWN) break;
            const Text* ended = place.text;
            if (place.node) {
                const auto& found = ends(*state.arena, place.text, place.node);
                if (found.empty()) continue;
                probability *= found[0].factor, ended = found[0].text;
            }
            if (probability > likeliest) shown = ended, likeliest = probability;
        }
        return {shown, agreed(state.beam)};
    }

private:
    // One frame: every place stays (blank, or its last symbol again) or goes on by a symbol.
    double step(State& state, double blank) {
        double again[256] = {};
        for (const Symbol& symbol : symbols_) again[symbol.symbol] = symbol.p;
        after_.clear();
        entries_.clear();
        for (const Place& place : state.beam) {
            const Node& node = tree.nodes[place.node];
            after_.at(key(place.text, place.node)).first = int32_t(entries_.size());
            double stays = place.node ? again[node.symbol] : 0.0;
            entries_.push_back({place.text, place.node, place.total() * blank, place.in_symbol * stays});
        }
        grow(state, blank);
        return prune(state.beam);
    }

    void grow(State& state, double blank) {
        const double narrow = std::exp(-o.width);
        double best = 0.0, worst = DBL_MAX;
        for (const Place& place : state.beam) best = std::max(best, place.total()), worst = std::min(worst, place.total());
        double top = blank * best;
        double floor = std::max(top * narrow, int(state.beam.size()) >= o.beam ? blank * worst : 0.0);
        auto add = [&](double reach, const Text* text, int node) {
            if (reach <= floor) return;
            enter(state, reach, text, node);
            if (reach > top) top = reach, floor = std::max(floor, reach * narrow);
        };
        for (const Place& place : state.beam) {
            const Node node = tree.nodes[place.node];
            const double total = place.total(), here = node.depth ? ahead(*place.text, place.node) : 1.0;
            for (const Symbol& symbol : symbols_) {
                double flow = total * symbol.p;
                if (flow <= floor) break;
                if (place.node && symbol.symbol == node.symbol) flow = place.in_blank * symbol.p;
                int child = tree.child(place.node, symbol.symbol);
                if (child >= 0) add(flow * ahead(*place.text, child) / here, place.text, child);
                if (!node.words || flow <= floor || (child = first_[symbol.symbol]) < 0) continue;
                for (const WordEnd& end : ends(*state.arena, place.text, place.node)) {
                    if (flow * end.factor <= floor) break;
                    add(flow * end.factor * ahead(*end.text, child), end.text, child);
                }
            }
        }
    }

    void enter(State& state, double reach, const Text* text, int node) {
        auto [index, known] = after_.at(key(text, node));
        if (!known) {
            index = int32_t(entries_.size());
            entries_.push_back({text, node, 0.0, reach});
            return;
        }
        Place& entry = entries_[index];
        if (entry.text->number == text->number) {
            entry.in_symbol += reach;
            return;
        }
        const double before = entry.total();
        const bool wins = reach > before;
        const double gap = std::log(wins ? before / reach : reach / before);
        if (gap > -o.width) {
            const Text *kept = wins ? text : entry.text, *lost = wins ? entry.text : text;
            state.arena->merges.push_back({kept, lost, gap, std::min(reach, before), state.merged});
            state.merged = &state.arena->merges.back();
        }
        if (wins) entry = {text, node, 0.0, reach};
    }

    // Keep the best places, none of them `width` below the best; scale the best to 1.
    double prune(std::vector<Place>& beam) {
        order_.clear();
        for (size_t i = 0; i < entries_.size(); ++i) order_.push_back({entries_[i].total(), int(i)});
        auto better = [](const std::pair<double, int>& a, const std::pair<double, int>& b) {
            return a.first > b.first || (a.first == b.first && a.second < b.second);
        };
        size_t kept = std::min(order_.size(), size_t(o.beam));
        std::partial_sort(order_.begin(), order_.begin() + kept, order_.end(), better);
        double top = order_[0].first, floor = std::max(top * std::exp(-o.width), DBL_MIN);
        beam.clear();
        for (size_t i = 0; i < kept && order_[i].first >= floor; ++i) {
            Place place = entries_[order_[i].second];
            place.in_blank /= top, place.in_symbol /= top;
            beam.push_back(place);
        }
        return std::log(top);
    }

    static uint64_t key(const Text* text, int node) { return mixed(text->future, node); }

    // The texts that a place becomes where its word ends, likeliest first.
    const std::vector<WordEnd>& ends(Arena& arena, const Text* text, int at) {
        int32_t& index = arena.known.at(mixed(reinterpret_cast<uintptr_t>(text), at)).first;
        if (!index) {
            const Node node = tree.nodes[at];
            const double here = text->fused + std::log(ahead(*text, at));
            std::vector<WordEnd> found;
            for (int k = 0; k < node.words; ++k) {
                const Text* last = closed(arena, text, int32_t(word[node.low + k]));
                found.push_back({std::exp(std::max(last->fused - here, LEAST)), last});
            }
            std::stable_sort(found.begin(), found.end(),
                             [](const WordEnd& a, const WordEnd& b) { return a.factor > b.factor; });
            arena.ends.push_back(std::move(found));
            index = int32_t(arena.ends.size());
        }
        return arena.ends[index - 1];
    }

    const Text* closed(Arena& arena, const Text* before, int32_t w) {
        LanguageState state;
        double score = lm.score(before->state, lm_word[w], state) + penalty[w];
        int64_t spot = before->spot;
        double boost = hotwords.add(spot, w);
        double fused = before->fused + o.lm_weight * score + o.word_bonus + boost;
        return text(arena, w, before, state, spot, before->language + score, fused);
    }

    const Text* text(Arena& arena, int32_t w, const Text* parent, const LanguageState& state, int64_t spot,
                     double language, double fused) {
        uint64_t number = parent ? mixed(parent->number, w + 1) : 0;
        uint64_t future = o.recombine ? mixed(state.hash(), spot) : number;
        arena.texts.push_back({w, parent, number, future, state, spot, language, fused,
                               look_ahead_.context(state)});
        return &arena.texts.back();
    }

    double ahead(const Text& text, int node) { return look_ahead_.at(*text.ahead, node); }

    // After how many words the texts of a beam part.
    static int agreed(const std::vector<Place>& beam) {
        std::vector<const Text*> common = chain(beam[0].text);
        for (const Place& place : beam) {
            std::vector<const Text*> other = chain(place.text);
            size_t same = 0;
            while (same < std::min(common.size(), other.size()) && common[same]->number == other[same]->number) ++same;
            common.resize(same);
        }
        return int(common.size()) - 1;
    }

    static std::vector<const Text*> chain(const Text* text) {
        std::vector<const Text*> all;
        for (; text; text = text->parent) all.push_back(text);
        std::reverse(all.begin(), all.end());
        return all;
    }

    static double log_sum(double a, double b) { return std::max(a, b) + std::log1p(std::exp(-std::fabs(a - b))); }

    LookAhead look_ahead_;
    int first_[256];               // the root's children by symbol
    std::vector<Symbol> symbols_;  // of a frame, and so on: kept for their memory
    Table<int32_t> after_{1024};
    std::vector<Place> entries_;
    std::vector<std::pair<double, int>> order_;
};
