// asr.search.ctc_paths: the best paths of its Lattice, and ctc_scores of one text by CTC's forward algorithm on
// probabilities that are scaled at every frame.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "arrays.h"

// probabilities (frames, width) of symbols; the text as columns. -> ln, -inf where the frames do not suffice
inline double ctc_score(const double* probabilities, Py_ssize_t frames, Py_ssize_t width, const int32_t* text, int length) {
    const int states = 2 * length + 1;
    std::vector<int32_t> column(states, 0);
    std::vector<double> jump(states, 0.0), now(states + 2, 0.0), next(states + 2, 0.0);  // two states in front
    for (int i = 0; i < length; ++i) {
        column[2 * i + 1] = text[i];
        jump[2 * i + 1] = i == 0 || text[i] != text[i - 1];
    }
    now[1] = 1.0;  // before the first frame
    double scale = 0.0;
    for (const double* row = probabilities; frames--; row += width) {
        double most = 0.0;
        for (int s = 0; s < states; ++s) {
            next[s + 2] = (now[s + 2] + now[s + 1] + now[s] * jump[s]) * row[column[s]];
            most = std::max(most, next[s + 2]);
        }
        if (most > 0.0) {
            scale += std::log(most);
            for (int s = 0; s < states; ++s) next[s + 2] /= most;
        }
        std::swap(now, next);
        now[0] = now[1] = next[0] = next[1] = 0.0;
    }
    return scale + std::log(now[states + 1] + (length ? now[states] : 0.0));
}

// asr.search.ctc_paths.Lattice.forward with the maximum: scores (states) go on over frames (frames, width). Of every
// frame, where there is room: steps (frames, states), how many states the best path steps over, and the scores after it.
inline void best_paths(float* scores, Py_ssize_t states, const float* log_probs, Py_ssize_t frames, Py_ssize_t width,
                       const int64_t* columns, const float* skip, int8_t* steps, float* after) {
    const float none = -std::numeric_limits<float>::infinity();
    for (const float* row = log_probs; frames--; row += width, steps += steps ? states : 0) {
        for (Py_ssize_t s = states; s--;) {  // from the last on: those before it are still of the frame before
            const float by_one = s > 0 ? scores[s - 1] : none, by_two = (s > 1 ? scores[s - 2] : none) + skip[s];
            float best = std::max(scores[s], by_one);
            if (steps) steps[s] = by_two > best ? 2 : by_one > scores[s];
            best = std::max(best, by_two);
            scores[s] = best + row[columns[s]];
        }
        if (after) after = std::copy_n(scores, states, after);
    }
}
