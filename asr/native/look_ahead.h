// asr.search.tree.LookAhead: what a begun word can still become, by the bigrams.
#pragma once
#include <memory>

#include "ngrams.h"
#include "tree.h"

struct Bigram {
    int32_t place;  // of the second word's pronunciation in the tree
    float log_prob;
    bool operator<(const Bigram& other) const { return place < other.place; }
};

// asr.search.tree.Context. Its bigrams are read when a score is first asked for, and those that begin with the same
// phoneme are sorted when one below that phoneme is: of most words that may have ended, none or few are.
struct Context {
    explicit Context(int64_t after) : word(after) {}

    int64_t word;
    double backoff = 1.0;
    std::vector<Bigram> bigrams;   // by first phoneme; each group by place where it says so in `sorted`
    std::vector<uint32_t> groups;  // where those of each child of the root begin; empty: not read yet
    uint64_t sorted = 0;
    Table<double> values;
};

class LookAhead {
public:
    // lm_word: of each of the tree's pronunciations, its word's number in the model.
    void prepare(const Ngrams& lm, const Tree& tree, const std::vector<int32_t>& lm_word, double weight, bool bigrams) {
        lm_ = &lm, tree_ = &tree, weight_ = weight, with_bigrams_ = bigrams && lm.levels.size() > 1;
        first_.assign(lm.levels[0].size + 1, 0);
        for (int32_t w : lm_word) ++first_[w + 1];
        for (size_t i = 0; i + 1 < first_.size(); ++i) first_[i + 1] += first_[i];
        std::vector<int32_t> next(first_.begin(), first_.end() - 1);
        places_.resize(lm_word.size());
        for (size_t k = 0; k < lm_word.size(); ++k) places_[next[lm_word[k]]++] = int32_t(k);
        group_.assign(lm_word.size(), 0);
        for (int g = 0; g < groups(); ++g) {
            const Node& node = tree.nodes[tree.nodes[0].child + g];
            std::fill(group_.begin() + node.low, group_.begin() + node.high, uint8_t(g));
        }
    }

    // What was asked for before the last times that so much was read is forgotten.
    std::shared_ptr<Context> context(const LanguageState& state) {
        if (kept_ > MOST_KEPT / 2) older_.clear(), std::swap(older_, contexts_), kept_ = 0;
        int64_t word = state.n ? state.places[0] : UNKNOWN;
        auto [found, known] = contexts_.at(word);
        if (!known) {
            auto [before, was_known] = older_.at(word);
            if (!was_known) before = std::make_shared<Context>(word);
            found = before;
            kept_ += 32 + found->bigrams.size();
        }
        return found;
    }

    // The weighted probability of the likeliest word that a node, not the root, can become.
    double at(Context& context, int node_number) {
        auto [value, known] = context.values.at(node_number);
        if (!known) {
            kept_ += 3;
            if (context.groups.empty()) read(context);
            const Node& node = tree_->nodes[node_number];
            value = node.alone * context.backoff;
            if (!context.bigrams.empty()) {
                const float best = likeliest(context, node);
                if (best > NONE) value = std::max(value, std::exp(std::max(weight_ * best, LEAST)));
            }
        }
        return value;
    }

private:
    static constexpr size_t MOST_KEPT = 1 << 21;  // of 8 bytes each
    static constexpr int FEW = 32;                // are looked through sooner than they are sorted
    static constexpr float NONE = -1e30f;

    int groups() const { return std::min(int(tree_->nodes[0].children), 64); }

    void read(Context& context) {
        context.groups.assign(groups() + 1, 0);
        if (!with_bigrams_) return;
        const Level& level = lm_->levels[1];
        context.backoff = std::exp(weight_ * lm_->levels[0].backoff(context.word));
        auto [start, end] = lm_->levels[0].children(context.word);
        found_.clear();
        for (int64_t i = start; i < std::min(end, level.size); ++i) {
            int64_t next = level.word(i);
            if (next == UNKNOWN || next >= lm_->levels[0].size) continue;
            const float log_prob = level.log_prob(i);
            for (int32_t k = first_[next]; k < first_[next + 1]; ++k) {
                found_.push_back({places_[k], log_prob});
                ++context.groups[group_[places_[k]] + 1];
            }
        }
        for (size_t g = 1; g < context.groups.size(); ++g) context.groups[g] += context.groups[g - 1];
        std::vector<uint32_t> next(context.groups);
        context.bigrams.resize(found_.size());
        for (const Bigram& bigram : found_) context.bigrams[next[group_[bigram.place]]++] = bigram;
        kept_ += found_.size();
    }

    // The highest ln probability of a node's words; NONE: it has none.
    float likeliest(Context& context, const Node& node) {
        const int g = group_[node.low];
        auto begin = context.bigrams.begin() + context.groups[g], end = context.bigrams.begin() + context.groups[g + 1];
        float best = NONE;
        if (node.depth > 1 && end - begin > FEW) {
            if (!(context.sorted >> g & 1)) std::sort(begin, end), context.sorted |= uint64_t(1) << g;
            begin = std::lower_bound(begin, end, Bigram{node.low, 0.0f});
            for (; begin != end && begin->place < node.high; ++begin) best = std::max(best, begin->log_prob);
        } else {
            for (; begin != end; ++begin)
                if (begin->place >= node.low && begin->place < node.high) best = std::max(best, begin->log_prob);
        }
        return best;
    }

    const Ngrams* lm_;
    const Tree* tree_;
    double weight_;
    bool with_bigrams_;
    std::vector<int32_t> first_, places_;  // the pronunciations of each of the model's words
    std::vector<uint8_t> group_;           // of each pronunciation, which of the root's children it is below
    Table<std::shared_ptr<Context>> contexts_, older_;
    std::vector<Bigram> found_;
    size_t kept_ = 0;
};
