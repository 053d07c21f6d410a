// asr.search.look_ahead.LookAhead: what a begun word can still become, by the bigrams.
#pragma once
#include <memory>

#include "ngrams.h"
#include "tree.h"

struct Bigram {
    int32_t place;
    double score;
    bool operator<(const Bigram& other) const { return place < other.place; }
};

// asr.search.look_ahead.Context
struct Context {
    double backoff = 1.0;
    std::vector<Bigram> bigrams;  // by place in the tree
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
    }

    std::shared_ptr<Context> context(const LanguageState& state) {
        if (kept_ > MOST_KEPT) contexts_.clear(), kept_ = 0;
        int64_t word = state.n ? state.places[0] : UNKNOWN;
        auto [found, known] = contexts_.at(word);
        if (!known) found = sorted(word), kept_ += 32 + found->bigrams.size();
        return found;
    }

    // The weighted probability of the likeliest word that a node can become.
    double at(Context& context, int node_number) {
        auto [value, known] = context.values.at(node_number);
        if (!known) {
            kept_ += 3;
            const Node& node = tree_->nodes[node_number];
            value = node.alone * context.backoff;
            auto i = std::lower_bound(context.bigrams.begin(), context.bigrams.end(), Bigram{node.low, 0.0});
            for (; i != context.bigrams.end() && i->place < node.high; ++i) value = std::max(value, i->score);
        }
        return value;
    }

private:
    static constexpr size_t MOST_KEPT = 1 << 20;  // of 16 bytes each, before all is forgotten

    std::shared_ptr<Context> sorted(int64_t word) const {
        auto made = std::make_shared<Context>();
        if (!with_bigrams_) return made;
        const Level& level = lm_->levels[1];
        made->backoff = std::exp(weight_ * lm_->levels[0].backoff(word));
        auto [start, end] = lm_->levels[0].children(word);
        for (int64_t i = start; i < std::min(end, level.size); ++i) {
            int64_t next = level.word(i);
            if (next == UNKNOWN || next >= lm_->levels[0].size) continue;
            double score = std::exp(std::max(weight_ * level.log_prob(i), LEAST));
            for (int32_t k = first_[next]; k < first_[next + 1]; ++k) made->bigrams.push_back({places_[k], score});
        }
        std::sort(made->bigrams.begin(), made->bigrams.end());
        return made;
    }

    const Ngrams* lm_;
    const Tree* tree_;
    double weight_;
    bool with_bigrams_;
    std::vector<int32_t> first_, places_;  // the pronunciations of each of the model's words
    Table<std::shared_ptr<Context>> contexts_;
    size_t kept_ = 0;
};
